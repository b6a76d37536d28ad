"""Nearest neighbours over all classes with a bounded working set: rows laid out by cell, a block of queries at a time.

Everything lies in a scratch folder of the draft, part by part, so that a killed search goes on where it was.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.neighbours import (
    POINTS_PER_CELL,
    NeighbourSettings,
    cell_centres,
    cell_count,
    nearest,
    nearest_cells,
    searched_cells,
    unit_rows,
)
from pipeline.evidence.sampling import hashed_sample
from pipeline.stages.classes import ClassOrder
from pipeline.storage.arrays import Array, ArrayShards, blocks, open_array, scratch_array, write_array
from pipeline.storage.buckets import Spill, in_buckets

BLOCK_ROWS = 8192  # features widened at a time
QUERY_ROWS = 512  # compared with their candidates at a time
MOST_CANDIDATES = 65_536  # rows that a block of queries is compared with, above `exact_images`
HELD_NUMBERS = 2**26  # of 4 bytes that those rows may take: with many dimensions they are fewer
CELL_NUMBERS = 2**23  # products of images and centres of cells, held by a thread
TASK_ROWS = 4096  # queries whose neighbours are kept in one file
RECALL_QUERIES = 256  # images whose neighbours are searched exactly, to know what the cells miss


@dataclass(frozen=True)
class Search:
    """The t usable training images to be searched, and where the work lies."""

    order: ClassOrder
    shards: ArrayShards
    group: npt.NDArray[np.int64]  # (t,) duplicate groups
    settings: NeighbourSettings
    scratch: Path

    @property
    def exact(self) -> bool:
        """Whether every pair is compared."""
        return len(self.order) <= self.settings.exact_images

    def units(
        self, rows: slice | npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Some images' features as unit rows, and which of them have a direction."""
        return unit_rows(self.order.gather(self.shards, rows))


