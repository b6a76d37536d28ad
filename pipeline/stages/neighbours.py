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
from pipeline.stages.neighbour_search import Layout, Search, lay_out, recall, search_all
from pipeline.storage.arrays import Array, ArrayShards, open_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-neighbours"
CODE_VERSION = "2"


def make_neighbours(
    store: Store,
    crawls: Sequence[str],
    settings: NeighbourSettings,
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Find each usable training image's nearest neighbours by cosine over all classes and crawls, its doubles left out.

    Up to `exact_images` every pair is compared. Above, images are laid out by cell in a scratch file and each is
    compared with the cells that the images of its cell are nearest to; `recall` in the facts is measured on a sample.

    Args:
        store: where listing, images, features and `evidence-duplicates` are current.
        crawls: the crawls to read.
        settings: of the search.
        workers: threads, or a cluster; each holds a block of queries and its candidates.
        on_progress: called with the number of images just searched.

    Returns:
        Beside `evidence/` (NEIGHBOURS): `nearest/` (NEAREST), the neighbours themselves.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    features = current_features(store, crawls)
    duplicates = store.current("evidence-duplicates")

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        group = read_column(duplicates, order, "duplicate_group")
        shards = ArrayShards([artifact.table("features") for artifact in features])
        search = Search(order, shards, group, settings, draft.folder / "scratch")
        with threadpool_limits(1):  # one block a thread
            layout = lay_out(search, workers)
            found, cosine = _spread(search, layout, search_all(search, layout, workers, on_progress))
            tasks = [(k, task) for k, task in enumerate(stretches(order.sizes)) if draft.finished(k) is None]
            for _ in map_shards(partial(_write, draft, order, found, cosine), tasks, workers):
                pass
            missed = {} if search.exact else {"recall": recall(search, layout, found)}
        shutil.rmtree(search.scratch, ignore_errors=True)
        return {"images": len(order), "unknown": len(order) - len(layout.rows), "exact": search.exact, **missed}

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images, *features, duplicates]))
    return store.make(STAGE, WHOLE, wanted, build)


def _spread(search: Search, layout: Layout, folders: Sequence[Path]) -> tuple[Array, Array]:
    """The tasks' findings in the order of the evidence tables: (t, k) rows and cosines, on the disk."""
    search.scratch.mkdir(parents=True, exist_ok=True)
    shape = (max(len(search.order), 1), search.settings.k)
    found = np.memmap(search.scratch / "nearest.raw", np.int64, "w+", shape=shape)
    cosine = np.memmap(search.scratch / "cosine.raw", np.float32, "w+", shape=shape)
    found[:], cosine[:] = -1, np.nan
    start = 0
    for folder in folders:
        own = open_array(folder / "nearest.npy")
        rows = layout.rows[start : start + len(own)]
        found[rows], cosine[rows] = own, open_array(folder / "cosine.npy")
        start += len(own)
    return found, cosine


def _write(draft: Draft, order: ClassOrder, found: Array, cosine: Array, task: tuple[int, range]) -> None:
    number, classes = task
    rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
    near, close = np.asarray(found[rows]), np.asarray(cosine[rows])
    said = agreement(order.class_index[rows], np.where(near >= 0, order.class_index[near], -1), close)
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
            {"image_id": image_id, "neighbours": _lists(near, order.image_id)}, schema=NEAREST
        ),
    }
    draft.finish(number, {path: write_table(path, table.schema, [table]) for path, table in files.items()})


def _lists(near: npt.NDArray[np.int64], image_id: npt.NDArray[np.int64]) -> pa.ListArray:
    """The neighbours' ids, nearest first; an image without any has an empty list."""
    present = near >= 0
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(image_id[near[present]]))
