"""The linear probe against scikit-learn's discriminant and by hand."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipeline.evidence.calibration import RANGE, calibrate
from pipeline.evidence.probe import FoldProbes, Moments, OpinionSettings, Sample, Scale, discriminant, fit_folds


def noisy(n: int = 400, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlapping classes of unequal size with a fifth of the labels wrong: features, given labels, true labels."""
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    features = (rng.normal(size=(classes, 6))[true] * 2 + rng.normal(size=(n, 6))).astype(np.float32)
    given = np.where(rng.random(n) < 0.2, rng.integers(0, classes, n), true)
    return features, given, true


def moments_of(points: np.ndarray, label: np.ndarray, classes: int, weight: np.ndarray | None = None) -> Moments:
    found = Moments.none(classes, points.shape[1])
    found.add(points, label, weight)
    return found


def fitted(features: np.ndarray, label: np.ndarray, fold: np.ndarray, classes: int) -> FoldProbes:
    scale = Scale.of(features)
    points = scale.apply(features)
    folds = range(int(fold.max()) + 1)
    parts = [moments_of(points[fold == k], label[fold == k], classes) for k in folds]
    return fit_folds(parts, scale, Sample(points, label, fold))


@pytest.mark.parametrize("shrinkage", [0.01, 0.3, 1.0])
def test_it_is_the_discriminant_of_scikit_learn(shrinkage: float) -> None:
    features, label, _ = noisy()
    points = Scale.of(features).apply(features)
    mean = np.stack([points[label == c].mean(0) for c in range(4)])
    within = (points - mean[label]).T @ (points - mean[label]) / len(points)

    class Shrunk:
        """The covariance estimator handed to the peer: the same shrinkage towards the identity."""

        covariance_ = (1 - shrinkage) * within + shrinkage * np.eye(6)

        def fit(self, _: np.ndarray) -> "Shrunk":
            return self

    peer = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Shrunk()).fit(points, label)
    probe = discriminant(moments_of(points, label, 4), shrinkage)
    assert probe.probabilities(points) == pytest.approx(peer.predict_proba(points), abs=1e-4)


def test_two_classes_on_a_line_by_hand() -> None:
    points = np.array([[-3.0], [-1.0], [1.0], [3.0]], np.float32)
    probe = discriminant(moments_of(points, np.array([0, 0, 1, 1]), 2), 0.5)
    # means -2 and 2, variance within 1, shrunk to (1 + 1) / 2 = 1: weights -2 and 2, bias log(1/2) - 4/2
    assert probe.weights.tolist() == [[-2.0, 2.0]]
    assert probe.bias.tolist() == pytest.approx([np.log(0.5) - 2] * 2)
    assert probe.probabilities(points[2:3])[0, 1] == pytest.approx(1 / (1 + np.exp(-4)))


def test_a_weight_of_two_is_the_image_twice_and_a_weight_of_none_is_no_image() -> None:
    features, label, _ = noisy(60)
    weight = np.repeat(np.array([0, 1, 2], np.float32), 20)
    weighted = discriminant(moments_of(features, label, 4, weight), 0.1)
    twice = np.repeat(np.arange(60), weight.astype(int))
    repeated = discriminant(moments_of(features[twice], label[twice], 4), 0.1)
    assert weighted.weights == pytest.approx(repeated.weights, abs=1e-4)
    assert weighted.bias == pytest.approx(repeated.bias, abs=1e-4)


def test_what_is_left_of_all_images_is_what_the_rest_alone_gives() -> None:
    features, label, _ = noisy(90)
    parts = [moments_of(features[k::3], label[k::3], 4) for k in range(3)]
    left = Moments.total(parts).without(parts[1])
    rest = np.flatnonzero(np.arange(90) % 3 != 1)
    alone = moments_of(features[rest], label[rest], 4)
    for name in ("weight", "sums", "squares"):
        assert getattr(left, name) == pytest.approx(getattr(alone, name), abs=1e-3)


