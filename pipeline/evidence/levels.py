"""Levels of a number: the values of a class cut where their squared deviations add up to least."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Deviation = Callable[[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[np.float64]]


def descending_levels(values: npt.NDArray[np.number[Any]], levels: int) -> npt.NDArray[np.int32]:
    """Cluster numbers into levels, 0 the highest: one-dimensional k-means, solved exactly.

    The best cuts of sorted numbers lie between them, so that dynamic programming finds them without a start
    (Fisher 1958); where the best last cut lies grows with the number of values that are cut, which halves the search
    range at each step. Of cuts equally good the one with more values in the lower levels is taken.

    Args:
        values: (n,) finite, any n including 0.
        levels: at least 1. Fewer distinct values than that have a level each.

    Returns:
        (n,) level of each value, without gaps from 0. Equal values share a level.
    """
    distinct, inverse, counts = np.unique(-values.astype(np.float64), return_inverse=True, return_counts=True)
    if len(distinct) <= levels:
        return inverse.astype(np.int32)
    weight, mass, square = (
        np.concatenate([[0.0], np.cumsum(part)])
        for part in (counts, counts * (distinct - distinct.mean()), counts * (distinct - distinct.mean()) ** 2)
    )

    def deviation(first: npt.NDArray[Any], last: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Squared deviations of the distinct values first:last from their mean."""
        total = mass[last] - mass[first]
        told: npt.NDArray[np.float64] = square[last] - square[first] - total**2 / (weight[last] - weight[first])
        return told

    ends = np.arange(1, len(distinct) + 1)
    cost = np.concatenate([[np.inf], deviation(np.zeros_like(ends), ends)])  # of the first i values in one level
    cuts = []
    for number in range(1, levels):
        cut, cost = _cut_once_more(cost, deviation, len(distinct) if number == levels - 1 else 1)
        cuts.append(cut)
    level = np.empty(len(distinct), np.int32)
    end = len(distinct)
    for number, cut in zip(range(levels - 1, 0, -1), reversed(cuts), strict=True):
        level[cut[end] : end] = number
        end = cut[end]
    level[:end] = 0
    return level[inverse]


def _cut_once_more(
    cost: npt.NDArray[np.float64], deviation: Deviation, shortest: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The best last cut of the first i values, and its cost, for all i from `shortest` on at once: (values + 1,) each.

    All ends in the middle of an open range are solved together; the cut of each bounds those left and right of it.
    """
    size = len(cost)
    cut, best = np.zeros(size, np.int64), np.full(size, np.inf)
    low, high = np.array([max(shortest, 2)]), np.array([size - 1])  # open ranges of ends, both included,
    left, right = np.array([1]), np.array([size - 2])  # and of the cuts that may be theirs
    while len(low):
        end = (low + high) // 2
        tried = np.minimum(right, end - 1) - left + 1
        start = np.cumsum(tried) - tried
        candidate = np.arange(tried.sum()) + np.repeat(left - start, tried)
        total = cost[candidate] + deviation(candidate, np.repeat(end, tried))
        best[end] = np.minimum.reduceat(total, start)
        winner = np.flatnonzero(total == np.repeat(best[end], tried))
        cut[end] = candidate[winner[np.searchsorted(winner, start)]]
        ranges = np.array(
            [[low, end + 1], [end - 1, high], [left, cut[end]], [cut[end], right]],
        ).reshape(4, -1)
        low, high, left, right = ranges[:, ranges[0] <= ranges[1]]
    return cut, best
