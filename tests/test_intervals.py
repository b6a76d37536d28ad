"""Bootstrap intervals: by hand, against a slow loop and against what is known of binomial shares."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation import Judged, judge
from pipeline.intervals import Shares, bootstrap, figures, shares_of, sureties


def shares(image_id: list[int], label: list[int], first: list[float], fifth: list[float] | None = None) -> Shares:
    return Shares(np.array(image_id), np.array(label, np.int32), np.array([first, fifth or first]).T)


def test_figures_by_hand() -> None:
    found = figures(np.array([[1.0], [0.0], [0.5], [1.0]]), np.array([0, 0, 0, 2]))
    assert found.tolist() == [[0.625], [0.75]]  # the mean of 0.5 and 1, for class 1 has no image


def test_draws_equal_a_slow_bootstrap() -> None:
    rng = np.random.default_rng(0)
    share, label = rng.random((30, 3)), rng.integers(0, 5, 30) * 2
    found = bootstrap(share, label, 40, seed=3)
    drawn = np.random.default_rng(3).integers(30, size=(40, 30))
    slow = np.stack([figures(share[own], label[own]) for own in drawn])
    np.testing.assert_allclose(found, slow, atol=1e-5)


def test_blocks_of_draws_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    share, label = np.random.default_rng(0).random((10, 2)), np.arange(10) % 3
    monkeypatch.setattr("pipeline.intervals._BLOCK_NUMBERS", 70)
    found = bootstrap(share, label, 25)
    assert found.shape == (25, 2, 2)
    assert len(np.unique(found[:, 0, 0])) > 20


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    first = np.arange(400) % 4 == 0  # a quarter
    sure = sureties({"baseline": shares(list(range(400)), [0] * 400, first.astype(float).tolist())}, "baseline")
    told = sure["baseline"].metrics["top1"]
    half = 1.96 * (0.25 * 0.75 / 400) ** 0.5
    assert told.value == 0.25
    assert told.low == pytest.approx(0.25 - half, abs=0.006)
    assert told.high == pytest.approx(0.25 + half, abs=0.006)
    assert sure["baseline"].gains == {}


def test_a_gain_is_paired() -> None:
    rng = np.random.default_rng(1)
    base = (rng.random(500) < 0.5).astype(float)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:10]] = 1  # wherever one is right the other is: ten images apart
    ids, label = list(range(500)), [0] * 500
    told = {"baseline": shares(ids, label, base.tolist()), "better": shares(ids, label, better.tolist())}
    sure = sureties(told, "baseline")
    gain = sure["better"].gains["top1"]
    assert gain.value == pytest.approx(0.02)
    half = 1.96 * (0.02 * 0.98 / 500) ** 0.5  # unpaired it were 0.06
    assert (gain.high - gain.low) / 2 == pytest.approx(half, rel=0.12)
    assert gain.low > 0
    assert sure["better"].metrics["top1"].low < sure["baseline"].metrics["top1"].high


def test_recipes_of_other_images_have_intervals_but_no_gain() -> None:
    told = {
        "other": shares([5, 6, 7], [0, 1, 1], [1, 0, 0], [1, 1, 0]),
        "baseline": shares([1, 2, 3], [0, 1, 1], [1, 1, 0]),
        "same": shares([1, 2, 3], [0, 1, 1], [0, 0, 1]),
    }
    sure = sureties(told, "baseline", draws=100)
    assert list(sure) == ["other", "baseline", "same"]
    assert sure["other"].gains == {}
    assert sure["other"].images == 3
    found = {metric: told.value for metric, told in sure["other"].metrics.items()}
    assert found == pytest.approx({"top1": 1 / 3, "top5": 2 / 3, "class_top1": 0.5, "class_top5": 0.75})
    assert sure["same"].gains["top1"].value == pytest.approx(-1 / 3)
    assert sure["same"].gains["class_top1"].value == pytest.approx(0.25 - 0.75)
    assert sureties({"other": told["other"]}, "baseline", draws=10)["other"].gains == {}


def said(image_id: list[int], first_guess: list[int], label: list[int]) -> Judged:
    logits: NDArray[np.float64] = -np.abs(np.arange(7)[None, :] - np.array(first_guess)[:, None]).astype(float)
    return judge(np.array(image_id), np.array(label), logits)


def test_seeds_fold_over_each_image() -> None:
    found = shares_of([said([7, 3], [0, 6], [0, 0]), said([3, 7], [0, 1], [0, 0])])
    assert found.image_id.tolist() == [3, 7]
    assert found.label.tolist() == [0, 0]
    assert found.share.tolist() == [[0.5, 0.5], [0.5, 1]]  # of image 3, one seed has class 0 last


def test_refusals() -> None:
    with pytest.raises(ValueError, match="with an image at least"):
        bootstrap(np.zeros((0, 2)), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match=r"\(n, k\) and \(n,\)"):
        bootstrap(np.zeros((2, 2)), np.zeros(3, np.int64))
