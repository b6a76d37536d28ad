"""Stage `evidence-opinion`: what a linear probe that never saw an image or its doubles says of the image's label.

The features are read three times: for the probe, for the thresholds of the classes, for the verdicts. Nothing of the
size images x classes is ever held.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence.confident import Opinions, class_thresholds, confident_classes, opinions
from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence.probe import OpinionSettings, Probe
from pipeline.evidence_tables import CLASS_OPINION, JOINT, OPINION
from pipeline.stages.classes import ClassOrder, current_features, read_column, stretches
from pipeline.stages.probing import FoldedImages, probabilities, read_probes, train_probes, write_probes
from pipeline.storage.arrays import ArrayShards, blocks, scratch_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-opinion"
CODE_VERSION = "2"

Integers = npt.NDArray[np.integer[Any]]


def make_opinion(
    store: Store,
    crawls: Sequence[str],
    settings: OpinionSettings,
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Judge the label of every usable training image, over all crawls together.

    An image has no opinion where its features are not finite, or where no image of its class is in another fold.

    Args:
        store: where listing, images, features and `evidence-duplicates` are current.
        crawls: the crawls to read.
        settings: of the folds.
        workers: threads, or a cluster.
        on_progress: called with the number of images just judged.

    Returns:
        Beside `evidence/` (OPINION): `joint/` (JOINT), `classes/` (CLASS_OPINION), and `probe/part-k.npy`, float32
        (D + 1, C): weights and, last, bias of the probe that judges fold k; softmax of its logits is the probability.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    features = current_features(store, crawls)
    duplicates = store.current("evidence-duplicates")

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        fold = _folds(read_column(duplicates, order, "duplicate_group"), settings)
        shards = ArrayShards([artifact.table("features") for artifact in features])
        with threadpool_limits(1):  # sums would depend on how the libraries' own threads share them out
            return _judge(draft, FoldedImages(order, shards, fold), settings, workers, on_progress)

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images, *features, duplicates]))
    return store.make(STAGE, WHOLE, wanted, build)


def _folds(group: npt.NDArray[np.int64], settings: OpinionSettings) -> npt.NDArray[np.int32]:
    """(t,) the fold of each image, on the disk as the groups are."""
    fold = scratch_array(group.shape, np.int32)
    for block in blocks(len(group)):
        fold[block] = fold_of_groups(group[block], settings.folds, settings.seed)
    return np.asarray(fold)


def _judge(
    draft: Draft, images: FoldedImages, settings: OpinionSettings, workers: Workers, on_progress: Callable[[int], None]
) -> Facts:
    tasks = list(enumerate(stretches(images.order.sizes)))
    numbers = len(tasks)  # the shards of the verdicts come first, then the probe, then the thresholds
    if draft.finished(numbers) is None:
        write_probes(draft, numbers, train_probes(images, settings, workers))
    probes = read_probes(draft, settings.folds)
    for _ in map_shards(partial(_write_thresholds, draft, images, probes, numbers + 1), tasks, workers):
        pass
    stored = [_facts(draft, numbers + 1 + number)["thresholds"] for number, _ in tasks]
    thresholds = np.array([np.inf if t is None else t for part in stored for t in part])
    for judged in map_shards(partial(_write_verdicts, draft, images, probes, thresholds), tasks, workers):
        on_progress(judged)
    told = [_facts(draft, number) for number, _ in tasks]
    return {
        "images": len(images.order),
        "classes": int((images.order.sizes > 0).sum()),
        **{name: sum(one[name] for one in told) for name in ("opinions", "agreeing", "issues")},
        **_facts(draft, numbers),
    }


def _facts(draft: Draft, shard: int) -> Facts:
    found = draft.finished(shard)
    if found is None:
        raise RuntimeError(f"shard {shard} of {draft.folder} has vanished while it was worked on")
    return found


def _write_thresholds(
    draft: Draft, images: FoldedImages, probes: Sequence[Probe], first: int, task: tuple[int, range]
) -> None:
    """A stretch holds all images of its classes, and so all that their thresholds depend on."""
    number, classes = task
    if draft.finished(first + number) is not None:
        return
    rows = images.stretch(classes)
    confidence = np.full(rows.stop - rows.start, np.nan, np.float32)
    for block, chance in probabilities(images, probes, rows):
        confidence[block - rows.start] = chance[np.arange(len(block)), images.order.class_index[block]]
    label = images.order.class_index[rows] - classes[0]
    thresholds = class_thresholds(confidence, label, len(classes))
    draft.finish(first + number, {}, {"thresholds": [t if np.isfinite(t) else None for t in thresholds.tolist()]})


def _write_verdicts(
    draft: Draft,
    images: FoldedImages,
    probes: Sequence[Probe],
    thresholds: npt.NDArray[np.float64],
    task: tuple[int, range],
) -> int:
    number, classes = task
    rows = images.stretch(classes)
    count: int = rows.stop - rows.start
    if draft.finished(number) is not None:
        return count
    told, confident = _verdicts(images, probes, thresholds, rows)
    label = images.order.class_index[rows]
    tables = {
        "evidence": (OPINION, _evidence(images, rows, told, confident)),
        "joint": (JOINT, _joint(label, confident, images.classes)),
        "classes": (CLASS_OPINION, _class_figures(classes, label, told, confident, thresholds)),
    }
    files = {}
    for folder, (schema, columns) in tables.items():
        path = part_path(draft.table(folder), number)
        files[path] = write_table(path, schema, [pa.table(columns, schema=schema)])
    facts = {
        "opinions": int((told.predicted_class >= 0).sum()),
        "agreeing": int((told.predicted_class == label).sum()),
        "issues": int(((confident >= 0) & (confident != label)).sum()),
    }
    draft.finish(number, files, facts)
    return count


def _verdicts(
    images: FoldedImages, probes: Sequence[Probe], thresholds: npt.NDArray[np.float64], rows: slice
) -> tuple[Opinions, npt.NDArray[np.int32]]:
    """Opinions, NaN where there is none, and the class each image confidently is or -1."""
    n = rows.stop - rows.start
    every = Opinions(
        np.full(n, np.nan, np.float32),
        np.full(n, np.nan, np.float32),
        np.full(n, -1, np.int32),
        np.full(n, np.nan, np.float32),
    )
    confident = np.full(n, -1, np.int32)
    for block, chance in probabilities(images, probes, rows):
        at = block - rows.start
        told = opinions(chance, images.order.class_index[block])
        for whole, part in zip(vars(every).values(), vars(told).values(), strict=True):
            whole[at] = part
        confident[at] = confident_classes(chance, thresholds)
    return every, confident


def _evidence(images: FoldedImages, rows: slice, told: Opinions, confident: Integers) -> dict[str, Any]:
    unknown = told.predicted_class < 0
    issue = (confident >= 0) & (confident != images.order.class_index[rows])
    return {
        "image_id": images.order.image_id[rows],
        "fold": images.fold[rows],
        **{name: pa.array(values, mask=unknown) for name, values in vars(told).items()},
        "label_issue": issue,
        "opinion_class": pa.array(confident, mask=~issue),
    }


def _joint(label: Integers, confident: Integers, classes: int) -> dict[str, Any]:
    sure = confident >= 0
    cells, counts = np.unique(label[sure].astype(np.int64) * classes + confident[sure], return_counts=True)
    return {"given_class": cells // classes, "confident_class": cells % classes, "images": counts}


def _class_figures(
    classes: range, label: Integers, told: Opinions, confident: Integers, thresholds: npt.NDArray[np.float64]
) -> dict[str, Any]:
    def count(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(label[chosen] - classes.start, minlength=len(classes))

    sure, right = count(confident >= 0), count(confident == label)
    share = np.divide(right, sure, out=np.zeros(len(classes)), where=sure > 0)
    own = thresholds[classes.start : classes.stop]
    return {
        "class_index": np.array(classes),
        "images": count(told.predicted_class >= 0),
        "threshold": pa.array(own, mask=np.isinf(own)),
        "right_share": pa.array(share, mask=sure == 0),
    }
