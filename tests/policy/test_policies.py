"""The first three policies, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.policy.balance import inverse_count, uniform
from pipeline.policy.clusters import by_cluster_size
from pipeline.policy.decision import Decision, class_means, mean_one


def test_uniform_counts_everything_once() -> None:
    decision = uniform(np.array([0, 0, 2]))
    assert decision.weight.tolist() == [1, 1, 1]
    assert decision.repeats.tolist() == [1, 1, 1]
    assert [decision.reasons[i] for i in decision.reason] == ["counts as it is"] * 3


def test_inverse_count_gives_every_class_the_same_total() -> None:
    class_index = np.array([3, 0, 0, 0])
    decision = inverse_count(class_index)
    weight = mean_one(decision.weight, decision.repeats)
    assert weight.tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])
    assert decision.reasons[decision.reason[0]] == "its class has 1 images"
    assert decision.reasons[decision.reason[1]] == "its class has 3 images"


def test_cluster_size_by_hand() -> None:
    # class 0: shares .75 .75 .75 .25, mean .625; class 1: one image in one cluster
    decision = by_cluster_size(
        np.array([0, 0, 1, 0, 0]), np.array([0, 0, 0, 1, 0]), np.array([0.75, 0.75, 1.0, 0.25, 0.75])
    )
    assert decision.weight.tolist() == pytest.approx([1.2, 1.2, 1.0, 0.4, 1.2])
    assert decision.reasons[decision.reason[3]] == "cluster 1 holds 25.0% of its class"


def test_an_image_without_a_cluster_counts_nothing() -> None:
    decision = by_cluster_size(np.array([0, 0, 1]), np.array([0, -1, -1]), np.array([0.5, 0.0, 0.0]))
    assert decision.weight.tolist() == pytest.approx([2, 0, 0])
    assert decision.reasons[decision.reason[1]] == "no cluster: its features are not finite"


def test_mean_one_counts_repeats_and_drops_what_is_not_seen() -> None:
    weight = mean_one(np.array([1.0, 3.0, 9.0]), np.array([2, 1, 0]))
    # seen: 1, 1, 3 -> mean 5/3
    assert weight.tolist() == pytest.approx([0.6, 1.8, 0.0])
    assert weight.dtype == np.float32
    with pytest.raises(ValueError, match="leaves nothing to train on"):
        mean_one(np.array([1.0]), np.array([0]))


@given(
    st.lists(st.tuples(st.floats(0, 1e3, allow_subnormal=False), st.integers(0, 4)), min_size=1).filter(
        lambda rows: sum(w * r for w, r in rows) > 1e-3
    )
)
def test_the_mean_over_an_epoch_is_one(rows: list[tuple[float, int]]) -> None:
    weight, repeats = (np.array(column) for column in zip(*rows, strict=True))
    scaled = mean_one(weight, repeats).astype(np.float64)
    assert (scaled * repeats).sum() / repeats.sum() == pytest.approx(1, rel=1e-5)


@given(st.permutations(range(6)))
def test_row_order_does_not_matter(order: list[int]) -> None:
    class_index = np.array([0, 0, 0, 1, 1, 2])
    cluster = np.array([0, 0, 1, 0, 1, 0])
    share = np.array([2 / 3, 2 / 3, 1 / 3, 0.5, 0.5, 1])
    at = np.array(order)
    for one, two in (
        (inverse_count(class_index), inverse_count(class_index[at])),
        (by_cluster_size(class_index, cluster, share), by_cluster_size(class_index[at], cluster[at], share[at])),
    ):
        assert one.weight[at] == pytest.approx(two.weight)
        assert [one.reasons[i] for i in one.reason[at]] == [two.reasons[i] for i in two.reason]


def test_a_larger_cluster_never_weighs_less() -> None:
    share = np.array([0.5, 0.3, 0.2])
    weight = by_cluster_size(np.zeros(3, int), np.arange(3), share).weight
    assert (np.diff(weight) < 0).all()


def test_class_means_by_hand() -> None:
    assert class_means(np.array([1.0, 3.0, 5.0]), np.array([2, 2, 0])).tolist() == [2, 2, 5]


def test_a_decision_is_checked() -> None:
    ones = np.ones(2, np.int32)
    with pytest.raises(ValueError, match="repeats has 1 rows, weight has 2"):
        Decision(np.ones(2), ones[:1], ones, ones, [""])
    with pytest.raises(ValueError, match="finite and not negative"):
        Decision(np.array([1.0, np.nan]), ones, ones, ones, [""])
    with pytest.raises(ValueError, match="finite and not negative"):
        Decision(np.array([1.0, -1.0]), ones, ones, ones, [""])
