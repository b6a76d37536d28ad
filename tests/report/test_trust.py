"""The worst and the best of classes and queries, and how honest probabilities are, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.trust import TrustRow, calibration, ends, table_of


def test_the_worst_come_first_and_of_equal_ones_the_larger() -> None:
    right, images = np.array([0.9, 0.1, 0.5, 0.1, 0.7]), np.array([5, 5, 5, 9, 5])
    assert ends(right, images, 2) == ([3, 1], [4, 0])
    assert ends(right, images, 3) == ([3, 1, 2], [4, 0])
    assert ends(right, images, 9) == ([3, 1, 2, 4, 0], [])
    assert ends(np.zeros(0), np.zeros(0, np.int64), 2) == ([], [])


@given(st.lists(st.floats(0, 1), max_size=12), st.integers(1, 5))
def test_no_row_is_told_twice_and_none_between_is_worse(shares: list[float], shown: int) -> None:
    right = np.array(shares)
    worst, best = ends(right, np.ones(len(right), np.int64), shown)
    told = [*worst, *best]
    assert len(set(told)) == len(told) == min(len(right), 2 * shown)
    assert (np.diff(right[told]) >= 0).all()
    between = np.delete(right, told)
    if len(between):
        assert right[worst].max() <= between.min() <= between.max() <= right[best].min()


def test_a_table_knows_how_many_lie_between() -> None:
    rows = [TrustRow(k, str(k), None, 1, k / 10) for k in range(3)]
    table = table_of(rows, 1, 7)
    assert ([row.class_index for row in table.worst], [row.class_index for row in table.best]) == ([0, 1], [2])
    assert table.between == 4
    assert table_of(rows, 0, 3).best == ()
    assert table_of(rows, 0, 3).between == 0


def test_both_probabilities_are_judged_by_the_same_verdicts() -> None:
    found = calibration(np.array([True, False]), np.array([0.95, 0.05]), np.array([0.95, 0.95]))
    assert found is not None
    assert found.held_out.error == pytest.approx(0.05)
    assert found.unaided.error == pytest.approx(0.45)
    nothing = np.zeros(0)
    assert calibration(nothing.astype(bool), nothing, nothing) is None