def test_a_fold_is_judged_without_its_own_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.evidence.probe.SHRINKAGES", (0.1,))  # which all folds choose together
    features, label, _ = noisy()
    fold = np.arange(len(label)) % 5
    before = fitted(features, label, fold, 4)
    changed = np.where(fold == 2, (label + 1) % 4, label)
    after = fitted(features, changed, fold, 4)
    one, two = (probes.probes[2].logits(features[fold == 2]) * probes.temperature for probes in (before, after))
    assert one == pytest.approx(two, abs=1e-3)
    other, else_ = (probes.probes[1].logits(features[fold == 1]) * probes.temperature for probes in (before, after))
    assert np.abs(other - else_).max() > 0.1


def test_wrong_labels_are_believed_less() -> None:
    features, label, true = noisy()
    fold = np.arange(len(label)) % 5
    probes = fitted(features, label, fold, 4).probes
    chance = np.array([probes[k].probabilities(features[i : i + 1])[0, label[i]] for i, k in enumerate(fold)])
    assert chance[label != true].mean() < 0.2
    assert chance[label == true].mean() > 0.6


def test_the_order_of_the_images_does_not_matter() -> None:
    features, label, _ = noisy()
    fold = np.arange(len(label)) % 5
    other = np.random.default_rng(1).permutation(len(label))
    one, two = fitted(features, label, fold, 4), fitted(features[other], label[other], fold[other], 4)
    assert one.temperature == pytest.approx(two.temperature, rel=1e-3)
    assert one.probes[3].weights == pytest.approx(two.probes[3].weights, abs=1e-3)


def test_a_class_that_the_other_folds_lack_is_impossible() -> None:
    features, label, _ = noisy(100)
    label[label == 3] = 0
    label[0] = 3
    fold = np.arange(100) % 2
    probes = fitted(features, label, fold, 5).probes
    assert probes[0].seen.tolist() == [True, True, True, False, False]  # image 0 is in fold 0
    assert probes[1].seen.tolist() == [True, True, True, True, False]
    assert (probes[0].probabilities(features)[:, 3:] == 0).all()
    assert probes[0].probabilities(features).sum(axis=1) == pytest.approx(np.ones(100))


def test_features_that_never_vary_say_nothing() -> None:
    label = np.array([0, 0, 0, 1])
    found = fitted(np.full((4, 3), 7.0, np.float32), label, np.array([0, 1, 0, 1]), 2)
    assert found.probes[0].probabilities(np.full((1, 3), 7.0, np.float32)).tolist() == [[0.5, 0.5]]
    features, label, _ = noisy()
    fold = np.arange(len(label)) % 5
    with_constant = np.column_stack([features, np.full(len(label), 3.0, np.float32)])
    one, two = fitted(features, label, fold, 4).probes[0], fitted(with_constant, label, fold, 4).probes[0]
    assert two.probabilities(with_constant) == pytest.approx(one.probabilities(features), abs=1e-4)


def test_no_image_at_all_is_no_error() -> None:
    parts = [Moments.none(2, 3)] * 2
    none = np.zeros(0, np.int64)
    found = fit_folds(parts, Scale.of(np.zeros((0, 3))), Sample(np.zeros((0, 3), np.float32), none, none))
    assert not found.probes[0].seen.any()
    assert np.isnan(found.loss)
    assert found.temperature == 1


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_the_temperature_that_logits_were_spoilt_with_is_found(factor: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(20_000, 5)) * 2
    label = (rng.random((20_000, 1)) > np.cumsum(softmax(honest, axis=1), axis=1)).sum(axis=1)
    found, loss = calibrate(honest / factor, label)
    assert found == pytest.approx(factor, rel=0.05)
    assert loss == pytest.approx(-np.log(softmax(honest, axis=1)[np.arange(20_000), label]).mean(), abs=1e-3)


def test_a_temperature_stays_in_its_range() -> None:
    sure = np.array([[5.0, -np.inf], [0.0, 3.0]])
    assert calibrate(sure, np.array([0, 1]))[0] == pytest.approx(RANGE[1])
    assert calibrate(sure[1:], np.array([0]))[0] == pytest.approx(RANGE[0])


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"opinion\.folds must be at least 2, not 1"):
        OpinionSettings(folds=1)
