"""Stage `evidence-opinion`: what a linear probe that never saw an image or its doubles says of the image's label.

The features are read three times: for the probe, for the thresholds of the classes, for the verdicts. Nothing of the
size images x classes is ever held.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence.probe import OpinionSettings
from pipeline.evidence_tables import OPINION
from pipeline.stages.classes import ClassOrder, current_features, read_column, stretches
from pipeline.stages.merged import make_merged, summed
from pipeline.stages.opinion_tables import write_thresholds, write_together, write_verdicts
from pipeline.stages.probing import FoldedImages, read_probes, train_probes, write_probes
from pipeline.stages.standing import Standing
from pipeline.storage.arrays import ArrayShards, array_rows, blocks, open_array, scratch_array, write_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.pieces import digest_of
from pipeline.storage.tables import read_table

STAGE = "evidence-opinion"
JUDGED = "judged-opinion"  # of a crawl: the tables of its images alone, where it is judged by others
CODE_VERSION = "3"
SUMS = ("images", "opinions", "agreeing", "issues")  # among the facts
Run = tuple[Workers, Callable[[int], None]]


def make_opinion(
    store: Store,
    crawls: Sequence[str],
    settings: OpinionSettings,
    *,
    fitted_on: Sequence[str] = (),
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Judge the label of every usable training image, over all crawls together.

    An image has no opinion where its features are not finite, or where no image of its class is in another fold.

    Args:
        store: where listing, images, features and `evidence-duplicates` are current.
        crawls: the crawls to read.
        settings: of the folds.
        fitted_on: crawls that probes and thresholds are fitted on; all where none is named. Images of other crawls are
            judged by the probe that did not see their doubles.
        workers: threads, or a cluster.
        on_progress: called with the number of images just judged.

    Returns:
        Beside `evidence/` (OPINION): `joint/` (JOINT), `classes/` (CLASS_OPINION), and `probe/part-k.npy`, float32
        (D + 1, C): weights and, last, bias of the probe that judges fold k; softmax of its logits is the probability.
    """
    current_features(store, crawls)  # of all of them, in one space
    standing, run = Standing.of(store, crawls, fitted_on), (workers, on_progress)
    if standing is None:
        return _fit(store, crawls, store.current("evidence-duplicates"), settings, run)
    base = _fit(standing.apart, standing.fitted, standing.duplicates(), settings, run)
    parts = [base, *(_judged(standing, base, crawl, settings, run) for crawl in standing.later)]
    return make_merged(store, standing, parts, {"evidence": OPINION}, partial(_together, parts), workers)


def _fit(store: Store, crawls: Sequence[str], duplicates: Artifact, settings: OpinionSettings, run: Run) -> Artifact:
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    features = current_features(store, crawls)

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        fold = _folds(read_column(duplicates, order, "duplicate_group"), settings)
        shards = ArrayShards([artifact.table("features") for artifact in features])
        with threadpool_limits(1):  # sums would depend on how the libraries' own threads share them out
            return _judge(draft, FoldedImages(order, shards, fold), settings, run)

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images, *features, duplicates]))
    return store.make(STAGE, WHOLE, wanted, build)


def _judged(standing: Standing, base: Artifact, crawl: str, settings: OpinionSettings, run: Run) -> Artifact:
    """The tables of a later crawl alone, as judged by what was fitted."""
    store, (workers, on_progress) = standing.store, run
    listing, images, features = (store.current(stage, crawl) for stage in ("listing", "images", "features"))
    order = ClassOrder.read([listing], [images])
    fold = fold_of_groups(standing.groups(order), settings.folds, settings.seed)

    def build(draft: Draft) -> Facts:
        own = FoldedImages(order, ArrayShards([features.table("features")]), fold)
        probes = read_probes(base.table("probe"), settings.folds)
        thresholds = read_table(base.table("classes"))["threshold"].fill_null(np.inf).to_numpy()
        tasks = list(enumerate(stretches(order.sizes)))
        with threadpool_limits(1):
            for judged in map_shards(partial(write_verdicts, draft, own, probes, thresholds), tasks, workers):
                on_progress(judged)
        return _counts(draft, order, len(tasks))

    inputs = [*inputs_of([listing, images, features, base]), digest_of(fold)]
    return store.make(JUDGED, crawl, identity(JUDGED, CODE_VERSION, settings, inputs), build)


def _together(parts: Sequence[Artifact], draft: Draft, shard: int, order: ClassOrder) -> Facts:
    """What there is beside the evidence, of all crawls."""
    write_together(draft, shard, parts)
    probes = {path: draft.table("probe") / path.name for path in sorted(parts[0].table("probe").glob("part-*.npy"))}
    for path, copy in probes.items():
        stored = open_array(path)
        with write_array(copy, stored.shape, stored.dtype) as out:
            out[:] = stored
    draft.finish(shard + 1, {copy: array_rows(copy) for copy in probes.values()})
    return parts[0].facts | summed(parts, *SUMS) | {"classes": int((order.sizes > 0).sum())}


def _folds(group: npt.NDArray[np.int64], settings: OpinionSettings) -> npt.NDArray[np.int32]:
    """(t,) the fold of each image, on the disk as the groups are."""
    fold = scratch_array(group.shape, np.int32)
    for block in blocks(len(group)):
        fold[block] = fold_of_groups(group[block], settings.folds, settings.seed)
    return np.asarray(fold)


def _judge(draft: Draft, images: FoldedImages, settings: OpinionSettings, run: Run) -> Facts:
    tasks, (workers, on_progress) = list(enumerate(stretches(images.order.sizes))), run
    numbers = len(tasks)  # the shards of the verdicts come first, then the probe, then the thresholds
    if draft.finished(numbers) is None:
        write_probes(draft, numbers, train_probes(images, settings, workers))
    probes = read_probes(draft.table("probe"), settings.folds)
    for _ in map_shards(partial(write_thresholds, draft, images, probes, numbers + 1), tasks, workers):
        pass
    stored = [_facts(draft, numbers + 1 + number)["thresholds"] for number, _ in tasks]
    thresholds = np.array([np.inf if t is None else t for part in stored for t in part])
    for judged in map_shards(partial(write_verdicts, draft, images, probes, thresholds), tasks, workers):
        on_progress(judged)
    return {**_counts(draft, images.order, numbers), **_facts(draft, numbers)}


def _counts(draft: Draft, order: ClassOrder, numbers: int) -> Facts:
    told = [_facts(draft, number) for number in range(numbers)]
    sums = {name: sum(one[name] for one in told) for name in SUMS[1:]}
    return {"images": len(order), "classes": int((order.sizes > 0).sum()), **sums}


def _facts(draft: Draft, shard: int) -> Facts:
    found = draft.finished(shard)
    if found is None:
        raise RuntimeError(f"shard {shard} of {draft.folder} has vanished while it was worked on")
    return found
