"""Whom to ask: expected changes and the list, worked by hand."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.policy.review import Candidates, Images, ReviewSettings, candidates, choose, moderated, own_change


def test_what_a_verdict_changes_of_the_image_itself() -> None:
    right, counts = np.array([0.75, 0.75, 0.25, 1, 0]), np.array([1, 0, 2, 2, 0.5])
    # lifted to 1 where right, to nothing where wrong
    assert own_change(right, counts, np.ones(5)).tolist() == [0.25, 0.75, 1.5, 0, 0.5]


def test_nobody_has_earned_certainty_yet() -> None:
    assert moderated(np.array([0.5])).tolist() == [0.5]
    sure = moderated(np.array([0.02, 0.98]))
    assert sure.sum() == pytest.approx(1)
    assert sure[1] == pytest.approx(0.9485, abs=1e-4)  # logistic(log(49) / sqrt(1 + pi / 4))


def images(label: list[int], query: list[int], right: list[float], **more: list[float]) -> Images:
    n = len(label)
    told: dict[str, Any] = {
        "image_id": np.arange(10, 10 + n),
        "label": np.array(label, np.int32),
        "query": np.array(query, np.int32),
        "group": np.arange(10, 10 + n),
        "right": np.array(right, np.float64),
        "weight": np.ones(n),
        "copies": np.ones(n, np.int32),
        "askable": np.ones(n, np.bool_),
        "asked": np.zeros(n, np.bool_),
    }
    return Images(**told | {name: np.array(value).astype(told[name].dtype) for name, value in more.items()})


def test_a_query_stands_for_all_its_images_where_they_move() -> None:
    # query 5: four images, one of them asked and one double; query 6: one image
    own = images(
        [2] * 5, [5, 5, 5, 5, 6], [0.5] * 5, copies=[2, 2, 1, 1, 1], asked=[0, 0, 1, 0, 0], askable=[1, 1, 0, 1, 1]
    )
    found = candidates(own, 100, 9, moves=True)
    assert found.row.tolist() == [100, 101, 103, 104]
    # what is usual is all weight over all pictures, 5 / 4; query 5 has three pictures, whose verdicts spread by 1/2
    assert found.stake.tolist() == pytest.approx([1.25 * 3 / 2] * 3 + [1.25 / 2])
    assert found.asked.tolist() == [1, 1, 1, 0]
    assert found.images.tolist() == [4, 4, 4, 1]
    assert len(set(found.own[:3].tolist())) == 1


def test_where_nothing_else_moves_the_largest_own_change_comes_first() -> None:
    own = images([0, 0, 0, 1], [0, 0, 0, 1], [0.5, 0.01, 0.99, 0.5], weight=[1, 1, 1, 0])
    found = candidates(own, 0, 1, moves=False)
    assert found.stake.tolist() == [0] * len(found.stake)
    assert found.row.tolist()[0] == 1  # counts fully and is most probably wrong
    assert len(found.row) == 3  # twice the quota of query 0, and all of query 1
    assert choose(found, 2, 1)[0].row.tolist() == [1, 3]


def few(**told: list[float]) -> Candidates:
    n = len(told["own"])
    base: dict[str, Any] = {item.name: np.zeros(n, np.int64) for item in dataclasses.fields(Candidates)}
    base |= {"row": np.arange(n), "image_id": np.arange(n), "group": np.arange(n), "stake": np.zeros(n)}
    return Candidates(**base | {name: np.array(value) for name, value in told.items()})


def test_each_verdict_on_a_query_leaves_less_to_learn_of_it() -> None:
    found = few(own=[0.0] * 5, stake=[6, 6, 6, 4, 4], query=[0, 0, 0, 1, 1], asked=[0, 0, 0, 0, 0])
    chosen, change = choose(found, 5, 5)
    # 6, 4, 6 / 2, then 4 / 2 and 6 / 3 are alike: the lower id
    assert chosen.row.tolist() == [0, 3, 1, 2, 4]
    assert change.tolist() == [6, 4, 3, 2, 2]
    assert chosen.asked.tolist() == [0, 0, 1, 2, 1]
    assert choose(few(own=[0.0] * 2, stake=[6, 4], query=[0, 1], asked=[1, 0]), 1, 5)[0].row.tolist() == [1]


def test_one_of_a_group_and_no_more_of_a_class_than_its_quota() -> None:
    found = few(own=[5.0, 4, 3, 2, 1], group=[0, 0, 2, 3, 4], label=[0, 0, 0, 0, 1])
    assert choose(found, 9, 2)[0].row.tolist() == [0, 2, 4]
    assert ReviewSettings(count=200).quota(24) == 34
    assert ReviewSettings(count=200).quota(5000) == 1
    assert ReviewSettings(count=7).quota(1) == 7


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 2001}, {"crowding": 0.5}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ReviewSettings(**wrong)  # type: ignore[arg-type]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
@settings(max_examples=50)
def test_the_order_of_rows_changes_nothing(seed: int, n: int, moves: bool) -> None:
    rng = np.random.default_rng(seed)
    query = rng.integers(0, 5, n)
    own = images(
        (query // 2).tolist(),
        query.tolist(),
        rng.choice([0, 0.3, 0.5, 1], n).tolist(),
        weight=rng.choice([0, 0.5, 2], n).tolist(),
        askable=(rng.random(n) < 0.8).tolist(),
        group=rng.integers(0, n, n).tolist(),
    )
    by = rng.permutation(n)
    mixed = Images(*(getattr(own, item.name)[by] for item in dataclasses.fields(Images)))
    lists = [choose(candidates(one, 0, 3, moves), 8, 3)[0].image_id.tolist() for one in (own, mixed)]
    assert lists[0] == lists[1]
    chosen = np.array(lists[0], np.int64) - 10
    assert own.askable[chosen].all()
    assert len(set(own.group[chosen].tolist())) == len(chosen)
    assert np.bincount(own.label[chosen], minlength=1).max() <= 3
