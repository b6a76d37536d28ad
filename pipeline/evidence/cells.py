"""Which of very many vectors are nearest, asking few of them: vectors in lists by cell, each query asking its own.

Inverted lists as in "Billion-scale similarity search with GPUs" (Johnson, Douze and Jegou, 2019), section 5. Queries
are taken many at a time and list after list, so that each list is one matrix product with all that ask for it. Cells
are so small that a query asks for many of them, those nearest to itself: at the same number of comparisons this finds
far more than what the queries of one large cell ask for together. Cells much farther away than the nearest one are not
asked for: "SPANN: Highly-efficient Billion-scale Approximate Nearest Neighbor Search" (Chen et al., 2021), section 3.3.
The centres lie in lists as well, so that the cost of finding the cells of an image hardly grows with their number.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.evidence.neighbours import SPARE, Floats, Integers, largest, without_doubles

CELL_IMAGES: Final = 128  # that a cell holds on average
GROUPS_ASKED: Final = 16  # of centres, for the cells nearest to an image
GROUP_CENTRES: Final = 1024  # at most; images that lie closer together than this allows share larger cells
FARTHER: Final = 0.6  # than its nearest centre may be another that a query asks for: its distance in times, less one
LEAST: Final = 256  # vectors that a query asks for, be they near or far
SELECTED_ROWS: Final = 256  # queries whose nearest are selected at a time
KMEANS_ITERATIONS: Final = 6  # cells need not be perfect: a query asks for many
POINTS_PER_CENTRE: Final = 64  # that the groups of centres are trained on
POINTS_PER_CELL: Final = 16  # that the centres of the cells are trained on


def cell_count(images: int) -> int:
    """Cells for so many images."""
    return max(1, -(-images // CELL_IMAGES))


def group_count(cells: int) -> int:
    """Groups of centres: as many as an image then compares centres with in the groups that it asks for."""
    return min(cells, math.isqrt(GROUPS_ASKED * cells))


def train_centres(sample: Floats, centres: int, seed: int) -> Floats:
    """Centres by spherical k-means.

    Args:
        sample: (s, d) unit rows.
        centres: how many.
        seed: of the initial centres.

    Returns:
        (m, d) unit rows, m at most `centres`.
    """
    import faiss  # noqa: PLC0415 - half a second that the command line should not pay

    faiss.omp_set_num_threads(1)  # sums would depend on how threads share them out
    trainer = faiss.Kmeans(
        sample.shape[1],
        min(centres, len(sample)),
        niter=KMEANS_ITERATIONS,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
    )
    trainer.train(np.ascontiguousarray(sample))
    return np.asarray(trainer.centroids, np.float32)


def centres_of_groups(points: Integers, cells: int) -> npt.NDArray[np.int64]:
    """(g,) how many cells each group gets: by its part of the sample, at least 1, at most GROUP_CENTRES.

    Args:
        points: (g,) of the sample.
        cells: in all.
    """
    share = np.ceil(np.asarray(points) * (cells / max(int(np.sum(points)), 1)))
    return np.asarray(share.clip(1, GROUP_CENTRES), np.int64)


class Near(NamedTuple):
    """The lists nearest to n vectors."""

    lists: npt.NDArray[np.int32]  # (n, p) nearest first, then -1
    reach: npt.NDArray[np.int32]  # (n,) how many of them are not much farther away than the first

    def of(self, rows: slice) -> "Near":
        """Those of some of the vectors."""
        return Near(self.lists[rows], self.reach[rows])


@dataclass(frozen=True)
class Lists:
    """Vectors in L lists, one list after the other."""

    starts: npt.NDArray[np.int64]  # (L + 1,) where each begins
    vectors: Callable[[slice], Floats]  # of some positions, (n, d)
    most: int  # vectors that are asked of one list; of a longer one those that are evenly spread over it

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """(L,) every how manieth vector of a list is asked for."""
        return np.asarray(np.maximum(1, -(-np.diff(self.starts) // self.most)))

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(L,) vectors of each list that are asked for."""
        return np.asarray(-(-np.diff(self.starts) // self.steps), np.int64)


@dataclass(frozen=True)
class Asking:
    """Queries and what they ask for; q and p at least 1."""

    queries: Floats  # (q, d)
    near: Near
    most: int  # vectors that each asks for in all; its first list is asked for whatever its size


@dataclass(frozen=True)
class Products:
    """Queries times what they asked for, each in ascending positions; q queries, p lists."""

    values: Floats  # of one query after the other, in `order`
    order: npt.NDArray[np.intp]  # (q,) of the queries: by how much they asked for
    lists: npt.NDArray[np.int64]  # (q, p) asked, ascending, then L
    ends: npt.NDArray[np.int64]  # (q, p) column after the last one of each list
    source: Lists

    def chunks(self) -> Iterator[tuple[npt.NDArray[np.intp], Floats]]:
        """Some queries (n,) that asked for as much, and their products (n, w), minus infinity beyond those."""
        start = 0
        for at in range(0, len(self.order), SELECTED_ROWS):
            rows = self.order[at : at + SELECTED_ROWS]
            counts = self.ends[rows, -1]
            padded = np.full((len(rows), max(1, int(counts.max()))), -np.inf, np.float32)
            stop = start + int(counts.sum())
            padded[np.arange(padded.shape[1]) < counts[:, None]] = self.values[start:stop]
            start = stop
            yield rows, padded

    def positions(self, rows: Integers, columns: Integers) -> npt.NDArray[np.int64]:
        """Positions of some columns (n, c) of some queries (n,); of a column beyond what was asked it is any."""
        ends, lists = self.ends[rows], self.lists[rows]
        slot = (ends[:, None, :] <= columns[:, :, None]).sum(axis=2).clip(max=ends.shape[1] - 1)
        before = np.take_along_axis(_before(ends), slot, axis=1)
        number = np.take_along_axis(lists, slot, axis=1).clip(max=len(self.source.starts) - 2)
        found = self.source.starts[number] + (columns - before) * self.source.steps[number]
        return np.asarray(found.clip(max=self.source.starts[-1] - 1))


def _before(ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where what ends there begins, (q, p)."""
    return np.asarray(np.pad(ends[:, :-1], ((0, 0), (1, 0))))


def ask(asking: Asking, source: Lists) -> Products:
    """Multiply each query with the vectors of its lists."""
    size, (lists, reach) = source.sizes, asking.near
    together = size[lists].cumsum(axis=1)
    near = np.arange(lists.shape[1]) < reach[:, None]
    asked = (lists >= 0) & (together <= asking.most) & (near | (together - size[lists] < LEAST))
    asked[:, 0] = True
    none = len(size)
    wanted = np.sort(np.where(asked, lists, none), axis=1)
    ends = np.append(size, 0)[wanted].cumsum(axis=1)
    order = np.argsort(ends[:, -1], kind="stable")
    first = np.empty(len(order), np.int64)
    first[order] = np.cumsum(ends[order, -1]) - ends[order, -1]
    values = np.empty(int(ends[:, -1].sum()), np.float32)
    starts, steps = (first[:, None] + _before(ends)).reshape(-1), source.steps
    for number, at in _by_list(wanted, none):
        own = source.vectors(slice(source.starts[number], source.starts[number + 1], steps[number]))
        values[starts[at][:, None] + np.arange(len(own))] = asking.queries[at // wanted.shape[1]] @ own.T
    return Products(values, order, wanted, ends, source)


def _by_list(wanted: npt.NDArray[np.integer[Any]], none: int) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Each list that is asked for, and where in `wanted` it is, flat."""
    order = np.argsort(wanted, axis=None, kind="stable")
    numbers, starts = np.unique(wanted.reshape(-1)[order], return_index=True)
    for number, at in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        if number != none:
            yield number, at


@dataclass(frozen=True)
class Cells:
    """Centres of cells, those that lie near each other in one group."""

    groups: Floats  # (g, d) unit rows
    starts: npt.NDArray[np.int64]  # (g + 1,) where the centres of each group begin
    centres: Floats  # (m, d) unit rows

    def nearest(self, rows: Floats, count: int) -> Near:
        """The cells nearest to each row, its own first.

        Args:
            rows: (n, d), n at least 1.
            count: of cells; of fewer where there are not so many.
        """
        groups = _nearest(rows @ self.groups.T, min(GROUPS_ASKED, len(self.groups)))
        source = Lists(self.starts, lambda at: self.centres[at], GROUP_CENTRES)
        told = ask(Asking(rows, groups, GROUPS_ASKED * GROUP_CENTRES), source)
        found = np.full((len(rows), min(count, len(self.centres))), -1, np.int32)
        reach = np.zeros(len(rows), np.int32)
        for own, cosine in told.chunks():
            columns, reach[own] = _nearest(cosine, min(count, cosine.shape[1]))
            there = np.take_along_axis(cosine, columns, axis=1) > -np.inf
            found[own, : columns.shape[1]] = np.where(there, told.positions(own, columns), -1)
        return Near(found, reach)


def _nearest(cosine: Floats, count: int) -> Near:
    """The columns with the largest cosines, largest first, equal ones in their order."""
    found, columns = largest(cosine, count)
    order = np.lexsort((columns, -found), axis=1)
    found, columns = np.take_along_axis(found, order, axis=1), np.take_along_axis(columns, order, axis=1)
    # Of unit vectors the squared distance is 2 - 2 cosine.
    reach = (1 - found <= (1 + FARTHER) ** 2 * (1 - found[:, :1])).sum(axis=1)
    return Near(columns.astype(np.int32), reach.astype(np.int32))


def nearest_listed(
    asking: Asking, source: Lists, own: Integers, group: Callable[[Integers], Integers], k: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The k most similar vectors of the lists that each query asks for, those of its own duplicate group left out.

    Args:
        asking: q queries, unit rows.
        source: of the vectors, unit rows.
        own: (q,) duplicate groups of the queries.
        group: those of the vectors at some positions.
        k: at least 1.

    Returns:
        (q, k) positions, most similar first, equal ones by position, -1 where there are too few; (q, k) cosines, NaN
        there.
    """
    told = ask(asking, source)
    found = np.full((len(asking.queries), k), -1, np.int64)
    cosine = np.full(found.shape, np.nan, np.float32)
    for rows, values in told.chunks():
        found[rows], cosine[rows] = _chosen(told, rows, values, (own[rows], group), k)
    return found, cosine


def _chosen(
    told: Products,
    queries: npt.NDArray[np.intp],
    values: Floats,
    groups: tuple[Integers, Callable[[Integers], Integers]],
    k: int,
) -> tuple[npt.NDArray[np.int64], Floats]:
    def double(rows: slice | Integers, columns: Integers) -> npt.NDArray[np.bool_]:
        return np.asarray(groups[0][rows, None] == groups[1](told.positions(queries[rows], columns)))

    first = largest(values, min(k + SPARE, values.shape[1]))
    columns, cosine = without_doubles(first, lambda rows: values[rows], double, k)
    found = told.positions(queries, np.maximum(columns, 0))
    return np.where(columns >= 0, found, -1), cosine
