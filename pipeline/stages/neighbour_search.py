"""Nearest neighbours over all classes with a bounded working set: rows laid out by cell, a block of queries at a time.

Everything lies in a scratch folder of the draft, part by part, so that a killed search goes on where it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.cells import (
    POINTS_PER_CELL,
    POINTS_PER_CENTRE,
    Asking,
    Cells,
    Lists,
    Near,
    cell_count,
    centres_of_groups,
    group_count,
    nearest_listed,
    train_centres,
)
from pipeline.evidence.neighbours import NeighbourSettings, nearest, single, unit_rows
from pipeline.evidence.sampling import hashed_sample
from pipeline.stages.classes import ClassOrder
from pipeline.storage.arrays import Array, ArrayShards, blocks, finished, open_array, scratch_array, write_array
from pipeline.storage.buckets import Spill, in_buckets

BLOCK_ROWS = 8192  # features widened at a time
QUERY_ROWS = 512  # compared with all others at a time, up to `exact_images`
ASKING_ROWS = 4096  # queries that ask for their cells at a time, above
MOST_CANDIDATES = 4096  # images that a query is compared with there
CELL_ROWS = 1024  # of a cell that are asked for at most: of a larger one images evenly spread over it
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
    """The u images with a direction, laid out cell by cell; one cell, and all is compared, where `near` is None."""

    rows: npt.NDArray[np.int64]  # (u,) positions in the order of the evidence tables
    starts: npt.NDArray[np.int64]  # (m + 1,) where each cell begins
    features: Array  # (u, d): float32 unit rows where all is compared, else float16 as they came, on the disk
    near: Near | None = None  # the cells nearest to each
    scale: Array | None = None  # (u,) what makes the features of each a unit row, where they are not, on the disk

    def units(self, at: slice) -> npt.NDArray[np.float32]:
        """Some images' unit rows."""
        rows = single(self.features[at])
        if self.scale is not None:
            rows *= self.scale[at, None]
        return rows

    def blocks(self) -> list[range]:
        """The images in blocks that are searched for together."""
        count, step = len(self.rows), QUERY_ROWS if self.near is None else ASKING_ROWS
        return [range(at, min(at + step, count)) for at in range(0, count, step)]


def lay_out(search: Search, workers: Workers) -> Layout:
    """Assign every image to its nearest cell and store the features cell by cell; one cell where all is compared."""
    if search.exact:
        units, known = search.units(slice(None))
        rows = _by_cell(search, np.where(known, 0, -1))
        return Layout(rows, np.array([0, len(rows)]), units[rows])
    done = [search.scratch / f"{name}.npy" for name in ("cells", "near", "features")]
    if not all(path.exists() for path in done):
        _write_layout(search, workers, done)
    cells, near, features = (np.asarray(open_array(path)) for path in done)
    rows = _by_cell(search, cells)
    return Layout(rows, _starts(cells), features, Near(near[:, 1:], near[:, 0]), _scale(features))


def _starts(cells: Array) -> npt.NDArray[np.int64]:
    """(m + 1,) where each cell begins."""
    sizes = np.zeros(1, np.int64)  # of -1, no cell, and then of each
    for span in blocks(len(cells)):
        own = np.bincount(cells[span] + 1)
        sizes = np.pad(sizes, (0, max(0, len(own) - len(sizes))))
        sizes[: len(own)] += own
    return np.concatenate([[0], np.cumsum(sizes[1:])])


def _train(search: Search, workers: Workers) -> Cells:
    """Centres of the cells, on a sample of the images: first of groups of them, then in each group."""
    image_id, wanted = search.order.image_id, cell_count(len(search.order))
    chosen = hashed_sample(image_id, wanted * POINTS_PER_CELL, search.settings.seed)
    chosen = chosen[np.argsort(image_id[chosen])]  # whatever the order of the crawls
    few = chosen[:: max(1, len(chosen) // (group_count(wanted) * POINTS_PER_CENTRE))]
    groups = train_centres(_directed(search, few), group_count(wanted), search.settings.seed)
    near = np.concatenate(list(map_shards(partial(_group, search, chosen, groups), _spans(len(chosen)), workers)))
    cells = centres_of_groups(np.bincount(near[near >= 0], minlength=len(groups)), wanted)

    def train(group: int) -> npt.NDArray[np.float32]:
        own = _directed(search, chosen[near == group])
        return train_centres(own, int(cells[group]), search.settings.seed) if len(own) else groups[group : group + 1]

    found = list(map_shards(train, range(len(groups)), workers))
    return Cells(groups, np.cumsum([0, *map(len, found)]), np.concatenate(found))


def _scale(features: Array) -> Array:
    """(u,) one over the length of each row, on the disk."""
    found = scratch_array((len(features),), np.float32)
    for at in range(0, len(found), BLOCK_ROWS):
        rows = single(features[at : at + BLOCK_ROWS])
        found[at : at + BLOCK_ROWS] = 1 / np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return finished(found)


def _directed(search: Search, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Unit rows of those of some images that have a direction."""
    units, known = search.units(rows)
    return units[known]


def _group(search: Search, rows: npt.NDArray[np.int64], groups: npt.NDArray[np.float32], span: slice) -> Array:
    """The nearest of some centres to some images, -1 for one without a direction."""
    units, known = search.units(rows[span])
    return np.where(known, (units @ groups.T).argmax(axis=1), -1)


def _spans(rows: int) -> list[slice]:
    return [slice(at, min(at + ASKING_ROWS, rows)) for at in range(0, rows, ASKING_ROWS)]


def _write_layout(search: Search, workers: Workers, paths: list[Path]) -> None:
    total = len(search.order)
    centres = _train(search, workers)
    cells = scratch_array((total,), np.int32)
    near = scratch_array((total, 1 + min(search.settings.probes, len(centres.centres))), np.int32)  # reach, cells

    def assign(block: slice) -> tuple[Near, npt.NDArray[np.bool_]]:
        units, known = search.units(block)
        return centres.nearest(units, near.shape[1] - 1), known

    for block, (told, known) in zip(_spans(total), map_shards(assign, _spans(total), workers), strict=True):
        near[block, 0], near[block, 1:] = told.reach, told.lists
        cells[block] = np.where(known, told.lists[:, 0], -1)
    rows = _by_cell(search, cells)
    place = scratch_array((total,), np.int64)
    place[:] = -1
    for span in blocks(len(rows)):
        place[rows[span]] = np.arange(span.start, span.stop)
    with write_array(paths[0], cells.shape, np.int32) as stored:
        stored[:] = cells
    with (
        write_array(paths[2], (len(rows), search.shards.row_shape[0]), np.float16) as features,  # published last
        write_array(paths[1], (len(rows), near.shape[1]), np.int32) as asked,
    ):
        for block in (slice(at, at + BLOCK_ROWS) for at in range(0, total, BLOCK_ROWS)):
            laid = place[block] >= 0
            asked[place[block][laid]] = near[block][laid]
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
