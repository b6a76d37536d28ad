"""Calibration worked by hand."""

import numpy as np
import pytest

from pipeline.evidence.reliability import reliability


def test_each_bin_holds_what_was_said_and_what_was_found() -> None:
    found = reliability(np.array([0.1, 0.3, 0.9, 1.0, 0.5]), np.array([False, True, True, True, False]), 2)
    assert found.images.tolist() == [2, 3]
    assert found.said == pytest.approx([0.2, 0.8])
    assert found.found == pytest.approx([0.5, 2 / 3])
    assert found.error == pytest.approx((2 * 0.3 + 3 * (0.8 - 2 / 3)) / 5)


def test_empty_bins_count_nothing() -> None:
    found = reliability(np.array([1.0, 1.0]), np.array([True, False]), 4)
    assert np.isnan(found.said[:3]).all()
    assert found.error == 0.5
    assert np.isnan(reliability(np.empty(0), np.empty(0, np.bool_)).error)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="right has 1 entries"):
        reliability(np.array([0.5, 0.5]), np.array([True]))


def test_honest_probabilities_seem_as_far_off_as_chance_makes_them() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((400, 60))
    drawn = [reliability(row, rng.random(60) < row) for row in probability]
    assert np.mean([one.by_chance for one in drawn]) == pytest.approx(np.mean([one.error for one in drawn]), rel=0.1)
    assert np.isnan(reliability(np.zeros(0), np.zeros(0, np.bool_)).by_chance)
