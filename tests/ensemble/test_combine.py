"""Votes and averages, worked by hand and against scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.ensemble import VotingClassifier
from sklearn.preprocessing import LabelEncoder

from pipeline.ensemble.combine import average, majority_vote, vote_average, weighted
from pipeline.evaluation import label_ranks

Combine = Callable[[NDArray[Any]], NDArray[np.float16]]


def order(logits: NDArray[Any]) -> list[list[int]]:
    """The classes of each image, first guess first, as scores rank them."""
    ranks = np.stack([label_ranks(logits, np.full(len(logits), k)) for k in range(logits.shape[1])], axis=1)
    found: list[list[int]] = np.argsort(ranks, axis=1).tolist()
    return found


def members(*rows: list[float]) -> NDArray[np.float16]:
    """Members' logits of a single image."""
    return np.array(rows, np.float16)[:, None, :]


def test_majority_by_hand() -> None:
    logits = members([9, 0, 0, 1], [0, 0, 3, 1], [0, 0, 3, 1])
    assert order(majority_vote(logits)) == [[2, 0, 1, 3]]  # two votes, one, then none in class order
    np.testing.assert_allclose(softmax(majority_vote(logits), axis=1), [[5 / 16, 1 / 16, 9 / 16, 1 / 16]], rtol=2e-3)


def test_average_is_of_probabilities_by_hand() -> None:
    sure, other = [np.log(8.0), 0, 0], [0, np.log(2.0), 0]  # 8 1 1 of 10 and 1 2 1 of 4
    found = softmax(average(np.array([sure, other])[:, None, :]).astype(float), axis=1)
    np.testing.assert_allclose(found, [[(0.8 + 0.25) / 2, (0.1 + 0.5) / 2, (0.1 + 0.25) / 2]], rtol=1e-3)


def test_a_loud_member_outvotes_in_logits_but_not_in_probabilities() -> None:
    logits = members([30, 0], [0, 2], [0, 2])
    assert order(vote_average(logits)) == [[1, 0]]
    assert order(average(logits)) == [[1, 0]]
    assert order(weighted(logits, np.full(3, 1 / 3))) == [[0, 1]]


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        # 3 and 0 have one vote each: the mean logit decides (3: 4/2, 0: 5/2); the others have none: 2 before 1
        (members([5, -1, 0, 0], [0, -1, 0, 4]), [0, 3, 2, 1]),
        # 1 has two votes of three; 0 has the larger mean logit
        (members([9, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]), [1, 0, 2, 3]),
        # all votes apart, means 3/3, 2/3, 4/3: by mean; 3 and 4 tie without a vote: in class order
        (members([3, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 4, 0, 0]), [2, 0, 1, 3, 4]),
        # nobody's first guess has the largest mean of all: everybody's second
        (members([4, 0, 3, 0], [0, 4, 3, 0]), [0, 1, 2, 3]),
        # one member whose two best are equal votes for the first of them, as it is ranked alone
        (members([0, 2, 1, 2]), [1, 3, 2, 0]),
        # every class has a vote
        (members([1, 0], [0, 3]), [1, 0]),
    ],
)
def test_top_five_of_votes_and_mean_logits_by_hand(logits: NDArray[Any], expected: list[int]) -> None:
    assert order(vote_average(logits)) == [expected]


def test_what_the_votes_raise_stays_next_to_what_it_passes() -> None:
    logits = members([9, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0])
    found = vote_average(logits)[0]
    assert found[[0, 2, 3]].tolist() == [3, 0, 0]  # the means
    assert found[1] == np.nextafter(np.float16(3), np.float16(4))


def slow_order(logits: NDArray[Any]) -> list[list[int]]:
    """Votes, then mean logit, then class index; one image after another."""
    mean = logits.astype(np.float64).mean(axis=0).astype(np.float16)
    found = []
    for image, own in enumerate(mean):
        votes = np.bincount(logits[:, image].argmax(axis=1), minlength=logits.shape[2])
        found.append(sorted(range(len(own)), key=lambda k, own=own, votes=votes: (-votes[k], -own[k], k)))  # type: ignore[misc]
    return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 7), st.booleans())
