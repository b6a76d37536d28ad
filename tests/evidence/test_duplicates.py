"""Groups of doubles by hand: byte contents, stars instead of chains, copies counted, leaks named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evidence.duplicates import DuplicateSettings, contents, group_images, stars

NONE = np.zeros((0, 2), np.int64)


def test_contents_are_named_by_their_smallest_id() -> None:
    digest = np.array([[9, 1], [3, 3], [9, 2], [9, 1], [3, 3]], np.uint64)
    assert contents(digest, np.array([50, 40, 30, 20, 60])).tolist() == [20, 40, 30, 20, 40]


def test_no_image_has_no_content() -> None:
    content = contents(np.zeros((0, 2), np.uint64), np.zeros(0, np.int64))
    assert len(content) == 0
    assert group_images(content, NONE, np.zeros(0, np.int64), np.zeros(0, np.bool_)).group.tolist() == []


def test_a_chain_falls_into_stars() -> None:
    chain = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    # 1 to 4 have two doubles each, and 1 is the first of them. When 0 to 2 are done, 3 has one left and 4 has two.
    assert stars(chain, 6).tolist() == [1, 1, 1, 4, 4, 4]


def test_the_picture_with_most_doubles_is_the_centre() -> None:
    pairs = np.array([[0, 4], [1, 4], [2, 4], [0, 1], [2, 3]])
    assert stars(pairs, 6).tolist() == [4, 4, 4, 3, 4, 5]


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40))
def test_every_member_of_a_star_is_a_double_of_its_centre(drawn: list[tuple[int, int]]) -> None:
    known = {(min(pair), max(pair)) for pair in drawn if pair[0] != pair[1]}
    centre = stars(np.array(sorted(known), np.int64).reshape(-1, 2), 15)
    for picture, own in enumerate(centre.tolist()):
        assert own == picture or (min(picture, own), max(picture, own)) in known
        assert centre[own] == own
    alone = {picture for picture in range(15) if (centre == centre[picture]).sum() == 1}
    assert not any(a in alone and b in alone for a, b in known)


def test_copies_are_counted_by_hand() -> None:
    # Contents: 10 of ids 10 and 13, 11 of 11, 12 of 12; 10 and 11 are one picture. 13 is of val.
    groups = group_images(
        np.array([10, 11, 12, 10]),
        np.array([[10, 11]]),
        np.array([10, 11, 12, 13]),
        np.array([True, True, True, False]),
    )
    assert groups.group.tolist() == [10, 10, 12, 10]
    assert groups.exact.tolist() == [1, 0, 0, 1]
    assert groups.near.tolist() == [1, 2, 0, 1]
    assert groups.training.tolist() == [2, 2, 1, 2]
    assert groups.leak.tolist() == [True, True, False, True]


def test_a_group_within_training_or_within_test_is_no_leak() -> None:
    groups = group_images(np.arange(4), np.array([[0, 1], [2, 3]]), np.arange(4), np.array([True, True, False, False]))
    assert groups.group.tolist() == [0, 0, 2, 2]
    assert not groups.leak.any()


def test_a_double_of_a_test_image_leaks_though_it_has_gone_to_another_group() -> None:
    # 1 is the centre of 0, 2 and 3; 4 (of test) is a double of 3 alone and so has no group, but 3 and 4 are named.
    pairs = np.array([[0, 1], [1, 2], [1, 3], [3, 4]])
    groups = group_images(np.arange(5), pairs, np.arange(5), np.array([True, True, True, True, False]))
    assert groups.group.tolist() == [0, 0, 0, 0, 4]
    assert groups.leak.tolist() == [False, False, False, True, True]


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_images_changes_nothing(random: object) -> None:
    rng = np.random.default_rng(0)
    digest = rng.integers(0, 12, (30, 1)).astype(np.uint64).repeat(2, axis=1)
    image_id, training = rng.permutation(100)[:30], rng.random(30) < 0.7
    names = np.unique(contents(digest, image_id))
    pairs = names[np.array([[0, 1], [1, 2], [2, 5], [5, 6]])]
    order = np.array(random.sample(range(30), 30))  # type: ignore[attr-defined]
    told = []
    for at in (np.arange(30), order):
        content = contents(digest[at], image_id[at])
        groups = group_images(content, pairs, image_id[at], training[at])
        told.append({i: [v[k] for v in vars(groups).values()] for k, i in enumerate(image_id[at].tolist())})
    assert told[0] == told[1]


@pytest.mark.parametrize(("name", "value"), [("hash_distance", 17), ("hash_distance", -1), ("tolerance", 0.0)])
def test_settings_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"duplicates.{name} must be in"):
        DuplicateSettings(**{name: value})  # type: ignore[arg-type]
