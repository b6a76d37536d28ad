"""Pairs of perceptual hashes that differ in a few bits, found without comparing all with all.

The pigeonhole principle: cut the 64 bits into d + m blocks, and two hashes that differ in at most d bits agree in at
least m whole blocks. So for every choice of m blocks the hashes are sorted by those, and only hashes that agree in all
of them are compared (Manku, Jain and Das Sarma, "Detecting Near-Duplicates for Web Crawling", 2007).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from pipeline.storage.arrays import blocks

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

BITS: Final = 64
#: Hashes agreeing in the chosen blocks are compared with so many that follow them, and each with the first of its
#: equals: where a kind of picture crowds the hashes, pairs further apart are missed, and the work stays linear.
WINDOW: Final = 256
_BUCKET = 16  # hashes that agree by chance in the chosen blocks, at most, where there are blocks enough
_IN_SLOT = 16  # hashes in a slot where runs are counted, on average: far fewer than WINDOW
_COUNT_BITS = 10  # of the number of such a slot, at least
_MARK_BITS = 4  # more has that of a slot where runs are marked
_MOST_BITS = 24  # but no more than these, unless counting takes as many: 16 MB
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: multiplied by it, keys differ in their high bits


def block_choices(images: int, distance: int) -> list[np.uint64]:
    """The bits to agree in, one mask for each choice of blocks.

    Args:
        images: how many hashes there are; more of them are asked to agree in more bits.
        distance: bits in which hashes may differ, [0, 16].

    Raises:
        ValueError: distance is out of range.
    """
    if not 0 <= distance <= 16:
        raise ValueError(f"distance must be in [0, 16], not {distance}")
    agreeing = 1
    while images > _BUCKET << (BITS * agreeing // (distance + agreeing)) and agreeing < 4:
        agreeing += 1
    cuts = distance + agreeing
    # Block k holds every bit whose number leaves k: high and low frequencies alike, for they are not equally telling.
    parts = [sum(1 << bit for bit in range(cut, BITS, cuts)) for cut in range(cuts)]
    return [np.uint64(sum(chosen)) for chosen in itertools.combinations(parts, agreeing)]


def near_pairs(hashes: Hashes, mask: np.uint64, distance: int) -> Pairs:
    """Pairs of positions whose hashes agree in the mask's bits and differ in at most `distance` of the others.

    Args:
        hashes: (n,) in ascending order.
        mask: one of `block_choices`.
        distance: bits.

    Returns:
        (p, 2), the smaller position first; none twice.
    """
    key = hashes & mask
    order = np.argsort(key, kind="stable")
    key, ordered = key[order], hashes[order]
    found = [_with_first_equal(hashes)] if len(hashes) else []
    at = np.arange(len(hashes))
    for step in range(1, WINDOW + 1):
        at = at[at < len(hashes) - step]
        at = at[key[at] == key[at + step]]
        if not len(at):
            break
        near = at[np.bitwise_count(ordered[at] ^ ordered[at + step]) <= distance]
        found.append(np.stack([order[near], order[near + step]], axis=1))
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *found])
    return distinct_pairs(pairs, len(hashes))


def distinct_pairs(pairs: Pairs, images: int) -> Pairs:
    """Each pair once, the smaller position first, in ascending order."""
    return pairs_of(np.unique(numbers_of(pairs, images)), images)


def numbers_of(pairs: Pairs, images: int) -> npt.NDArray[np.int64]:
    """(p,) one number for each pair of `images` positions, whichever comes first."""
    return np.asarray(pairs.min(axis=1, initial=images) * images + pairs.max(axis=1, initial=0))


def pairs_of(number: npt.NDArray[np.int64], images: int) -> Pairs:
    """(p, 2) the pairs of those numbers, the smaller position first."""
    return np.stack([number // max(images, 1), number % max(images, 1)], axis=1)


def _with_first_equal(hashes: Hashes) -> Pairs:
    """Each hash that stands before, and the first of those equal to it."""
    fresh = np.concatenate([[True], hashes[1:] != hashes[:-1]])
    first = np.flatnonzero(fresh)[np.cumsum(fresh) - 1]
    again = np.flatnonzero(~fresh)
    return np.stack([first[again], again], axis=1)


@dataclass(frozen=True)
class Runs:
    """What `near_pairs` can find for one mask among hashes that it did not find before some came and others went.

    A run is all the hashes that agree in the mask's bits. In one that no window cuts every near pair is found, so of
    two old hashes in it nothing is new. To find the others without sorting, runs share slots of a table, by a hash of
    their key: a slot counts and is marked for all of its runs, which makes some of them searched without need.
    """

    mask: np.uint64
    gained: npt.NDArray[np.bool_]  # (2^a,) slots that one of the new hashes is in
    crowded: npt.NDArray[np.bool_]  # (2^b,) slots of more hashes than a window spans, those that went among them
    shaken: npt.NDArray[np.bool_]  # (2^b,) crowded ones that lost a hash: there old ones may have come within a window

    @classmethod
    def of(cls, hashes: Hashes, mask: np.uint64, known: npt.NDArray[np.bool_], lost: Hashes) -> Self:
        """Look through all hashes, block by block.

        Args:
            hashes: (n,), on the disk.
            mask: one of `block_choices`.
            known: (n,) which of them were there before.
            lost: (l,) those that were there before and are not among the known ones now, on the disk.
        """
        count_bits = max(_COUNT_BITS, (len(hashes) // _IN_SLOT).bit_length())
        count = np.zeros(2**count_bits, np.uint32)
        gained = np.zeros(2 ** max(count_bits, min(count_bits + _MARK_BITS, _MOST_BITS)), np.bool_)
        for block in blocks(len(hashes)):
            key = hashes[block] & mask
            np.add.at(count, _slot(key, len(count)), np.uint32(1))  # of the table's own type: 30 times faster
            gained[_slot(key[~known[block]], len(gained))] = True
        shaken = np.zeros(len(count), np.bool_)
        for block in blocks(len(lost)):
            slot = _slot(lost[block] & mask, len(count))
            np.add.at(count, slot, np.uint32(1))
            shaken[slot] = True
        crowded = count > WINDOW + 1
        return cls(mask, gained, crowded, shaken & crowded)

    def roomy(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """(h,) whose runs are cut by no window, now or before: each is compared with all others of its run."""
        return np.asarray(~self.crowded[_slot(hashes & self.mask, len(self.crowded))])

    def to_search(self, hashes: Hashes) -> Iterator[npt.NDArray[np.int64]]:
        """Positions of all hashes of the runs that something new may be found in, ascending, block by block."""
        for block in blocks(len(hashes)):
            key = hashes[block] & self.mask
            found = self.gained[_slot(key, len(self.gained))] | self.crowded[_slot(key, len(self.crowded))]
            yield np.flatnonzero(found) + block.start

    def in_doubt(self, hashes: Hashes) -> Iterator[npt.NDArray[np.int64]]:
        """Positions of the hashes that may be compared with old ones with which they were not compared before."""
        for block in blocks(len(hashes) if self.shaken.any() else 0):
            yield np.flatnonzero(self.shaken[_slot(hashes[block] & self.mask, len(self.shaken))]) + block.start


def _slot(key: Hashes, slots: int) -> npt.NDArray[np.int64]:
    """The slot of each key, of a power of two of them."""
    return (key * _SPREAD >> np.uint64(BITS + 1 - slots.bit_length())).view(np.int64)
