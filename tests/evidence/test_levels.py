"""One-dimensional k-means against every possible cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from pipeline.evidence.levels import descending_levels


def deviation(values: np.ndarray, level: np.ndarray) -> float:
    return sum(float(((values[level == k] - values[level == k].mean()) ** 2).sum()) for k in np.unique(level))


def least_deviation(values: np.ndarray, levels: int) -> float:
    distinct = np.unique(values)
    cuts = itertools.combinations(distinct[1:], min(levels, len(distinct)) - 1)
    return min(deviation(values, np.searchsorted(np.array(cut), values, side="right")) for cut in cuts)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=14), st.integers(1, 5))
def test_no_cut_is_better(values: list[int], levels: int) -> None:
    told = np.array(values)
    found = descending_levels(told, levels)
    assert deviation(told, found) == pytest.approx(least_deviation(told, levels), abs=1e-9)
    assert np.unique(found).tolist() == list(range(min(levels, len(np.unique(told)))))  # no gaps
    ordered = found[np.argsort(-told, kind="stable")]
    assert (np.diff(ordered) >= 0).all()  # the highest is level 0


def test_by_hand() -> None:
    assert descending_levels(np.array([1, 9, 2, 5, 10]), 3).tolist() == [2, 0, 2, 1, 0]
    assert descending_levels(np.array([5.0, 5.0, 7.0]), 3).tolist() == [1, 1, 0]
    assert descending_levels(np.array([4, 4, 4]), 3).tolist() == [0, 0, 0]
    assert descending_levels(np.array([]), 3).tolist() == []


def test_equally_good_cuts_leave_more_in_the_lower_level() -> None:
    assert descending_levels(np.array([3, 2, 1]), 2).tolist() == [0, 1, 1]


def test_as_scikit_learn_on_many_values() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=3000)
    peer = KMeans(3, n_init=20, random_state=0).fit(values[:, None])
    assert deviation(values, descending_levels(values, 3)) <= peer.inertia_ * (1 + 1e-12)


def test_large_values_far_from_zero_keep_their_precision() -> None:
    values = np.array([0.0, 1.0, 2.0, 10.0, 11.0]) + 1e7
    assert descending_levels(values, 2).tolist() == [1, 1, 1, 0, 0]
