"""Stage `evidence-neighbours`: which labels the most similar images of all classes carry."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence.neighbours import NeighbourSettings, agreement
from pipeline.evidence_tables import NEAREST, NEIGHBOURS
from pipeline.stages.classes import ClassOrder, current_features, read_column, stretches
from pipeline.stages.merged import make_merged, summed
from pipeline.stages.neighbour_index import Index
from pipeline.stages.neighbour_layout import Search, keep_cells, lay_out
from pipeline.stages.neighbour_search import recall, search_all, search_blocks
from pipeline.stages.standing import Standing
from pipeline.storage.arrays import Array, ArrayShards, open_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.pieces import digest_of
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-neighbours"
JUDGED = "judged-neighbours"  # of a crawl: the table of its images alone, where others are looked for
CODE_VERSION = "4"
Run = tuple[Workers, Callable[[int], None]]


def make_neighbours(
    store: Store,
    crawls: Sequence[str],
    settings: NeighbourSettings,
    *,
    fitted_on: Sequence[str] = (),
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Find each usable training image's nearest neighbours by cosine over all classes and crawls, its doubles left out.

    Up to `exact_images` every pair is compared. Above, images are laid out by cell in a scratch file and each is
    compared with the cells nearest to it; `recall` in the facts is measured on a sample.

    Args:
        store: where listing, images, features and `evidence-duplicates` are current.
        crawls: the crawls to read.
        settings: of the search.
        fitted_on: crawls that neighbours are looked for in; all where none is named. An image of another crawl has none
            where these have no image of its class, with which none could agree.
        workers: threads, or a cluster; each holds a block of queries and its candidates.
        on_progress: called with the number of images just searched.

    Returns:
        Beside `evidence/` (NEIGHBOURS): `nearest/` (NEAREST), the neighbours themselves; and `cells/`, see
        `keep_cells`, where not every pair was compared.
    """
    current_features(store, crawls)  # of all of them, in one space
    standing, run = Standing.of(store, crawls, fitted_on), (workers, on_progress)
    if standing is None:
        return _search(store, crawls, store.current("evidence-duplicates"), settings, run)
    base = _search(standing.apart, standing.fitted, standing.duplicates(), settings, run)
    parts = [base, *(_judged(standing, base, crawl, settings, run) for crawl in standing.later)]
    facts = base.facts | summed(parts, "images", "unknown")
    tables = {"evidence": NEIGHBOURS, "nearest": NEAREST}
    return make_merged(store, standing, parts, tables, lambda *_: facts, workers)


def _search(
    store: Store, crawls: Sequence[str], duplicates: Artifact, settings: NeighbourSettings, run: Run
) -> Artifact:
    """The table of crawls whose images are looked for among each other."""
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    features = current_features(store, crawls)
    workers, on_progress = run

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        group = read_column(duplicates, order, "duplicate_group")
        shards = ArrayShards([artifact.table("features") for artifact in features])
        search = Search(order, shards, group, settings, draft.folder / "scratch")
        with threadpool_limits(1):  # one block a thread
            layout = lay_out(search, workers)
            found, cosine = _spread(search, layout.rows, search_all(search, layout, workers, on_progress))
            tasks = list(enumerate(stretches(order.sizes)))
            left = [task for task in tasks if draft.finished(task[0]) is None]
            for _ in map_shards(partial(_write, draft, (order, order), found, cosine), left, workers):
                pass
            keep_cells(draft, len(tasks), search, layout)
            missed = {} if search.exact else {"recall": recall(search, layout, found)}
        shutil.rmtree(search.scratch, ignore_errors=True)
        return {"images": len(order), "unknown": len(order) - len(layout.rows), "exact": search.exact, **missed}

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images, *features, duplicates]))
    return store.make(STAGE, WHOLE, wanted, build)


def _judged(standing: Standing, base: Artifact, crawl: str, settings: NeighbourSettings, run: Run) -> Artifact:
    """The table of a later crawl, whose images are looked for among those of the fitted ones."""
    store, (workers, on_progress) = standing.store, run
    listing, images, features = (store.current(stage, crawl) for stage in ("listing", "images", "features"))
    order = ClassOrder.read([listing], [images])
    group = standing.groups(order)

    def build(draft: Draft) -> Facts:
        own = Search(order, ArrayShards([features.table("features")]), group, settings, draft.folder / "scratch")
        with threadpool_limits(1):
            index = Index.open(base, standing, settings)
            rows, find = index.questions(own, workers)
            found, cosine = _spread(own, rows, search_blocks(own, index.blocks(len(rows)), find, workers, on_progress))
            tasks = [task for task in enumerate(stretches(order.sizes)) if draft.finished(task[0]) is None]
            for _ in map_shards(partial(_write, draft, (order, index.search.order), found, cosine), tasks, workers):
                pass
        shutil.rmtree(own.scratch, ignore_errors=True)
        return {"images": len(order), "unknown": len(order) - len(rows)}

    inputs = [*inputs_of([listing, images, features, base]), digest_of(group)]
    return store.make(JUDGED, crawl, identity(JUDGED, CODE_VERSION, settings, inputs), build)


def _spread(search: Search, asked: npt.NDArray[np.int64], folders: Sequence[Path]) -> tuple[Array, Array]:
    """The tasks' findings on the rows asked for, in the order of evidence tables: (t, k) rows, cosines, on the disk."""
    search.scratch.mkdir(parents=True, exist_ok=True)
    shape = (max(len(search.order), 1), search.settings.k)
    found = np.memmap(search.scratch / "nearest.raw", np.int64, "w+", shape=shape)
    cosine = np.memmap(search.scratch / "cosine.raw", np.float32, "w+", shape=shape)
    found[:], cosine[:] = -1, np.nan
    start = 0
    for folder in folders:
        own = open_array(folder / "nearest.npy")
        rows = asked[start : start + len(own)]
        found[rows], cosine[rows] = own, open_array(folder / "cosine.npy")
        start += len(own)
    return found, cosine


def _write(
    draft: Draft, orders: tuple[ClassOrder, ClassOrder], found: Array, cosine: Array, task: tuple[int, range]
) -> None:
    """Write a stretch of the first order, given its neighbours as rows of the second."""
    (order, known), (number, classes) = orders, task
    rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
    label = order.class_index[rows]
    near, close = np.where(known.sizes[label, None] > 0, found[rows], -1), np.asarray(cosine[rows])
    said = agreement(label, np.where(near >= 0, known.class_index[near], -1), close)
    image_id = order.image_id[rows]
    columns: dict[str, Any] = {
        "image_id": image_id,
        "agreement": pa.array(said.agreement, mask=np.isnan(said.agreement)),
        "neighbour_class": pa.array(said.neighbour_class, mask=said.neighbour_class < 0),
        "neighbour_share": pa.array(said.neighbour_share, mask=np.isnan(said.neighbour_share)),
        "neighbour_similarity": pa.array(said.similarity, mask=np.isnan(said.similarity)),
    }
    files = {
        part_path(draft.table("evidence"), number): pa.table(columns, schema=NEIGHBOURS),
        part_path(draft.table("nearest"), number): pa.table(
            {"image_id": image_id, "neighbours": _lists(near, known.image_id)}, schema=NEAREST
        ),
    }
    draft.finish(number, {path: write_table(path, table.schema, [table]) for path, table in files.items()})


def _lists(near: npt.NDArray[np.int64], image_id: npt.NDArray[np.int64]) -> pa.ListArray:
    """The neighbours' ids, nearest first; an image without any has an empty list."""
    present = near >= 0
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(image_id[near[present]]))
