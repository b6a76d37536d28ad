"""The images laid out for a search: cell by cell in a scratch file, or in memory where every pair is compared."""

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
    Cells,
    cell_count,
    centres_of_groups,
    group_count,
    train_centres,
)
from pipeline.evidence.lists import Near
from pipeline.evidence.neighbours import NeighbourSettings, single, unit_rows
from pipeline.evidence.sampling import hashed_sample
from pipeline.stages.classes import ClassOrder
from pipeline.storage.arrays import (
    Array,
    ArrayShards,
    array_rows,
    blocks,
    finished,
    open_array,
    scratch_array,
    write_array,
)
from pipeline.storage.buckets import Spill, in_buckets
from pipeline.storage.draft import Draft

BLOCK_ROWS = 8192  # features widened at a time
QUERY_ROWS = 512  # compared with all others at a time, up to `exact_images`
ASKING_ROWS = 4096  # queries that ask for their cells at a time, above
CELLS = "cells"  # the folder of what `keep_cells` keeps
_CENTRES = ("groups", "group-starts", "centres")


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

    def units(self, at: slice | npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
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
        rows = by_cell(search, np.where(known, 0, -1))
        return Layout(rows, np.array([0, len(rows)]), units[rows])
    done = [search.scratch / f"{name}.npy" for name in ("cell", "near", "features")]
    if not all(path.exists() for path in done):
        _write_layout(search, workers, done)
    cells, near, features = (np.asarray(open_array(path)) for path in done)
    rows = by_cell(search, cells)
    starts = _starts(cells, array_rows(search.scratch / "centres.npy"))
    return Layout(rows, starts, features, Near(near[:, 1:], near[:, 0]), _scale(features))


def _starts(cells: Array, count: int) -> npt.NDArray[np.int64]:
    """(m + 1,) where each of so many cells begins, given that of each image, -1 for none."""
    sizes = np.zeros(count + 1, np.int64)  # of -1, no cell, and then of each
    for span in blocks(len(cells)):
        sizes += np.bincount(cells[span] + 1, minlength=count + 1)
    return np.concatenate([[0], np.cumsum(sizes[1:])])


def _train(search: Search, workers: Workers) -> Cells:
    """Centres of the cells, on a sample of the images: first of groups of them, then in each group."""
    image_id, wanted = search.order.image_id, cell_count(len(search.order))
    chosen = hashed_sample(image_id, wanted * POINTS_PER_CELL, search.settings.seed)
    chosen = chosen[np.argsort(image_id[chosen])]  # whatever the order of the crawls
    few = chosen[:: max(1, len(chosen) // (group_count(wanted) * POINTS_PER_CENTRE))]
    groups = train_centres(_directed(search, few), group_count(wanted), search.settings.seed)
    near = np.concatenate(list(map_shards(partial(_group, search, chosen, groups), spans(len(chosen)), workers)))
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


def spans(rows: int) -> list[slice]:
    """Rows in blocks that look for their cells together."""
    return [slice(at, min(at + ASKING_ROWS, rows)) for at in range(0, rows, ASKING_ROWS)]


def _write_layout(search: Search, workers: Workers, paths: list[Path]) -> None:
    total = len(search.order)
    centres = _train(search, workers)
    kept: list[Array] = [centres.groups, centres.starts, centres.centres]
    for name, values in zip(_CENTRES, kept, strict=True):
        _keep(search.scratch / f"{name}.npy", values)
    cells = scratch_array((total,), np.int32)
    near = scratch_array((total, 1 + min(search.settings.probes, len(centres.centres))), np.int32)  # reach, cells

    def assign(block: slice) -> tuple[Near, npt.NDArray[np.bool_]]:
        units, known = search.units(block)
        return centres.nearest(units, near.shape[1] - 1), known

    for block, (told, known) in zip(spans(total), map_shards(assign, spans(total), workers), strict=True):
        near[block, 0], near[block, 1:] = told.reach, told.lists
        cells[block] = np.where(known, told.lists[:, 0], -1)
    rows = by_cell(search, cells)
    place = scratch_array((total,), np.int64)
    place[:] = -1
    for span in blocks(len(rows)):
        place[rows[span]] = np.arange(span.start, span.stop)
    _keep(paths[0], cells)
    with (
        write_array(paths[2], (len(rows), search.shards.row_shape[0]), np.float16) as features,  # published last
        write_array(paths[1], (len(rows), near.shape[1]), np.int32) as asked,
    ):
        for block in (slice(at, at + BLOCK_ROWS) for at in range(0, total, BLOCK_ROWS)):
            laid = place[block] >= 0
            asked[place[block][laid]] = near[block][laid]
            features[place[block][laid]] = search.order.gather(search.shards, block)[laid]


def by_cell(search: Search, cells: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """Rows of the images that have a cell, by cell and then id: equally near images are told in that order."""
    found = Spill()
    for own in in_buckets(cells):
        known = own[cells[own] >= 0]
        found.add(known[np.lexsort((search.order.image_id[known], cells[known]))])
    return found.array()


def _keep(path: Path, values: Array) -> None:
    with write_array(path, values.shape, values.dtype) as out:
        out[:] = values


def keep_cells(draft: Draft, shard: int, search: Search, layout: Layout) -> None:
    """Keep what images that come later are searched by, where not every pair is compared, in the folder `cells`.

    `groups.npy`, `group-starts.npy` and `centres.npy` as `Cells` has them; `rows.npy` and `starts.npy` as `Layout`.
    """
    if search.exact or draft.finished(shard) is not None:
        return
    files = {}
    kept: dict[str, Array] = {name: open_array(search.scratch / f"{name}.npy") for name in _CENTRES}
    for name, values in (kept | {"rows": layout.rows, "starts": layout.starts}).items():
        path = draft.table(CELLS) / f"{name}.npy"
        _keep(path, values)
        files[path] = len(values)
    draft.finish(shard, files)


def read_cells(folder: Path) -> tuple[Cells, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The cells that were kept, the rows in them, (u,), and where each begins, (m + 1,)."""
    groups, starts, centres, rows, begins = (
        open_array(folder / f"{name}.npy") for name in (*_CENTRES, "rows", "starts")
    )
    return Cells(np.array(groups), np.array(starts), np.asarray(centres)), np.asarray(rows), np.array(begins)
