"""Near hashes: all pairs that a comparison of all with all finds, as long as they are not crowded."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evidence import hashes as module
from pipeline.evidence.hashes import block_choices, distinct_pairs, near_pairs

Hashes = npt.NDArray[np.uint64]


def found(hashes: Hashes, distance: int) -> set[tuple[int, int]]:
    pairs = [near_pairs(hashes, mask, distance) for mask in block_choices(len(hashes), distance)]
    return {(int(a), int(b)) for a, b in distinct_pairs(np.concatenate(pairs), len(hashes))}


def compared(hashes: Hashes, distance: int) -> set[tuple[int, int]]:
    values = [int(value) for value in hashes]
    pairs = itertools.combinations(range(len(values)), 2)
    return {(a, b) for a, b in pairs if (values[a] ^ values[b]).bit_count() <= distance}


def family(rng: np.random.Generator, parents: int, children: int) -> Hashes:
    """Ascending hashes: some parents, and children of each with up to 8 bits changed."""
    parent = np.repeat(rng.integers(0, 2**64, parents, np.uint64), children)
    changed = np.zeros(len(parent), np.uint64)
    for _ in range(8):
        changed |= np.uint64(1) << rng.integers(0, 64, len(parent), np.uint64)
    few = changed & rng.integers(0, 2**64, len(parent), np.uint64)
    return np.sort(parent ^ few)


def test_three_hashes_by_hand() -> None:
    hashes = np.array([0b000, 0b001, 0b111], np.uint64)
    assert found(hashes, 0) == set()
    assert found(hashes, 1) == {(0, 1)}
    assert found(hashes, 2) == {(0, 1), (1, 2)}
    assert found(hashes, 3) == {(0, 1), (1, 2), (0, 2)}


@given(seed=st.integers(0, 2**32), distance=st.integers(0, 10))
@settings(max_examples=30, deadline=None)
def test_pairs_are_those_of_all_against_all(seed: int, distance: int) -> None:
    hashes = family(np.random.default_rng(seed), 8, 6)
    assert found(hashes, distance) == compared(hashes, distance)


def test_more_hashes_have_to_agree_in_more_bits_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = family(np.random.default_rng(0), 30, 8)
    few = block_choices(len(hashes), 6)
    monkeypatch.setattr(module, "_BUCKET", 1)
    many = block_choices(1 << 20, 6)
    assert (len(few), len(many)) == (7, 84)
    assert min(int(mask).bit_count() for mask in many) >= 20
    pairs = distinct_pairs(np.concatenate([near_pairs(hashes, mask, 6) for mask in many]), len(hashes))
    assert {(int(a), int(b)) for a, b in pairs} == compared(hashes, 6)


def test_a_crowd_of_equal_hashes_costs_a_window_each_and_stays_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", 2)
    pairs = found(np.full(50, 7, np.uint64), 0)
    assert len(pairs) < 3 * 50
    assert {(0, b) for b in range(1, 50)} <= pairs  # with the first of them, which can be the centre of them all


@pytest.mark.parametrize("hashes", [[], [5]])
def test_nothing_to_compare(hashes: list[int]) -> None:
    assert found(np.array(hashes, np.uint64), 6) == set()


def test_a_distance_that_cannot_be_searched_is_refused() -> None:
    with pytest.raises(ValueError, match=r"distance must be in \[0, 16\], not 17"):
        block_choices(10, 17)
