"""What a person found stands: lifted to what is usual, never lowered, by hand and for anything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.policy.people import WORDS, stand_by
from pipeline.policy.policy import Policy
from tests.policy.tables import columns, part, words


def stood(
    weight: list[float], repeats: list[int], label: list[int], found: list[int]
) -> tuple[list[float], list[int], list[int]]:
    made = np.array(weight, np.float64), np.array(repeats, np.int32), np.full(len(label), 2, np.int32)
    stand_by(*made, np.array(label), np.array(found))
    return made[0].tolist(), made[1].tolist(), made[2].tolist()


def test_lifted_to_the_mean_sighting_of_the_images_nobody_looked_at() -> None:
    # class 0: sightings of weight 1, 1, 4: mean 2, twice one image on average (3 // 2 = 1)
    weight, repeats, stage = stood([1, 4, 0.5, 3, 9], [2, 1, 1, 0, 1], [0, 0, 0, 0, 1], [-1, -1, 0, 0, -1])
    assert weight == [1, 4, 2, 2, 9]
    assert repeats == [2, 1, 1, 1, 1]
    assert stage == [2, 2, 0, 0, 2]


def test_where_all_of_a_class_were_looked_at_they_are_what_is_usual() -> None:
    assert stood([1, 3, 5], [1, 1, 0], [0, 0, 0], [0, 0, 0])[:2] == ([2, 3, 2], [1, 1, 1])
    assert stood([0, 0], [0, 4], [0, 0], [-1, 0])[:2] == ([0, 1], [0, 4])  # nothing is left but it


def test_who_was_right_and_who_is_moved_is_told() -> None:
    note = stand_by(np.ones(3), np.ones(3, np.int32), np.zeros(3, np.int32), np.zeros(3, int), np.array([-1, 0, 1]))
    assert (note.index.tolist(), note.texts) == ([-1, 0, 1], list(WORDS))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
@settings(max_examples=60)
def test_nothing_is_lowered_and_nobody_looked_at_counts_less_than_usual(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    weight, repeats = rng.choice([0, 0.1, 1, 7.5], n), rng.integers(0, 3, n).astype(np.int32)
    label, looked_at = rng.integers(0, 3, n), rng.random(n) < rng.random()
    made = weight.copy(), repeats.copy(), np.zeros(n, np.int32)
    stand_by(*made, label, np.where(looked_at, label, -1))
    assert (made[0] >= np.where(repeats > 0, weight, 0))[looked_at].all()
    assert (made[1] >= repeats).all()
    assert (made[0][looked_at] > 0).all()
    assert (made[1][looked_at] > 0).all()
    assert np.array_equal(made[0][~looked_at], weight[~looked_at])
    for own in range(3):
        others = (label == own) & ~looked_at & (repeats > 0) & (weight > 0)
        if others.any():
            usual = np.average(weight[others], weights=repeats[others])
            assert (made[0][looked_at & (label == own)] >= usual - 1e-12).all()


def test_classes_are_balanced_over_what_people_let_in() -> None:
    policy = Policy(parts=(part("class-reweight"), part("density-clean")))
    table = columns([0, 0, 1], density_level=[0, 2, 0])
    decision = policy.decide(table, np.array([-1, 0, -1]))
    assert decision.weight.tolist() == pytest.approx([0.5, 0.5, 1])
    assert words(decision)[1] == f"highly noisy by density, left out; {WORDS[0]}; its class adds up to 2 images"


def test_a_person_outranks_every_suggestion() -> None:
    policy = Policy(parts=(part("relabel", floor=0),))
    table = columns(
        [0, 0, 0], right_probability=[0.1, 0.1, 0], fused_class=[2, 2, None], fused_probability=[0.9, 0.9, None]
    )
    assert policy.decide(table, np.array([-1, 0, 1])).suggested.tolist() == [-1, -1, 1]
    assert policy.decide(table).suggested.tolist() == [-1, 2, -1]
