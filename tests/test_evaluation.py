"""Accuracies by hand and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from pipeline.evaluation import Confusion, confusions, join, judge, label_ranks, score


def test_ranks_by_hand_with_ties_in_class_order() -> None:
    logits = np.array([[1, 3, 2], [1, 3, 2], [5, 5, 5]], np.float16)
    assert label_ranks(logits, np.array([1, 0, 1])).tolist() == [0, 2, 1]


def test_class_means_weigh_classes_not_images() -> None:
    label = np.array([0, 0, 0, 2])
    found = score(np.array([0, 0, 0, 5]), label)
    assert (found.images, found.top1, found.class_top1) == (4, 0.75, 0.5)
    assert (found.top5, found.class_top5) == (0.75, 0.5)
    assert score(np.array([4, 1]), np.array([0, 0])).top5 == 1.0


@given(st.integers(0, 2**32 - 1))
def test_top_five_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, label = rng.normal(size=(40, 9)), rng.integers(0, 9, 40)
    found = score(label_ranks(logits, label), label)
    for k, value in ((1, found.top1), (5, found.top5)):
        assert value == pytest.approx(top_k_accuracy_score(label, logits, k=k, labels=range(9)))


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"label must lie in \[0, 2\)"):
        label_ranks(np.zeros((1, 2)), np.array([2]))
    with pytest.raises(ValueError, match="NaN"):
        label_ranks(np.array([[np.nan, 0]]), np.array([0]))
    with pytest.raises(ValueError, match="must be"):
        label_ranks(np.zeros((2, 2)), np.array([0]))
    with pytest.raises(ValueError, match="without images"):
        score(np.array([], np.int64), np.array([], np.int64))


def test_what_is_kept_of_logits_by_hand() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])) + 7
    found = judge(np.array([4, 9]), np.array([1, 2]), logits)
    assert found.image_id.tolist() == [4, 9]
    assert found.rank.tolist() == [1, 0]
    assert found.guess.tolist() == [0, 2]
    assert found.confidence == pytest.approx([0.5, 0.8])
    assert found.surprise == pytest.approx([-np.log(0.3), -np.log(0.8)])
    # bins of a tenth: 0.5 said and never right, 0.8 said and always right
    assert found.calibration_error == pytest.approx((0.5 + 0.2) / 2)
    assert join([found, found.take(np.array([1]))]).label.tolist() == [1, 2, 2]


def test_log_loss_and_calibration_of_float16_logits_far_apart() -> None:
    logits = np.array([[60000, -60000]], np.float16)
    found = judge(np.array([1]), np.array([1]), logits)
    assert (found.confidence[0], found.surprise[0]) == (1, pytest.approx(119_936, rel=1e-3))


def test_confused_pairs_by_hand() -> None:
    label = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    guess = np.array([1, 1, 2, 0, 0, 1, 1, 1])
    logits = -np.abs(np.arange(3)[None, :] - guess[:, None]).astype(float)
    found = confusions(judge(np.arange(8), label, logits), 3)
    assert found == [Confusion(0, 1, 2, 0.5), Confusion(2, 1, 2, 1.0), Confusion(0, 2, 1, 0.25)]
    assert confusions(judge(np.arange(1), np.array([0]), np.eye(1)), 3) == []
