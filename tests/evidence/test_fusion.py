"""The mixture on images made as it assumes, so that what it should find is known."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evidence import fusion
from pipeline.evidence.fusion import FusionSettings, Mixture, Seen, fit_mixture, logistic
from pipeline.evidence.fusion_verified import correct, held_out
from pipeline.evidence.fusion_views import UNKNOWN

SHARES = (0.95, 0.2, 0.7, 0.9, 0.5, 1.0)  # of right labels, by query
SETTINGS = FusionSettings(bins=4, alike=0)


def made_up(n: int = 6000, missing: float = 0.0) -> tuple[Seen, np.ndarray, np.ndarray]:
    """Images of six queries of three classes, three views of four bins; whether they are right; a first guess."""
    rng = np.random.default_rng(1)
    query = rng.integers(6, size=n).astype(np.int32)
    right = rng.random(n) < np.array(SHARES)[query]
    bins = np.empty((n, 3), np.uint8)
    for view, sharp in enumerate((0.75, 0.65, 0.45)):
        good = np.array([0.05, (1 - sharp) / 2 - 0.05, (1 - sharp) / 2, sharp])
        at = (rng.random(n)[:, None] > np.cumsum(good)).sum(axis=1).clip(max=3)
        bins[:, view] = np.where(right, at, 3 - at)
    guess = (bins.mean(axis=1) / 3).astype(np.float32)
    bins[rng.random((n, 3)) < missing] = UNKNOWN
    seen = Seen(bins, query, np.ones(n, np.float32), np.array([0, 0, 1, 1, 2, 2], np.int32), 3)
    return seen, right, guess


def every(mixture: Mixture, seen: Seen) -> np.ndarray:
    return mixture.probability(seen, slice(None))


def test_it_finds_how_wrong_each_query_and_class_is_without_a_clean_label() -> None:
    seen, right, guess = made_up()
    found = fit_mixture(seen, guess, SETTINGS)
    assert found.query_share == pytest.approx(SHARES, abs=0.06)  # these results are alike in nothing else
    assert found.class_share == pytest.approx([0.57, 0.8, 0.75], abs=0.06)
    assert found.share == pytest.approx(right.mean(), abs=0.03)
    assert found.moved <= fusion.CONVERGED


def test_its_probabilities_are_honest() -> None:
    seen, right, guess = made_up()
    probability = every(fit_mixture(seen, guess, SETTINGS), seen)
    for low in np.arange(0, 1, 0.2):
        own = (probability >= low) & (probability < low + 0.2)
        assert probability[own].mean() == pytest.approx(right[own].mean(), abs=0.12)


def test_a_view_alone_stays_with_the_guess() -> None:
    """With nothing to hold it against it could be cut anywhere: rounds would carry most images to one side."""
    seen, _, _ = made_up()
    alone = np.where(np.arange(3) == 0, seen.bins, UNKNOWN).astype(np.uint8)
    guess = np.array([0.2, 0.4, 0.6, 0.7], np.float32)[alone[:, 0]]
    one_query = replace(seen, bins=alone, query=seen.class_of[seen.query], class_of=np.arange(3, dtype=np.int32))
    found = fit_mixture(one_query, guess, SETTINGS)
    probability = every(found, one_query)
    assert found.rounds == 0
    assert probability.mean() == pytest.approx(guess.mean(), abs=0.01)
    for label in range(3):  # of two images of a class the one of the better bin is likelier right
        own = one_query.query == label
        means = [probability[own & (alone[:, 0] == bin_)].mean() for bin_ in range(4)]
        assert means == sorted(means)
    assert fit_mixture(replace(seen, bins=alone), guess, SETTINGS).rounds > 0  # several queries a class are a witness


def test_missing_evidence_leaves_what_the_query_says() -> None:
    seen, _, guess = made_up(missing=0.3)
    found = fit_mixture(seen, guess, SETTINGS)
    blind = replace(seen, bins=np.full_like(seen.bins, UNKNOWN))
    assert every(found, blind) == pytest.approx(found.query_share[seen.query])
    one = replace(blind, bins=np.where(np.arange(3) == 0, 3, UNKNOWN).astype(np.uint8) + np.zeros_like(seen.bins))
    all_three = replace(blind, bins=np.full_like(seen.bins, 3))
    assert (every(found, one) > every(found, blind)).all()
    assert (every(found, all_three) > every(found, one)).all()


def test_row_order_and_block_size_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, _, guess = made_up(900)
    whole = every(fit_mixture(seen, guess, SETTINGS), seen)
    order = np.random.default_rng(0).permutation(900)
    monkeypatch.setattr(fusion, "BLOCK", 70)
    moved = seen.only(order)
    assert every(fit_mixture(moved, guess[order], SETTINGS), moved) == pytest.approx(whole[order], abs=1e-6)


def test_doubles_count_as_one() -> None:
    seen, _, guess = made_up(600)
    twice = np.concatenate([np.arange(600), np.arange(600)])
    doubled = replace(seen.only(twice), weight=np.full(1200, 0.5, np.float32))
    once, again = fit_mixture(seen, guess, SETTINGS), fit_mixture(doubled, guess[twice], SETTINGS)
    assert again.query_share == pytest.approx(once.query_share, abs=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_image(n: int) -> None:
    seen, _, guess = made_up()
    few = seen.only(np.arange(n))
    found = fit_mixture(few, guess[:n], SETTINGS)
    assert np.isfinite(every(found, few)).all()
    assert ((found.query_share > 0) & (found.query_share < 1)).all()


def test_evidence_that_knows_nothing_leaves_the_guess() -> None:
    seen, _, _ = made_up(300)
    blind = replace(seen, bins=np.full_like(seen.bins, UNKNOWN))
    found = fit_mixture(blind, np.full(300, 0.5, np.float32), SETTINGS)
    assert every(found, blind) == pytest.approx(np.full(300, 0.5), abs=0.01)


def test_rounds_add_up_as_the_odds_that_are_told_do() -> None:
    seen, _, _ = made_up(300)
    found = fit_mixture(seen, np.full(300, 0.5, np.float32), SETTINGS)
    for rows in (slice(0, 300), slice(7, 90)):
        cells = fusion._cells(seen, rows, found.ratio.shape[2])
        assert fusion._probability(found, seen, rows, cells).tolist() == found.probability(seen, rows).tolist()


def test_shares_of_groups_that_are_alike_are_drawn_together() -> None:
    towards, size = np.full(4, 0.5), np.full(4, 10.0)

    def shares(right: list[float], alike: float = 0) -> npt.NDArray[np.float64]:
        strength = fusion._strength(np.array(right), size, towards)
        return fusion.drawn_shares(np.array(right), size, towards, strength, alike)

    alike, apart = shares([5, 6, 4, 5]), shares([10, 0, 10, 0])
    assert alike == pytest.approx([0.5] * 4, abs=0.01)
    # nothing but 1 and 0: the groups say all, the strength is the least there is, one image
    assert apart == pytest.approx([10.5 / 11, 0.5 / 11] * 2)
    # nine more results that are copies of the first are no more than the first
    same = shares([10, 0, 10, 0], alike=1)
    assert same == pytest.approx([0.75, 0.25] * 2)


def test_results_alike_in_other_things_do_not_make_one_query_all_wrong() -> None:
    """One class of right labels only, whose second query finds other pictures: no bin is shared."""
    rng = np.random.default_rng(0)
    query = np.repeat([0, 1], 1000).astype(np.int32)
    bins = np.stack([rng.integers(2, size=2000) + 2 * (query == 0) for _ in range(3)], axis=1).astype(np.uint8)
    seen = Seen(bins, query, np.ones(2000, np.float32), np.zeros(2, np.int32), 1)
    guess = np.where(query == 0, 0.8, 0.6).astype(np.float32)
    bold, careful = (fit_mixture(seen, guess, FusionSettings(bins=4, alike=alike)).query_share[1] for alike in (0, 0.5))
    assert bold < 0.01
    assert careful > 0.05


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bins", 1),
        ("bins", 65),
        ("own", 0),
        ("shared", np.inf),
        ("rounds", 0),
        ("own", np.nan),
        ("alike", 1),
        ("alike", -0.1),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"fused.{name} must"):
        FusionSettings(**{name: value})


def scores_of(seen: Seen) -> np.ndarray:
    return np.where(seen.bins == UNKNOWN, np.nan, (seen.bins + 0.5) / 4).astype(np.float32)


def test_without_verdicts_the_correction_changes_nothing() -> None:
    seen, _, guess = made_up(500, missing=0.2)
    found = fit_mixture(seen, guess, SETTINGS)
    nothing = correct(found, seen.only(np.arange(0)), np.empty((0, 3), np.float32), np.empty(0, np.bool_))
    told = nothing.probability(found, seen, scores_of(seen), slice(None))
    assert told == pytest.approx(every(found, seen), abs=1e-6)


def test_a_few_verdicts_put_a_query_right_that_the_mixture_gets_wrong() -> None:
    seen, right, guess = made_up()
    fitted = fit_mixture(seen, guess, SETTINGS)
    share = fitted.query_share.copy()
    share[0] = 0.05  # it was 0.95
    misled = replace(fitted, query_share=share)
    chosen = np.flatnonzero(seen.query == 0)[:15]
    correction = correct(misled, seen.only(chosen), scores_of(seen)[chosen], right[chosen])
    own = seen.query == 0
    before = every(misled, seen)
    after = correction.probability(misled, seen, scores_of(seen), slice(None))
    assert np.abs(after - right)[own].mean() < 0.6 * np.abs(before - right)[own].mean()
    assert correction.query[0] > 0.2
    assert correction.query[2:] == pytest.approx(np.zeros(4))  # nobody looked at those


def test_the_correction_is_the_mode_of_its_posterior() -> None:
    """One verdict, nothing known of the image: the slope of the loss is zero where (b - prior) = right - p."""
    seen, _, guess = made_up(500)
    found = fit_mixture(seen, guess, SETTINGS)
    blind = replace(seen.only(np.arange(1)), bins=np.full((1, 3), UNKNOWN, np.uint8))
    correction = correct(found, blind, np.full((1, 3), np.nan, np.float32), np.array([False]))
    odds = correction.probability(found, blind, np.full((1, 3), np.nan, np.float32), slice(None))[0]
    query = int(blind.query[0])
    # constant, query and class share alike what is to be learnt; evidence and scores are 0 and stay at their priors
    for value in (correction.slopes[2], correction.query[query], correction.group[blind.class_of[query]]):
        assert value == pytest.approx(-odds, abs=1e-4)
    assert correction.slopes[[0, 3, 4, 5]] == pytest.approx([1, 0, 0, 0])


def test_logistic_does_not_overflow() -> None:
    assert logistic(np.array([-1e6, 0, 1e6])).tolist() == [0, 0.5, 1]


def test_a_verdict_is_judged_without_its_fold() -> None:
    seen, right, guess = made_up(400)
    found = fit_mixture(seen, guess, SETTINGS)
    own, fold = seen.only(np.arange(60)), np.arange(60) % 3
    scores = scores_of(own)
    judged = held_out(found, own, scores, right[:60], fold)
    others = np.flatnonzero(fold != 1)
    taught = correct(found, own.only(others), scores[others], right[others])
    assert judged[fold == 1] == pytest.approx(taught.probability(found, own, scores, slice(None))[fold == 1])
    turned = np.where(fold == 1, ~right[:60], right[:60])
    assert held_out(found, own, scores, turned, fold)[fold == 1] == pytest.approx(judged[fold == 1])