@dataclass(frozen=True)
class Layout:
    """The u images with a direction, laid out cell by cell."""

    rows: npt.NDArray[np.int64]  # (u,) positions in the order of the evidence tables
    starts: npt.NDArray[np.int64]  # (m + 1,) where each cell begins
    features: Array  # (u, d): float32 unit rows where all is compared, else float16 as they came, on the disk
    probes: Array | None  # int32 (u, p) cells nearest to each; None: there is one cell, and all is compared

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(m,) images of each cell."""
        return np.diff(self.starts)

    def blocks(self) -> list[range]:
        """The images in blocks that share their candidates: at most QUERY_ROWS of one cell."""
        cells = itertools.pairwise(self.starts.tolist())
        return [range(at, min(at + QUERY_ROWS, stop)) for start, stop in cells for at in range(start, stop, QUERY_ROWS)]

    def candidates(self, block: range) -> npt.NDArray[np.int64]:
        """What a block is compared with: (c,) positions in the layout."""
        if self.probes is None:
            return np.arange(len(self.rows))
        most = max(1, min(MOST_CANDIDATES, HELD_NUMBERS // max(self.features.shape[1], 1)))
        cells = searched_cells(self.probes[block.start : block.stop], self.sizes, most)
        found = np.concatenate([np.arange(self.starts[cell], self.starts[cell + 1]) for cell in cells])
        # A single cell may be larger than memory allows: then images evenly spread over it stand for it.
        return found[:: -(-len(found) // most)]


def lay_out(search: Search, workers: Workers) -> Layout:
    """Assign every image to its nearest cell and store the features cell by cell; one cell where all is compared."""
    if search.exact:
        units, known = search.units(slice(None))
        rows = _by_cell(search, np.where(known, 0, -1))
        return Layout(rows, np.array([0, len(rows)]), units[rows], None)
    done = [search.scratch / f"{name}.npy" for name in ("cells", "probes", "features")]
    if not all(path.exists() for path in done):
        _write_layout(search, workers, done)
    cells, probes, features = map(open_array, done)
    rows = _by_cell(search, cells)
    return Layout(rows, _starts(cells), features, probes)


def _sample(search: Search, rows: npt.NDArray[np.int64]) -> Array:
    """Those of some images that have a direction, as unit rows on the disk: there are more, the larger the crawl."""
    found, stop = scratch_array((len(rows), *search.shards.row_shape), np.float32), 0
    for at in range(0, len(rows), BLOCK_ROWS):
        units, known = search.units(rows[at : at + BLOCK_ROWS])
        own = units[known]
        found[stop : stop + len(own)] = own
        stop += len(own)
    return found[:stop]


def _starts(cells: Array) -> npt.NDArray[np.int64]:
    """(m + 1,) where each cell begins."""
    sizes = np.zeros(1, np.int64)  # of -1, no cell, and then of each
    for span in blocks(len(cells)):
        own = np.bincount(cells[span] + 1)
        sizes = np.pad(sizes, (0, max(0, len(own) - len(sizes))))
        sizes[: len(own)] += own
    return np.concatenate([[0], np.cumsum(sizes[1:])])


def _write_layout(search: Search, workers: Workers, paths: list[Path]) -> None:
    total, settings = len(search.order), search.settings
    count = cell_count(total)
    image_id = search.order.image_id
    chosen = hashed_sample(image_id, count * POINTS_PER_CELL, settings.seed)
    centres = cell_centres(_sample(search, chosen[np.argsort(image_id[chosen])]), count, settings.seed)
    cells = scratch_array((total,), np.int32)
    probes = scratch_array((total, min(settings.probes, len(centres))), np.int32)
    step = min(BLOCK_ROWS, max(1, CELL_NUMBERS // count))

    def assign(block: slice) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        units, known = search.units(block)
        return nearest_cells(units, centres, settings.probes), known

    spans = [slice(at, at + step) for at in range(0, total, step)]
    for block, (near, known) in zip(spans, map_shards(assign, spans, workers), strict=True):
        probes[block], cells[block] = near, np.where(known, near[:, 0], -1)
    rows = _by_cell(search, cells)
    place = scratch_array((total,), np.int64)
    place[:] = -1
    for span in blocks(len(rows)):
        place[rows[span]] = np.arange(span.start, span.stop)
    with write_array(paths[0], cells.shape, np.int32) as stored:
        stored[:] = cells
    with (
        write_array(paths[2], (len(rows), search.shards.row_shape[0]), np.float16) as features,  # published last
        write_array(paths[1], (len(rows), probes.shape[1]), np.int32) as asked,
    ):
        for block in (slice(at, at + BLOCK_ROWS) for at in range(0, total, BLOCK_ROWS)):
            laid = place[block] >= 0
            asked[place[block][laid]] = probes[block][laid]
            features[place[block][laid]] = search.order.gather(search.shards, block)[laid]


def _by_cell(search: Search, cells: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """Rows of the images that have a cell, by cell and then id: equally near images are told in that order."""
    found = Spill()
    for own in in_buckets(cells):
        known = own[cells[own] >= 0]
        found.add(known[np.lexsort((search.order.image_id[known], cells[known]))])
    return found.array()


def search_all(search: Search, layout: Layout, workers: Workers, on_progress: Callable[[int], None]) -> list[Path]:
    """Search every block; each task's findings lie in two files, which an earlier attempt may have made.

    Returns:
        The tasks' folders: `nearest.npy` int64 (n, k) rows in the order of the evidence tables, -1 for none, and
        `cosine.npy` float32 (n, k), for n images that follow one another in the layout.
    """
    tasks: list[list[range]] = []
    for block in layout.blocks():
        if not tasks or block.stop - tasks[-1][0].start > TASK_ROWS:
            tasks.append([])
        tasks[-1].append(block)
    folders = [search.scratch / f"found-{number:06d}" for number in range(len(tasks))]
    left = [task for task in zip(folders, tasks, strict=True) if not (task[0] / "cosine.npy").exists()]
    for rows in map_shards(partial(_search_task, search, layout), left, workers):
        on_progress(rows)
    return folders


def _search_task(search: Search, layout: Layout, task: tuple[Path, list[range]]) -> int:
    folder, blocks = task
    shape = (blocks[-1].stop - blocks[0].start, search.settings.k)
    first = blocks[0].start
    with (
        write_array(folder / "cosine.npy", shape, np.float32) as cosine,  # published last
        write_array(folder / "nearest.npy", shape, np.int64) as found,
    ):
        for block in blocks:
            span = slice(block.start - first, block.stop - first)
            found[span], cosine[span] = _search_block(search, layout, block)
    return shape[0]


def _search_block(search: Search, layout: Layout, block: range) -> tuple[Array, Array]:
    queries, candidates = slice(block.start, block.stop), layout.candidates(block)
    groups = search.group[layout.rows[queries]], search.group[layout.rows[candidates]]
    if layout.probes is None:
        own, everything = layout.features[queries], layout.features
    else:
        own, everything = unit_rows(layout.features[queries])[0], unit_rows(layout.features[candidates])[0]
    found, cosine = nearest(own, everything, groups, search.settings.k)
    return np.where(found >= 0, layout.rows[candidates[found]], -1), cosine


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
