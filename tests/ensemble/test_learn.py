"""Learned weights: their properties, and their optimum against another optimiser."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from pipeline.ensemble.learn import EnsembleSettings, fit_classes, fit_members, learn, log_loss

Array = NDArray[np.float64]


def draw(seed: int, skills: list[float], images: int = 300, classes: int = 4) -> tuple[Array, NDArray[np.int64]]:
    """(n, M, C) log probabilities of members that know the label by their skill, and the labels."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, len(skills), classes))
    logits += np.array(skills)[None, :, None] * (np.arange(classes) == label[:, None])[:, None, :]
    return log_softmax(logits, axis=2), label


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_never_worse_than_the_best_member(seed: int) -> None:
    log_p, label = draw(seed, [1.0, 2.0, 0.0])
    single = [log_loss(log_p, label, one) for one in np.eye(3)]
    member = fit_members(log_p, label)
    assert member.min() >= 0
    assert log_loss(log_p, label, member) <= min(single) + 1e-6
    each = fit_classes(log_p, label, member, 5.0)
    assert each.min() >= 0
    assert log_loss(log_p, label, each) <= log_loss(log_p, label, member) + 1e-6


def test_log_loss_by_hand() -> None:
    log_p = np.log([[[0.8, 0.2], [0.5, 0.5]], [[0.6, 0.4], [0.1, 0.9]]])
    assert log_loss(log_p, np.array([0, 1]), np.array([1.0, 0.0])) == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    # weights 1 and 1: 0.8 * 0.5 against 0.2 * 0.5, and 0.4 * 0.9 against 0.6 * 0.1
    expected = -(np.log(0.4 / 0.5) + np.log(0.36 / 0.42)) / 2
    assert log_loss(log_p, np.array([0, 1]), np.array([1.0, 1.0])) == pytest.approx(expected)


def test_a_useless_member_weighs_next_to_nothing() -> None:
    log_p, label = draw(0, [2.0, 0.0, 2.0], images=4000)
    member = fit_members(log_p, label)
    assert member[1] < 0.05 * member[[0, 2]].min()


def test_a_member_that_says_nothing_changes_nothing() -> None:
    log_p, label = draw(1, [2.0])
    silent = np.full((len(label), 1, 4), np.log(0.25))
    alone, beside = fit_members(log_p, label), fit_members(np.concatenate([log_p, silent], axis=1), label)
    assert beside[0] == pytest.approx(alone[0], rel=1e-3)


def test_two_equal_members_share() -> None:
    log_p, label = draw(2, [2.0, 1.0])
    member = fit_members(log_p[:, [0, 0, 1]], label)
    assert member[0] == pytest.approx(member[1])
    assert member[0] + member[1] == pytest.approx(fit_members(log_p, label)[0], rel=1e-3)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 100))
def test_permuted_members_have_permuted_weights(permutation: list[int], seed: int) -> None:
    log_p, label = draw(seed, [0.5, 1.0, 1.5, 2.0])
    member, moved = fit_members(log_p, label), fit_members(log_p[:, permutation], label)
    np.testing.assert_allclose(moved, member[permutation], atol=2e-4)
    each = fit_classes(log_p, label, member, 3.0)
    np.testing.assert_allclose(fit_classes(log_p[:, permutation], label, moved, 3.0), each[permutation], atol=2e-3)


def slow_loss(log_p: Array, label: NDArray[np.int64], weights: Array) -> float:
    scores: Array = log_softmax((log_p * weights).sum(axis=1), axis=1)
    return -float(scores[np.arange(len(label)), label].mean())


def test_the_optimum_is_that_of_another_optimiser() -> None:
    log_p, label = draw(3, [0.5, 1.0, 0.1], images=120)
    member = fit_members(log_p, label)
    peer = minimize(
        lambda w: slow_loss(log_p, label, w[:, None]), np.ones(3), method="SLSQP", bounds=[(0, None)] * 3, tol=1e-12
    )
    np.testing.assert_allclose(member, peer.x, atol=1e-3)

    def penalised(flat: Array) -> float:
        weights = flat.reshape(3, 4)
        away = float(((weights - member[:, None]) ** 2).sum())
        return slow_loss(log_p, label, weights) + 7.0 / (2 * 120) * away

    peer = minimize(penalised, np.ones(12), method="SLSQP", bounds=[(0, None)] * 12, tol=1e-12)
    np.testing.assert_allclose(fit_classes(log_p, label, member, 7.0), peer.x.reshape(3, 4), atol=2e-3)


def test_a_strong_hand_holds_classes_to_the_member() -> None:
    log_p, label = draw(4, [1.0, 2.0])
    member = fit_members(log_p, label)
    far = [float(np.abs(fit_classes(log_p, label, member, s) - member[:, None]).max()) for s in (1.0, 100.0, 1e6)]
    assert far[0] > far[1] > far[2]
    assert far[2] < 1e-3


def folds(images: int, number: int) -> NDArray[np.int32]:
    return (np.arange(images) % number).astype(np.int32)


def test_cross_validation_takes_class_weights_only_where_they_help() -> None:
    told = EnsembleSettings(folds=3, strengths=(1.0, 30.0))
    log_p, label = draw(5, [2.0, 1.0], images=90)
    plain = learn(log_p, label, folds(90, 3), told)  # members that know all classes alike
    assert plain.strength != 1.0
    # now the first member knows the first two classes alone, and the second the others
    own, rng = draw(6, [0.0, 0.0], images=600), np.random.default_rng(7)
    logits, label = own[0], own[1]
    for which, known in ((0, (0, 1)), (1, (2, 3))):
        for k in known:
            logits[:, which, k] += np.where(label == k, 4.0, 0.0) + rng.normal(size=600)
    split = learn(log_softmax(logits, axis=2), label, folds(600, 3), told)
    assert split.strength is not None
    assert split.weights.shape == (2, 4)
    assert (split.weights[0, :2] > split.weights[1, :2]).all()
    assert (split.weights[0, 2:] < split.weights[1, 2:]).all()
    assert split.log_loss[1:] == tuple(sorted(split.log_loss[1:]))
    assert min(split.log_loss) < split.log_loss[0]


def test_each_fold_is_judged_by_weights_of_the_others() -> None:
    log_p, label = draw(8, [1.0, 0.5], images=60)
    fold = folds(60, 2)
    found = learn(log_p, label, fold, EnsembleSettings(folds=2, strengths=()))
    losses = []
    for number in range(2):
        own = fold == number
        np.testing.assert_array_equal(found.folds[number], fit_members(log_p[~own], label[~own]))
        losses.append(log_loss(log_p[own], label[own], found.folds[number]))
    assert list(found.log_loss) == pytest.approx([np.mean(losses)])
    np.testing.assert_array_equal(found.weights, fit_members(log_p, label))


def test_one_member_counts_once() -> None:
    log_p, label = draw(9, [1.0], images=10)
    found = learn(log_p, label, folds(10, 5), EnsembleSettings())
    assert found.weights.tolist() == [1.0]
    assert len(found.folds) == 5


def test_refusals() -> None:
    log_p, label = draw(0, [1.0, 1.0], images=6)
    with pytest.raises(ValueError, match="must be"):
        learn(log_p, label[:4], folds(6, 5), EnsembleSettings())
    with pytest.raises(ValueError, match="6 images are too few for 5 folds"):
        learn(log_p, label, np.zeros(6, np.int32), EnsembleSettings())
    for wrong in ({"folds": 1}, {"strengths": (0.0,)}, {"fit_images": 1}):
        with pytest.raises(ValueError, match=f"ensemble.{next(iter(wrong))}"):
            EnsembleSettings(**wrong)
