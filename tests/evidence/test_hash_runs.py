"""Runs that anything may be new in: by hand, and beside a search of all hashes."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evidence import hash_runs, hashes
from pipeline.evidence.hash_runs import Runs
from pipeline.evidence.hashes import block_choices, near_pairs, numbers_of
from tests.evidence.test_hashes import family

Hashes = npt.NDArray[np.uint64]
NONE = np.zeros(0, np.uint64)
MASK = np.uint64(0xF0)
HASHES = np.array([0x10, 0x11, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x32, 0x40, 0x41], np.uint64)
LOST = np.array([0x14, 0x35], np.uint64)


def test_what_is_searched_again_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "WINDOW", 2)
    runs = Runs.of(HASHES, MASK, np.array([10]), LOST, NONE)
    # Runs 1 and 3 lost a hash: 3 was longer than a window and one more, so 0x30 and 0x32 may be near each other now.
    assert HASHES[np.concatenate(list(runs.in_crowds()))].tolist() == [0x30, 0x31, 0x32]
    assert HASHES[np.concatenate(list(runs.in_doubt()))].tolist() == [0x30, 0x31, 0x32]
    assert runs.roomy(HASHES[[0, 6, 9]]).tolist() == [True, False, True]
    (beside,) = runs.beside_new(HASHES)
    assert HASHES[beside.rows].tolist() == [0x40, 0x41]
    assert set(beside.near(HASHES, 1).tolist()) == {9 * 11 + 10}
    assert beside.near(HASHES, 0).tolist() == []


def test_a_crowd_that_stays_is_searched_only_for_what_was_found_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "WINDOW", 2)
    runs = Runs.of(HASHES, MASK, np.array([10]), NONE, HASHES[[0, 2]])
    assert HASHES[np.concatenate(list(runs.in_crowds()))].tolist() == [0x20, 0x21, 0x22, 0x23]
    assert list(runs.in_doubt()) == []
    assert runs.roomy(HASHES[[0, 2]]).tolist() == [True, False]


def test_nothing_came_and_nothing_went() -> None:
    runs = Runs.of(HASHES, MASK, np.zeros(0, np.int64), NONE, NONE)
    assert runs.held.shape == (0, 2)
    assert list(runs.beside_new(HASHES)) == list(runs.in_crowds()) == list(runs.in_doubt()) == []


@given(
    seed=st.integers(0, 2**32),
    distance=st.integers(0, 10),
    slot_bits=st.sampled_from([1, 10]),
    window=st.sampled_from([1, 5, 256]),
)
@settings(max_examples=60, deadline=None)
def test_new_pairs_are_those_of_a_search_of_all(seed: int, distance: int, slot_bits: int, window: int) -> None:
    rng = np.random.default_rng(seed)
    told = family(rng, 12, 5)
    new = np.flatnonzero(rng.random(len(told)) < 0.2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hashes, "WINDOW", window)
        patched.setattr(hash_runs, "_SLOT_BITS", slot_bits)
        for mask in block_choices(len(told), distance):
            runs = Runs.of(told, mask, new, NONE, NONE)
            crowd = np.concatenate([np.zeros(0, np.int64), *runs.in_crowds()])
            searched = [crowd[near_pairs(told[crowd], mask, distance)]]
            found = {number for task in runs.beside_new(told) for number in task.near(told, distance).tolist()}
            found |= set(numbers_of(np.concatenate(searched), len(told)).tolist())
            whole = near_pairs(told, mask, distance)
            fresh = whole[np.isin(whole, new).any(axis=1)]
            assert set(numbers_of(fresh, len(told)).tolist()) <= found <= set(numbers_of(whole, len(told)).tolist())
            assert not set(told[crowd] & mask) & set(np.delete(told, crowd) & mask)
