"""Confident learning against cleanlab and by hand."""

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evidence.confident import class_thresholds, confident_classes, opinions
from pipeline.evidence.sampling import hashed_sample


def made_up(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that lean towards the labels, and the labels; every class has one."""
    rng = np.random.default_rng(seed)
    label = np.concatenate([np.arange(classes), rng.integers(0, classes, n)])
    logits = rng.normal(size=(len(label), classes)) * 1.5 + rng.uniform(0, 2, classes)
    logits[np.arange(len(label)), label] += rng.uniform(-1, 3, len(label))
    exponents = np.exp(logits)
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32), label


def own(probabilities: np.ndarray, label: np.ndarray) -> np.ndarray:
    found: np.ndarray = probabilities[np.arange(len(label)), label]
    return found


def test_three_images_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.25, 0.25, 0.5]], np.float32)
    told = opinions(probabilities, np.array([0, 0, 1]))
    assert told.confidence.tolist() == pytest.approx([0.7, 0.3, 0.25])
    assert told.margin.tolist() == pytest.approx([0.5, -0.3, -0.25])
    assert told.predicted_class.tolist() == [0, 1, 2]
    assert told.predicted_probability.tolist() == pytest.approx([0.7, 0.6, 0.5])
    thresholds = class_thresholds(told.confidence, np.array([0, 0, 1]), 3)
    assert thresholds.tolist() == pytest.approx([0.5, 0.25, np.inf])
    # the second is confidently of class 1; the third reaches the threshold of class 1, and class 2 has none
    assert confident_classes(probabilities, thresholds).tolist() == [0, 1, 1]


def test_one_class_and_equal_probabilities() -> None:
    alone = opinions(np.ones((2, 1), np.float32), np.zeros(2, int))
    assert alone.margin.tolist() == [1.0, 1.0]
    even = opinions(np.full((1, 4), 0.25, np.float32), np.array([2]))
    assert even.margin.tolist() == [0.0]
    assert even.predicted_class.tolist() == [0]
    assert confident_classes(np.full((1, 4), 0.25, np.float32), np.full(4, 0.25)).tolist() == [0]
    assert confident_classes(np.full((1, 4), 0.25, np.float32), np.full(4, 0.26)).tolist() == [-1]


def test_images_without_an_opinion_leave_the_thresholds_alone() -> None:
    confidence = np.array([0.5, np.nan, np.nan, 0.0])
    assert class_thresholds(confidence, np.array([0, 0, 1, 2]), 3).tolist() == [0.5, np.inf, 2e-6]


@given(st.integers(0, 200), st.integers(2, 6), st.integers(0, 1000))
def test_it_is_what_cleanlab_finds(n: int, classes: int, seed: int) -> None:
    probabilities, label = made_up(n, classes, seed)
    thresholds = class_thresholds(own(probabilities, label), label, classes)
    assert thresholds == pytest.approx(get_confident_thresholds(label, probabilities))
    confident = confident_classes(probabilities, thresholds)
    # Cleanlab departs from the definition where the most probable class of all misses its own threshold.
    reached = probabilities >= thresholds - 1e-6
    top = probabilities.argmax(axis=1)
    departs = (reached.sum(axis=1) > 1) & ~reached[np.arange(len(top)), top]
    expected = np.zeros((classes, classes), int)
    np.add.at(expected, (label[confident >= 0], confident[confident >= 0]), 1)
    np.add.at(expected, (label[departs], confident[departs]), -1)
    np.add.at(expected, (label[departs], top[departs]), 1)
    np.fill_diagonal(expected, expected.diagonal().clip(min=1))  # which cleanlab does, and we do not
    joint, issues = compute_confident_joint(label, probabilities, calibrate=False, return_indices_of_off_diagonals=True)
    assert np.array_equal(joint, expected)
    ours = (confident >= 0) & (confident != label)
    theirs = np.isin(np.arange(len(label)), issues)
    assert np.array_equal(ours[~departs], theirs[~departs])


def test_most_images_are_no_departure() -> None:
    probabilities, label = made_up(2000, 5, 0)
    confident = confident_classes(probabilities, class_thresholds(own(probabilities, label), label, 5))
    _, issues = compute_confident_joint(label, probabilities, calibrate=False, return_indices_of_off_diagonals=True)
    ours = np.flatnonzero((confident >= 0) & (confident != label))
    assert len(np.intersect1d(ours, issues)) > 0.9 * len(issues) > 100


def test_margins_against_a_double_loop() -> None:
    probabilities, label = made_up(50, 4, 3)
    for i, margin in enumerate(opinions(probabilities, label).margin):
        other = max(p for c, p in enumerate(probabilities[i]) if c != label[i])
        assert margin == pytest.approx(probabilities[i, label[i]] - other)


def test_a_sample_hangs_on_the_ids_alone() -> None:
    ids = np.random.default_rng(0).integers(-(2**62), 2**62, 1000)
    chosen = set(ids[hashed_sample(ids, 100, 7)].tolist())
    assert len(chosen) == 100
    assert set(ids[::-1][hashed_sample(ids[::-1], 100, 7)].tolist()) == chosen
    assert set(ids[hashed_sample(ids, 100, 8)].tolist()) != chosen
    assert hashed_sample(ids, 1000, 7).tolist() == list(range(1000))
    # of a part of the images, what was chosen of all of them is chosen again
    part = np.sort(ids)[: len(ids) // 2]
    assert chosen & set(part.tolist()) <= set(part[hashed_sample(part, 100, 7)].tolist())
