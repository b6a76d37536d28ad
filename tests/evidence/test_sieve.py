"""A sieve lets all through that it was made for, and of others no more than its slots make it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evidence.sieve import Sieve, slot_of

KEYS = st.lists(st.integers(0, 2**64 - 1), max_size=50).map(lambda told: np.array(told, np.uint64))


@given(wanted=KEYS, others=KEYS)
def test_what_passes_shares_a_slot_with_what_was_asked_for(wanted: np.ndarray, others: np.ndarray) -> None:
    sieve, keys = Sieve.for_keys(wanted), np.concatenate([others, wanted])
    slots = set(slot_of(wanted, sieve.slots).tolist())
    expected = [at for at, slot in enumerate(slot_of(keys, sieve.slots).tolist()) if slot in slots]
    assert sieve.passed(keys).tolist() == expected
    assert sieve.count == len(slots)
    assert sieve.number(wanted).tolist() == [
        sorted(slots).index(slot) for slot in slot_of(wanted, sieve.slots).tolist()
    ]


def test_few_others_pass() -> None:
    rng = np.random.default_rng(0)
    wanted, others = rng.integers(0, 2**64, 1000, np.uint64), rng.integers(0, 2**64, 100_000, np.uint64)
    assert len(Sieve.for_keys(wanted).passed(wanted)) == 1000
    assert len(Sieve.for_keys(wanted).passed(others)) < 100_000 / 15
    assert len(Sieve.for_keys(wanted[:0]).passed(others)) == 0


def test_each_bit_of_a_byte_is_one_slot() -> None:
    keys = np.arange(64, dtype=np.uint64) << np.uint64(58)  # times the odd factor, these are all high bits once
    slots = slot_of(keys, 64)
    assert sorted(slots.tolist()) == list(range(64))
    for slot in range(64):
        marked = np.zeros(64, np.bool_)
        marked[slot] = True
        assert slots[Sieve.of(marked).passed(keys)].tolist() == [slot]
