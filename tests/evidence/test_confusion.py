"""Confused classes, their groups and the owners of their joint clusters, by hand and by double loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from pipeline.evidence.confusion import (
    ConfusedPairs,
    ConfusionSettings,
    class_shares,
    cluster_jointly,
    confused_groups,
    confused_pairs,
)


def pairs_of(*edges: tuple[int, int, float]) -> ConfusedPairs:
    a, b, rate = (np.array(column) for column in zip(*edges, strict=True))
    none = np.zeros(len(edges), np.int64)
    return ConfusedPairs(a, b, none, none, rate)


def test_three_classes_by_hand() -> None:
    #                 0: one of four taken for 1     1: both of two for 0      2: says nothing once
    label = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 1, 0, 0, 0, 0, 1, -1])
    found = confused_pairs(label, predicted, 3, 1)
    assert found.class_a.tolist() == [0, 1]
    assert found.class_b.tolist() == [1, 2]
    assert found.a_as_b.tolist() == [1, 0]
    assert found.b_as_a.tolist() == [2, 1]
    assert found.rate.tolist() == [(1 / 4 + 2 / 2) / 2, (0 / 2 + 1 / 1) / 2]
    assert confused_pairs(label, predicted, 3, 2).class_b.tolist() == [1]  # class 2 is spoken of once


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), max_size=40))
def test_rates_against_a_double_loop(images: list[tuple[int, int]]) -> None:
    label, predicted = np.array(images, int).reshape(-1, 2).T
    found = confused_pairs(label, predicted, 5, 1)
    told = dict(zip(zip(found.class_a.tolist(), found.class_b.tolist(), strict=True), found.rate, strict=True))
    for a in range(5):
        for b in range(a + 1, 5):
            own = [[p for y, p in images if y == c and p >= 0] for c in (a, b)]
            if all(own):
                rate = (own[0].count(b) / len(own[0]) + own[1].count(a) / len(own[1])) / 2
                assert told.get((a, b), 0) == pytest.approx(rate)
    assert (np.diff(found.rate) <= 0).all()


def test_groups_grow_from_the_most_confused_pair_within_their_bounds() -> None:
    pairs = pairs_of((2, 5, 0.4), (0, 1, 0.3), (1, 2, 0.2), (3, 4, 0.2), (0, 5, 0.15), (4, 6, 0.1), (6, 7, 0.04))
    sizes = np.full(8, 10)
    everything = confused_groups(pairs, sizes, ConfusionSettings(threshold=0.01))
    assert everything == [(0, 1, 2, 5), (3, 4, 6, 7)]
    assert confused_groups(pairs, sizes, ConfusionSettings(threshold=0.1)) == [(0, 1, 2, 5), (3, 4, 6)]
    assert confused_groups(pairs, sizes, ConfusionSettings(classes_per_group=3)) == [(2, 5), (0, 1), (3, 4, 6)]
    assert confused_groups(pairs, sizes, ConfusionSettings(images_per_group=29)) == [(2, 5), (0, 1), (3, 4)]
    # a pair may be as large as it is
    assert confused_groups(pairs, sizes * 1000, ConfusionSettings(images_per_group=9)) == [(2, 5), (0, 1), (3, 4)]
    assert confused_groups(pairs, sizes, ConfusionSettings(threshold=0.5)) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60), st.integers(2, 5))
def test_no_class_is_in_two_groups_and_none_is_too_large(edges: list[tuple[int, int]], most: int) -> None:
    distinct = sorted({(min(e), max(e)) for e in edges if e[0] != e[1]})
    if not distinct:
        return
    pairs = pairs_of(*((a, b, 1 - i / 100) for i, (a, b) in enumerate(distinct)))
    groups = confused_groups(pairs, np.ones(10, int), ConfusionSettings(classes_per_group=most))
    members = [c for group in groups for c in group]
    assert len(members) == len(set(members))
    assert all(2 <= len(group) <= most for group in groups)
    assert set(distinct[0]) <= set(groups[0])


def test_shares_even_out_the_sizes_of_classes() -> None:
    # class 0: six images, three in each cluster; class 1: two images, both in cluster 1
    cluster = np.array([0, 0, 0, 1, 1, 1, 1, 1, -1])
    member = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    assert class_shares(cluster, member, 2).tolist() == [[1, 0], pytest.approx([1 / 3, 2 / 3])]
    assert class_shares(np.array([-1, -1]), np.array([0, 1]), 2).shape == (0, 2)
    assert class_shares(np.array([0]), np.array([1]), 3).tolist() == [[0, 1, 0]]


def purses_and_wallets(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 wallets; 100 images found by "purse", a third of them wallets: features, member (1 = purse), is a wallet."""
    rng = np.random.default_rng(seed)
    member = np.repeat([0, 1], [60, 100])
    wallet = (np.arange(160) < 60) | (np.arange(160) % 3 == 0)
    return (rng.normal(size=(160, 8)) + np.where(wallet, 12, 0)[:, None]).astype(np.float16), member, wallet


def test_a_wallet_found_by_purse_is_owned_by_wallet() -> None:
    features, member, wallet = purses_and_wallets()
    settings = ConfusionSettings(clusters_per_class=2)
    cluster = cluster_jointly(lambda chosen: features[chosen], np.arange(160), 2, settings)
    share = class_shares(cluster, member, 2)
    owner = share.argmax(axis=1)[cluster]
    assert np.array_equal(owner == 0, wallet)
    own = share[cluster, member]
    assert own[wallet & (member == 1)].max() < 0.45
    assert own[~wallet].min() == 1


def test_above_its_bound_a_group_is_clustered_on_a_sample_and_all_join() -> None:
    features, _, wallet = purses_and_wallets()
    ids = np.random.default_rng(1).permutation(160)
    asked: list[int] = []

    def read(chosen: np.ndarray) -> np.ndarray:
        asked.append(len(chosen))
        return np.asarray(features[chosen])

    settings = ConfusionSettings(clusters_per_class=1, images_per_group=40)
    cluster = cluster_jointly(read, ids, 2, settings)
    assert asked[0] == 40
    assert adjusted_rand_score(cluster, wallet) == 1
    assert (cluster == 0).sum() >= (cluster == 1).sum() > 0
    other = np.random.default_rng(2).permutation(160)
    moved = cluster_jointly(lambda chosen: features[other][chosen], ids[other], 2, settings)
    assert np.array_equal(moved, cluster[other])


@pytest.mark.parametrize("bound", [4, 1000])
def test_features_that_are_not_finite_or_all_the_same(bound: int) -> None:
    settings = ConfusionSettings(images_per_group=bound)
    same = np.full((6, 3), 2, np.float16)
    assert cluster_jointly(lambda chosen: same[chosen], np.arange(6), 2, settings).tolist() == [0] * 6
    broken = np.full((6, 3), np.nan, np.float16)
    assert cluster_jointly(lambda chosen: broken[chosen], np.arange(6), 2, settings).tolist() == [-1] * 6
    broken[1:] = 1
    assert cluster_jointly(lambda chosen: broken[chosen], np.arange(6), 2, settings).tolist() == [-1] + [0] * 5


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("threshold", 0.0, r"confusion\.threshold must be in \(0, 1\], not 0"),
        ("classes_per_group", 1, r"confusion\.classes_per_group must be at least 2, not 1"),
        ("clusters_per_class", 0, r"confusion\.clusters_per_class must be at least 1, not 0"),
        ("pairs", -1, r"confusion\.pairs must be at least 0, not -1"),
    ],
)
def test_refusals(name: str, value: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ConfusionSettings(**{name: value})  # type: ignore[arg-type]
