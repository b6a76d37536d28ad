"""Folds: even, the same for copies, and not moved by other images."""

import numpy as np
import pytest

from pipeline.evidence.folds import fold_of_groups


def test_copies_share_a_fold_and_other_images_move_nothing() -> None:
    groups = np.array([7, -3, 7, 2**62, -3])
    fold = fold_of_groups(groups, 5, seed=0)
    assert fold[0] == fold[2]
    assert fold[1] == fold[4]
    assert np.array_equal(fold_of_groups(groups[::-1], 5, seed=0), fold[::-1])
    assert fold_of_groups(groups[:1], 5, seed=0) == fold[:1]


def test_folds_are_even_even_for_ids_in_a_row() -> None:
    counts = np.bincount(fold_of_groups(np.arange(-50_000, 50_000), 5, seed=0), minlength=5)
    assert counts.sum() == 100_000
    assert abs(counts - 20_000).max() < 5 * (100_000 * 0.2 * 0.8) ** 0.5


def test_another_seed_is_another_division() -> None:
    groups = np.arange(10_000)
    same = (fold_of_groups(groups, 5, seed=0) == fold_of_groups(groups, 5, seed=1)).mean()
    assert same == pytest.approx(0.2, abs=0.02)  # as often as chance has it


def test_no_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="folds must be at least 1, not 0"):
        fold_of_groups(np.arange(3), 0, seed=0)