def test_votes_and_mean_logits_equal_a_slow_sort(seed: int, count: int, classes: int, coarse: bool) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (count, 9, classes))
    logits = (logits.round() if coarse else logits).astype(np.float16)  # coarse: many ties
    assert order(vote_average(logits)) == slow_order(logits)


@given(st.integers(0, 2**32 - 1))
def test_an_ensemble_of_one_is_its_member(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 8, (1, 7, 6)).astype(np.float16)
    logits[0, 0] = logits[0, 0].round()  # ties
    for combine in (average, vote_average, lambda m: weighted(m, np.ones(1)), lambda m: weighted(m, np.ones((1, 6)))):
        np.testing.assert_array_equal(combine(logits), logits[0])
    np.testing.assert_array_equal(majority_vote(logits).argmax(axis=1), logits[0].argmax(axis=1))


@pytest.mark.parametrize("combine", [majority_vote, average, vote_average])
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_members_does_not_matter(combine: Combine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (5, 4, 3)).astype(np.float16)
    np.testing.assert_allclose(combine(logits), combine(logits[rng.permutation(5)]), atol=1e-2)


class Fixed:
    """A fitted classifier that answers with given logits; what it is asked are row numbers."""

    def __init__(self, logits: NDArray[Any]) -> None:
        self.logits = logits

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.logits[rows[:, 0]].argmax(axis=1))

    def predict_proba(self, rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(softmax(self.logits[rows[:, 0]], axis=1))


@pytest.mark.parametrize(("combine", "voting"), [(majority_vote, "hard"), (average, "soft")])
def test_equal_to_scikit_learn(combine: Combine, voting: str) -> None:
    logits = np.random.default_rng(4).normal(0, 2, (5, 400, 6))
    peer = VotingClassifier([], voting=voting)
    peer.estimators_ = [Fixed(own) for own in logits]
    peer.le_ = LabelEncoder().fit(range(6))
    rows = np.arange(400)[:, None]
    if voting == "hard":
        np.testing.assert_array_equal(combine(logits).argmax(axis=1), peer.predict(rows))
    else:
        found = softmax(combine(logits).astype(float), axis=1)
        np.testing.assert_allclose(found, peer.predict_proba(rows), atol=2e-3)  # float16


def test_weights_by_hand() -> None:
    logits = np.log([[[0.5, 0.5]], [[0.8, 0.2]]])
    found = weighted(logits, np.array([[1.0, 1.0], [0.0, 2.0]])).astype(float)
    np.testing.assert_allclose(found[0, 0] - found[0, 1], np.log(0.5) - np.log(0.5) - 2 * np.log(0.2), atol=4e-3)
    doubled = softmax(weighted(logits, np.array([0.0, 2.0])).astype(float), axis=1)
    np.testing.assert_allclose(doubled, [[16 / 17, 1 / 17]], atol=1e-3)


def test_a_constant_on_a_members_logits_changes_nothing() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (3, 5, 4))
    moved = logits + np.array([0.0, 3.0, -2.0])[:, None, None]
    weights = np.random.default_rng(2).random((3, 4))
    for combine in (average, lambda m: weighted(m, weights)):
        first, second = (softmax(combine(each).astype(float), axis=1) for each in (logits, moved))
        np.testing.assert_allclose(first, second, atol=2e-2)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="with a member"):
        average(np.zeros((0, 2, 3)))
    with pytest.raises(ValueError, match="not finite"):
        vote_average(np.array([[[np.nan, 0]]]))
    with pytest.raises(ValueError, match=r"weights \(3,\) do not fit"):
        weighted(np.zeros((2, 4, 3)), np.ones(3))
