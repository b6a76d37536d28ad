"""Words as 64-bit keys, and a table of keys: the bytes themselves up to 8 of them, a hash beyond."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
_MIX: Final = np.uint64(0xD6E8FEB86659FD93)
#: The bits of a word's first n bytes, n up to 8.
_FIRST: Final = np.array([0, *((1 << 8 * n) - 1 for n in range(1, 9))], np.uint64)

Keys = npt.NDArray[np.uint64]


def word_keys(words: Sequence[str]) -> Keys:
    """(len(words),) the keys that `split_words` gives to words that `spelled` gave."""
    letters = [word.encode() for word in words]
    length = np.array([len(word) for word in letters], np.int64)
    begin = np.cumsum(length) - length
    return keys_at(np.frombuffer(b"".join(letters) + bytes(8), np.uint8), begin, length)


def keys_at(folded: npt.NDArray[np.uint8], begin: npt.NDArray[np.int64], length: npt.NDArray[np.int64]) -> Keys:
    """Each word's first 8 bytes; longer ones are mixed with 8 more at a time, as far as they go."""
    eight: Keys = np.ndarray((max(len(folded) - 7, 0),), "<u8", buffer=folded, strides=(1,))
    keys = eight[begin] & _FIRST[np.minimum(length, 8)]
    long = np.flatnonzero(length > 8)
    done = 8
    while len(long):
        more = eight[begin[long] + done] & _FIRST[np.minimum(length[long] - done, 8)]
        mixed = (keys[long] ^ (keys[long] >> np.uint64(29))) * _MIX + more
        keys[long] = (mixed ^ (mixed >> np.uint64(32))) * _ODD
        done += 8
        long = long[length[long] > done]
    return keys


class KeyTable:
    """Keys to numbers by direct address: most lookups of an absent key end at one empty slot."""

    def __init__(self, keys: Keys, values: npt.NDArray[np.integer[Any]]) -> None:
        """Take (k,) distinct keys, none of them 0, and their values, none of them 0."""
        if len(np.unique(keys)) != len(keys) or not keys.all() or not values.all():
            raise ValueError("keys must be distinct, keys and values other than 0")
        bits = max(4, (4 * len(keys)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._last = (1 << bits) - 1
        self._keys = np.zeros(1 << bits, np.uint64)
        self._values = np.zeros(1 << bits, np.int32)
        slot = self._slots(keys)
        left = np.arange(len(keys))
        while len(left):
            free = left[self._keys[slot[left]] == 0]
            _, first = np.unique(slot[free], return_index=True)
            placed = free[first]
            self._keys[slot[placed]] = keys[placed]
            self._values[slot[placed]] = values[placed]
            left = left[self._keys[slot[left]] != keys[left]]
            slot[left] = (slot[left] + 1) & self._last

    def find(self, keys: Keys) -> npt.NDArray[np.int32]:
        """(len(keys),) the value of each key, 0 where it is not in the table."""
        slot = self._slots(keys)
        there = self._keys[slot]
        same = there == keys
        values: npt.NDArray[np.int32] = self._values[slot] * same
        left = np.flatnonzero(~same & (there != 0))
        while len(left):
            slot[left] = (slot[left] + 1) & self._last
            there = self._keys[slot[left]]
            same = there == keys[left]
            values[left[same]] = self._values[slot[left[same]]]
            left = left[~same & (there != 0)]
        return values

    def _slots(self, keys: Keys) -> npt.NDArray[np.int64]:
        return (((keys ^ (keys >> np.uint64(32))) * _ODD) >> self._shift).astype(np.int64)
