"""Which of very many keys belong to a few: a table of bits that fits the processor's cache lets through hardly more."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
#: 2^64 over the golden ratio: multiplied by it, keys differ in their high bits.
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_CACHED_ROWS: Final = 2**15  # keys worked at at a time
_BITS: Final = 64
_SPARE_BITS: Final = 4  # one slot in 16 is marked, at most
_MOST_BITS: Final = 27  # 16 MB


def slot_of(key: Keys, slots: int) -> npt.NDArray[np.int64]:
    """The slot of each key, of a power of two of them."""
    return (key * _SPREAD >> np.uint64(_BITS + 1 - slots.bit_length())).view(np.int64)


@dataclass(frozen=True)
class Sieve:
    """Slots of keys, of which some are marked."""

    slots: int  # a power of two
    marked: npt.NDArray[np.uint8]  # a bit for each slot, the lowest of each byte first; whole words of 64
    before: npt.NDArray[np.int64]  # how many are marked before each word; at last, how many at all

    @classmethod
    def of(cls, marked: npt.NDArray[np.bool_]) -> Self:
        """Let through what lies in the marked of (slots,) slots."""
        bits = np.packbits(marked, bitorder="little")
        bits = np.concatenate([bits, np.zeros(-len(bits) % 8, np.uint8)])
        return cls(
            len(marked), bits, np.concatenate([[0], np.cumsum(np.bitwise_count(bits.view("<u8")), dtype=np.int64)])
        )

    @classmethod
    def for_keys(cls, keys: Keys) -> Self:
        """Let through these, and few others."""
        marked = np.zeros(2 ** min(max(len(keys).bit_length() + _SPARE_BITS, 3), _MOST_BITS), np.bool_)
        marked[slot_of(keys, len(marked))] = True
        return cls.of(marked)

    @property
    def count(self) -> int:
        """Of marked slots."""
        return int(self.before[-1])

    def number(self, key: Keys) -> npt.NDArray[np.int64]:
        """Of each key in a marked slot, the number of that slot among these."""
        slot = slot_of(key, self.slots)
        word, bit = slot >> 6, np.uint64(1) << (slot & 63).view(np.uint64)
        return np.asarray(self.before[word] + np.bitwise_count(self.marked.view("<u8")[word] & (bit - np.uint64(1))))

    def passed(self, key: Keys) -> npt.NDArray[np.int64]:
        """Positions, ascending, of all keys in marked slots."""
        pieces = range(0, len(key), _CACHED_ROWS)
        found = [self._passed(key[start : start + _CACHED_ROWS]) + start for start in pieces]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _passed(self, key: Keys) -> npt.NDArray[np.int64]:
        slot = slot_of(key, self.slots)
        byte = self.marked.take(slot >> 3, mode="clip")
        return np.flatnonzero((byte >> (slot.astype(np.uint8) & 7) & 1).view(np.bool_))
