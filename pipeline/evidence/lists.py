"""Vectors in lists, each query asking for those of a few lists: inverted lists, taken many queries at a time.

As in "Billion-scale similarity search with GPUs" (Johnson, Douze and Jegou, 2019), section 5: list after list, so that
each list is one matrix product with all that ask for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.evidence.neighbours import SPARE, Floats, Integers, largest, without_doubles

LEAST: Final = 256  # vectors that a query asks for, be they near or far
SELECTED_ROWS: Final = 256  # queries whose nearest are selected at a time


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
    vectors: Callable[[slice | Integers], Floats]  # of some positions, (n, d)
    most: int  # vectors that are asked of one list; of a longer one those that are evenly spread over it
    together: int = 1  # vectors that are asked for at once, of list after list; at least those of one

    @cached_property
    def steps(self) -> npt.NDArray[np.int64]:
        """(L,) every how manieth vector of a list is asked for."""
        return np.asarray(np.maximum(1, -(-np.diff(self.starts) // self.most)))

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(L,) vectors of each list that are asked for."""
        return np.asarray(-(-np.diff(self.starts) // self.steps), np.int64)

    def read(self, numbers: npt.NDArray[np.integer[Any]]) -> Iterator[Floats]:
        """The vectors of some lists."""
        steps, ends = self.steps, np.cumsum(self.sizes[numbers])
        spans = [slice(*at) for at in zip(self.starts[numbers], self.starts[numbers + 1], steps[numbers], strict=True)]
        first = 0
        while first < len(numbers):
            before = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, before + self.together, side="right")))
            if last == first + 1:
                yield self.vectors(spans[first])
            else:
                at = np.concatenate([np.arange(own.start, own.stop, own.step) for own in spans[first:last]])
                yield from np.split(self.vectors(at), ends[first : last - 1] - before)
            first = last


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
    starts = (first[:, None] + _before(ends)).reshape(-1)
    numbers, asking_of = _by_list(wanted, none)
    for own, at in zip(source.read(numbers), asking_of, strict=True):
        values[starts[at][:, None] + np.arange(len(own))] = asking.queries[at // wanted.shape[1]] @ own.T
    return Products(values, order, wanted, ends, source)


def _by_list(
    wanted: npt.NDArray[np.integer[Any]], none: int
) -> tuple[npt.NDArray[np.integer[Any]], list[npt.NDArray[np.intp]]]:
    """The lists that are asked for, ascending, and where in `wanted` each is, flat."""
    order = np.argsort(wanted, axis=None, kind="stable")
    numbers, starts = np.unique(wanted.reshape(-1)[order], return_index=True)
    there = numbers != none  # the last, if any
    return numbers[there], [at for at, own in zip(np.split(order, starts[1:]), there, strict=True) if own]


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
