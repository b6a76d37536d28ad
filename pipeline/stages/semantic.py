"""Stage `evidence-semantic`: how close each image's text is to its class and to the closest other, as vectors."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence.semantic import BUILT_IN, Closeness, Encoder, SemanticSettings, closeness
from pipeline.evidence_tables import SEMANTIC
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.stages.merged import make_merged, summed
from pipeline.stages.standing import Standing
from pipeline.stages.text_vectors import built_in_encoder, make_text_vectors
from pipeline.storage.arrays import Array, ArrayShards, open_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-semantic"
JUDGED = "judged-semantic"  # of a crawl: the table of its images alone, where it is judged by others
CODE_VERSION = "2"


def make_semantic(
    store: Store,
    crawls: Sequence[str],
    settings: SemanticSettings,
    encoder: Encoder | None = None,
    *,
    fitted_on: Sequence[str] = (),
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Compare the texts of the usable training images with the classes; encodes both first, where still to do.

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read; the first one's catalogue names the classes.
        settings: which encoder is asked for.
        encoder: that encoder; None: the built-in one.
        fitted_on: crawls on whose texts the built-in encoder is fitted; all where none is named.
        workers: threads, or a cluster; each holds a stretch of classes.
        on_progress: called with the number of images just encoded, or compared where they were encoded before.

    Raises:
        ValueError: the settings ask for a transformer, and none is given.
    """
    if encoder is None and settings.encoder != BUILT_IN:
        raise ValueError(f"semantic.encoder: {settings.encoder!r} is not built in: give the encoder it names")
    standing = Standing.of(store, crawls, fitted_on)
    fitted = standing.fitted if standing is not None else crawls
    encoder = encoder or built_in_encoder(store, fitted, settings.lsa)
    vectors = partial(make_text_vectors, store, encoder=encoder, workers=workers, on_progress=on_progress)
    run = workers, on_progress
    if standing is None:
        return _compare(store, (STAGE, WHOLE), crawls, vectors(crawls), run)
    parts = [_compare(standing.apart, (STAGE, WHOLE), fitted, vectors(fitted), run)]
    for crawl in standing.later:
        parts += [_compare(store, (JUDGED, crawl), [crawl], vectors([crawl], partition=crawl), run)]
    facts = summed(parts, "images", "unknown")
    return make_merged(store, standing, parts, {"evidence": SEMANTIC}, lambda *_: facts, workers)


def _compare(
    store: Store,
    made: tuple[str, str],
    crawls: Sequence[str],
    vectors: Artifact,
    run: tuple[Workers, Callable[[int], None]],
) -> Artifact:
    """The table of some crawls, whose texts have these vectors, as a stage and partition."""
    workers, on_progress = run
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        tasks = list(enumerate(stretches(order.sizes)))
        left = [task for task in tasks if draft.finished(task[0]) is None]
        work = partial(_compare_stretch, draft, order, _Vectors(vectors))
        with threadpool_limits(1):  # one stretch a thread, and the same sums whatever the number of cores
            for rows in map_shards(work, left, workers):
                on_progress(0 if vectors.made else rows)
        facts = [draft.finished(number) or {} for number, _ in tasks]
        return {"images": len(order), "unknown": sum(fact["unknown"] for fact in facts)}

    return store.make(*made, identity(STAGE, CODE_VERSION, {}, inputs_of([*listings, *images, vectors])), build)


class _Vectors:
    """The vectors of an artifact `text-vectors`."""

    def __init__(self, artifact: Artifact) -> None:
        self.classes: Array = np.asarray(open_array(artifact.table("classes") / "part-00000.npy"))
        self._vectors = ArrayShards([artifact.table("vectors")])
        self._starts = np.cumsum([0, *map(len, self._vectors.shards)])
        self._pointers = ArrayShards([artifact.table("pointers")])

    def of_stretch(self, number: int) -> Array:
        """float16 (images, D); zeros where the text says nothing."""
        pointers = self._pointers.shards[number]
        told = np.flatnonzero(pointers >= 0)
        shard = np.searchsorted(self._starts, pointers[told], side="right") - 1
        found = np.zeros((len(pointers), *self._vectors.row_shape), self._vectors.dtype)
        found[told] = self._vectors.gather(shard, pointers[told] - self._starts[shard])
        return found


def _compare_stretch(draft: Draft, order: ClassOrder, vectors: _Vectors, task: tuple[int, range]) -> int:
    number, classes = task
    rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
    found = closeness(vectors.of_stretch(number), vectors.classes, order.class_index[rows])
    columns = {"image_id": pa.array(order.image_id[rows]), **_columns(found)}
    path = part_path(draft.table("evidence"), number)
    written = write_table(path, SEMANTIC, [pa.table(columns, schema=SEMANTIC)])
    draft.finish(number, {path: written}, {"unknown": int(np.isnan(found.own).sum())})
    return written


def _columns(found: Closeness) -> dict[str, pa.Array]:
    return {
        "semantic": pa.array(found.own, mask=np.isnan(found.own)),
        "semantic_other": pa.array(found.other, mask=np.isnan(found.other)),
        "semantic_class": pa.array(found.other_class, mask=found.other_class < 0),
    }
