"""What trials say: no image chooses its own penalty, gains are paired, intervals cover what they should."""

import numpy as np
import pytest

from pipeline.trial import chosen_penalties, standing


def test_an_image_is_judged_with_what_the_others_choose() -> None:
    # Penalty 0 is right on fold 0 alone, penalty 1 on fold 1 alone: each fold chooses the other's worse one.
    hits = np.array([[[[True, True, False, False], [False, False, True, True]]]])
    fold = np.array([0, 0, 1, 1])
    assert not chosen_penalties(hits, fold, np.ones(4)).any()
    assert chosen_penalties(hits, np.zeros(4, np.int64), np.array([3, 1, 1, 1])).tolist() == [
        [[True, True, False, False]]
    ]


def test_the_larger_of_equally_good_penalties_is_taken() -> None:
    hits = np.array([[[[True, False], [False, True]]]])
    assert chosen_penalties(hits, np.zeros(2, np.int64), np.ones(2)).tolist() == [[[False, True]]]


def test_recipes_choose_each_for_itself_over_all_samples() -> None:
    hits = np.zeros((2, 2, 2, 4), np.bool_)
    hits[0, :, 0] = True
    hits[1, 0, 1] = True
    found = chosen_penalties(hits, np.arange(4) % 2, np.ones(4))
    assert found.mean(axis=2).tolist() == [[1, 1], [1, 0]]


def test_gains_by_hand() -> None:
    hits = np.array([[[True, False, False, False]], [[True, True, False, False]], [[True, False, False, False]]])
    found = standing(hits, np.array([1.0, 1, 1, 1]), 0)
    assert found.top1.tolist() == [0.25, 0.5, 0.25]
    assert found.gain.tolist() == [0, 0.25, 0]
    # What agrees everywhere gains exactly nothing in every draw; the other gains unless its image is never drawn.
    assert (found.low[2], found.high[2], found.better[2]) == (0, 0, 0.5)
    assert found.better[1] == pytest.approx(1 - 0.75**4 / 2, abs=0.02)
    assert found.low[1] == 0


def test_an_image_counts_what_it_weighs() -> None:
    hits = np.array([[[True, False]], [[False, True]]])
    found = standing(hits, np.array([1.0, 3.0]), 0)
    assert found.gain.tolist() == [0, 0.5]


def test_the_interval_is_that_of_a_mean_of_differences() -> None:
    rng = np.random.default_rng(0)
    base, other = rng.random((2, 1, 1000)) < np.array([0.5, 0.6])[:, None, None]
    found = standing(np.stack([base, other]), np.ones(1000), 0)
    difference = other[0].astype(float) - base[0]
    half = 1.96 * difference.std() / np.sqrt(1000)
    assert found.high[1] - found.low[1] == pytest.approx(2 * half, rel=0.1)


def test_samples_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    base = np.zeros((4, 500), np.bool_)
    steady = rng.random((4, 500)) < 0.3
    wild = rng.random((4, 500)) < np.array([0.0, 0.2, 0.4, 0.6])[:, None]
    found = standing(np.stack([base, steady, wild]), np.ones(500), 0)
    assert found.high[2] - found.low[2] > 2 * (found.high[1] - found.low[1])
