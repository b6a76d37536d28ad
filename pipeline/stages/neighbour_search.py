"""Nearest neighbours over all classes with a bounded working set: a block of queries at a time.

Everything lies in a scratch folder of the draft, part by part, so that a killed search goes on where it was.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.lists import Asking, Lists, nearest_listed
from pipeline.evidence.neighbours import nearest
from pipeline.evidence.sampling import hashed_sample
from pipeline.stages.neighbour_layout import BLOCK_ROWS, Layout, Search
from pipeline.storage.arrays import Array, blocks, scratch_array, write_array

MOST_CANDIDATES = 4096  # images that a query is compared with, where it asks for cells
CELL_ROWS = 1024  # of a cell that are asked for at most: of a larger one images evenly spread over it
TASK_ROWS = 4096  # queries whose neighbours are kept in one file
RECALL_QUERIES = 256  # images whose neighbours are searched exactly, to know what the cells miss
Find = Callable[[range], tuple[Array, Array]]  # some queries -> (n, k) rows, -1 for none, and cosines


def search_all(search: Search, layout: Layout, workers: Workers, on_progress: Callable[[int], None]) -> list[Path]:
    """Search every block of a layout: `search_blocks`."""
    return search_blocks(search, layout.blocks(), partial(_search_block, search, layout), workers, on_progress)


def search_blocks(
    search: Search, queries: list[range], find: Find, workers: Workers, on_progress: Callable[[int], None]
) -> list[Path]:
    """Search block after block; each task's findings lie in two files, which an earlier attempt may have made.

    Returns:
        The tasks' folders: `nearest.npy` int64 (n, k) rows, -1 for none, and `cosine.npy` float32 (n, k), for n queries
        that follow one another.
    """
    tasks: list[list[range]] = []
    for block in queries:
        if not tasks or block.stop - tasks[-1][0].start > TASK_ROWS:
            tasks.append([])
        tasks[-1].append(block)
    folders = [search.scratch / f"found-{number:06d}" for number in range(len(tasks))]
    left = [task for task in zip(folders, tasks, strict=True) if not (task[0] / "cosine.npy").exists()]
    for rows in map_shards(partial(_search_task, search.settings.k, find), left, workers):
        on_progress(rows)
    return folders


def _search_task(k: int, find: Find, task: tuple[Path, list[range]]) -> int:
    folder, blocks = task
    first, shape = blocks[0].start, (blocks[-1].stop - blocks[0].start, k)
    with (
        write_array(folder / "cosine.npy", shape, np.float32) as cosine,  # published last
        write_array(folder / "nearest.npy", shape, np.int64) as found,
    ):
        for block in blocks:
            span = slice(block.start - first, block.stop - first)
            found[span], cosine[span] = find(block)
    return shape[0]


def _search_block(search: Search, layout: Layout, block: range) -> tuple[Array, Array]:
    rows, k = layout.rows, search.settings.k
    queries = slice(block.start, block.stop)
    own = search.group[rows[queries]]
    if layout.near is None:
        found, cosine = nearest(layout.features[queries], layout.features, (own, search.group[rows]), k)
    else:
        source = Lists(layout.starts, layout.units, CELL_ROWS)
        asking = Asking(layout.units(queries), layout.near.of(queries), MOST_CANDIDATES)
        found, cosine = nearest_listed(asking, source, own, lambda at: search.group[rows[at]], k)
    return np.where(found >= 0, rows[found], -1), cosine


def recall(search: Search, layout: Layout, found: npt.NDArray[np.int64]) -> float:
    """The share of true neighbours that were found, of a sample of images compared with all others.

    Args:
        search: what was searched.
        layout: how.
        found: (t, k) neighbours of every image, in the order of the evidence tables.
    """
    laid = scratch_array(layout.rows.shape, np.int64)
    for span in blocks(len(laid)):
        laid[span] = search.order.image_id[layout.rows[span]]
    rows = layout.rows[hashed_sample(laid, RECALL_QUERIES, search.settings.seed)]
    queries, _ = search.units(rows)
    k = search.settings.k
    best = np.full((len(rows), k), -1, np.int64)
    cosine = np.full((len(rows), k), -np.inf, np.float32)
    for start in range(0, len(search.order), BLOCK_ROWS):
        block = np.arange(start, min(start + BLOCK_ROWS, len(search.order)))
        units, known = search.units(block)
        block = block[known]
        at, value = nearest(queries, units[known], (search.group[rows], search.group[block]), k)
        both = np.concatenate([best, np.where(at >= 0, block[at] if len(block) else -1, -1)], axis=1)
        values = np.concatenate([cosine, np.nan_to_num(value, nan=-np.inf)], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :k]
        best, cosine = np.take_along_axis(both, order, axis=1), np.take_along_axis(values, order, axis=1)
    hits = ((best[:, :, None] == found[rows][:, None, :]) & (best[:, :, None] >= 0)).any(axis=2).sum()
    return float(hits / max((best >= 0).sum(), 1))
