"""The images of the fitted crawls as those of later crawls are compared with them: see `pipeline.stages.standing`."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.cells import Cells
from pipeline.evidence.lists import Asking, Lists, Near, nearest_listed
from pipeline.evidence.neighbours import Floats, NeighbourSettings, nearest
from pipeline.stages.classes import ClassOrder, current_features, read_column
from pipeline.stages.neighbour_layout import (
    ASKING_ROWS,
    BLOCK_ROWS,
    CELLS,
    QUERY_ROWS,
    Search,
    by_cell,
    read_cells,
    spans,
)
from pipeline.stages.neighbour_search import CELL_ROWS, MOST_CANDIDATES, Find
from pipeline.stages.standing import Standing
from pipeline.storage.arrays import Array, ArrayShards, scratch_array
from pipeline.storage.artifacts import Artifact

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Index:
    """The u images of the fitted crawls that have a direction, cell by cell; their features stay where they are."""

    search: Search
    rows: Rows  # (u,) in the order of the evidence tables
    starts: npt.NDArray[np.int64]  # (m + 1,) where each cell begins
    cells: Cells | None  # None where every pair is compared

    @classmethod
    def open(cls, base: Artifact, standing: Standing, settings: NeighbourSettings) -> Self:
        """What `base`, the neighbours of the fitted crawls, were searched by."""
        store, crawls = standing.store, standing.fitted
        order = ClassOrder.read(
            [store.current("listing", crawl) for crawl in crawls], [store.current("images", crawl) for crawl in crawls]
        )
        shards = ArrayShards([artifact.table("features") for artifact in current_features(store, crawls)])
        group = read_column(standing.duplicates(), order, "duplicate_group")
        search = Search(order, shards, group, settings, base.folder)
        if not search.exact:
            cells, rows, starts = read_cells(base.table(CELLS))
            return cls(search, rows, starts, cells)
        _, known = search.units(slice(None))
        rows = by_cell(search, np.where(known, 0, -1))
        return cls(search, rows, np.array([0, len(rows)]), None)

    def units(self, at: slice | npt.NDArray[np.integer[Any]]) -> Floats:
        """Some images' unit rows."""
        return self.search.units(self.rows[at])[0]

    @cached_property
    def every(self) -> Floats:
        """(u, d) those of all, for where every pair is compared."""
        return self.units(slice(None))

    def blocks(self, queries: int) -> list[range]:
        """So many queries in blocks that are searched for together."""
        step = QUERY_ROWS if self.cells is None else ASKING_ROWS
        return [range(at, min(at + step, queries)) for at in range(0, queries, step)]

    def questions(self, own: Search, workers: Workers) -> tuple[Rows, Find]:
        """The rows of other images that have a direction, in the order to ask in, and how a block of them is answered.

        Neighbouring queries ask for the same cells, which are then read once for all of them.
        """
        total = len(own.order)
        width = 1 if self.cells is None else 1 + min(own.settings.probes, len(self.cells.centres))
        near = scratch_array((total, width), np.int32)  # reach, then cells
        first = scratch_array((total,), np.int32)
        parts = map_shards(partial(_near, self.cells, own, width - 1), spans(total), workers)
        for block, (told, known) in zip(spans(total), parts, strict=True):
            near[block, 0], near[block, 1:] = told.reach, told.lists
            first[block] = np.where(known, told.lists[:, 0] if width > 1 else 0, -1)
        rows = by_cell(own, first)
        return rows, partial(_answer, self, own, rows, near)


def _near(cells: Cells | None, own: Search, count: int, span: slice) -> tuple[Near, npt.NDArray[np.bool_]]:
    units, known = own.units(span)
    if cells is None:
        return Near(np.zeros((len(units), 0), np.int32), np.zeros(len(units), np.int32)), known
    return cells.nearest(units, count), known


def _answer(index: Index, own: Search, rows: Rows, near: Array, block: range) -> tuple[Array, Array]:
    """(n, k) the nearest images of a block of queries, as rows of the fitted crawls, and their cosines."""
    asking = rows[block.start : block.stop]
    group, others, k = own.group[asking], index.search.group, own.settings.k
    queries, _ = own.units(asking)
    if index.cells is None:
        found, cosine = nearest(queries, index.every, (group, others[index.rows]), k)
    else:
        wanted = Near(near[asking, 1:], near[asking, 0])
        source = Lists(index.starts, index.units, CELL_ROWS, BLOCK_ROWS)  # of a cell they lie all over the crawl
        every = Asking(queries, wanted, MOST_CANDIDATES)
        found, cosine = nearest_listed(every, source, group, lambda at: others[index.rows[at]], k)
    return np.where(found >= 0, index.rows[found], -1), cosine
