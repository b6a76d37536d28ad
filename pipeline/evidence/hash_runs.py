"""What a search for near hashes can find that it did not find before some hashes came and others went.

A run is all the hashes that agree in the bits of a mask. In one that no window cuts (`pipeline.evidence.hashes`) every
near pair is found, so that of two old hashes in it nothing is new: only new ones are compared with all. One that a
window cuts is searched again where a hash came or went. All other runs are what they were, and are passed by.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from pipeline.evidence.hashes import Hashes, near_pairs, numbers_of, windows_cut
from pipeline.evidence.sieve import Sieve, slot_of
from pipeline.storage.arrays import blocks
from pipeline.storage.buckets import Spill

Integers = npt.NDArray[np.int64]

_IN_SLOT: Final = 16  # hashes in a slot where runs are counted, on average at most: far fewer than WINDOW
_SLOT_BITS: Final = 10  # of the number of such a slot, at least
_SPARE_BITS: Final = 4  # more has it, so that few runs share a slot
_MOST_BITS: Final = 24  # but no more than these, unless counting takes as many: 16 MB


@dataclass(frozen=True)
class Bucket:
    """Some whole runs, to be searched."""

    mask: np.uint64
    rows: Integers  # (r,) positions of their hashes, ascending

    def near(self, hashes: Hashes, distance: int) -> Integers:
        """The near pairs among them, each told as one number, none twice."""
        return numbers_of(self.rows[near_pairs(hashes[self.rows], self.mask, distance)], len(hashes))


@dataclass(frozen=True)
class BesideNew:
    """Hashes of runs that new ones came to, to be compared with these."""

    mask: np.uint64
    new: Integers  # (f,) positions of all new hashes, slot after slot
    told: Hashes  # (f,) these
    rows: Integers  # (r,) positions of hashes, new ones among them
    first: Integers  # (r,) where the new ones of its slot begin, for each
    end: Integers  # (r,) and where they end, at least one further on

    def near(self, hashes: Hashes, distance: int) -> Integers:
        """The near pairs of a hash and a new one of its run, each told as one number."""
        left, at, own = np.arange(len(self.rows)), self.first, hashes[self.rows]
        found = [np.zeros(0, np.int64)]
        while len(left):
            differ = own ^ self.told[at]
            near = np.flatnonzero(np.bitwise_count(differ) <= distance)
            near = near[(differ[near] & self.mask == 0) & (self.rows[left[near]] != self.new[at[near]])]
            found.append(numbers_of(np.stack([self.rows[left[near]], self.new[at[near]]], axis=1), len(hashes)))
            more = np.flatnonzero(at + 1 < self.end[left])
            left, at, own = left[more], at[more] + 1, own[more]
        return np.concatenate(found)


@dataclass(frozen=True)
class Runs:
    """The runs of one mask in which anything may be new.

    To find them without sorting, runs share slots of a table, by a hash of their key: a slot counts and is marked for
    all of its runs, which makes some of them searched without need.
    """

    mask: np.uint64
    sieve: Sieve  # whose m marked slots are numbered
    held: Integers  # (r, 2) position of each hash in a marked slot, ascending, and that slot's number; on the disk
    new: Integers  # (f,) positions of all new hashes, slot after slot
    starts: Integers  # (m + 1,) where those of each slot begin
    crowded: npt.NDArray[np.bool_]  # (m,) slots of more hashes than a window spans, those that went among them
    shaken: npt.NDArray[np.bool_]  # (m,) crowded ones that lost a hash: there old ones may have come within a window

    @classmethod
    def of(cls, hashes: Hashes, mask: np.uint64, new: Integers, lost: Hashes, doubtful: Hashes) -> Self:
        """Look through all hashes, block by block.

        Args:
            hashes: (n,), on the disk.
            mask: one of `block_choices`.
            new: (f,) positions of those that were not there before.
            lost: (l,) those that were there before and are none of the others now, on the disk.
            doubtful: (d,) those whose runs are of interest though nothing may have come to them or gone.
        """
        keys, marked = hashes[new] & mask, np.zeros(_slots(len(hashes), mask), np.bool_)
        marked[slot_of(keys, len(marked))] = True
        marked[slot_of(doubtful & mask, len(marked))] = True
        for block in blocks(len(lost)):
            marked[slot_of(lost[block] & mask, len(marked))] = True
        sieve = Sieve.of(marked)
        held, count = _held(hashes, mask, sieve)
        shaken = np.zeros(sieve.count, np.bool_)
        for block in blocks(len(lost)):
            place = sieve.number(lost[block] & mask)
            np.add.at(count, place, np.uint32(1))
            shaken[place] = True
        crowded, place = windows_cut(count), sieve.number(keys)
        starts = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=sieve.count))])
        return cls(mask, sieve, held, new[np.argsort(place)], starts, crowded, shaken & crowded)

    def roomy(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which hashes, in marked slots, are in runs that no window cuts, now or before: all near pairs are found."""
        return np.asarray(~self.crowded[self.sieve.number(hashes & self.mask)])

    def beside_new(self, hashes: Hashes) -> Iterator[BesideNew]:
        """What is to be compared with new hashes, outside of crowded slots, block by block."""
        told, wanted = hashes[self.new], (np.diff(self.starts) > 0) & ~self.crowded
        for block in blocks(len(self.held)):
            rows, place = self.held[block].T
            if not wanted.all():
                own = np.flatnonzero(wanted[place])
                rows, place = rows[own], place[own]
            yield BesideNew(self.mask, self.new, told, rows, self.starts[place], self.starts[place + 1])

    def in_crowds(self) -> Iterator[Integers]:
        """Positions of all hashes of the runs to be searched as a whole, ascending, block by block."""
        return self._chosen(self.crowded)

    def in_doubt(self) -> Iterator[Integers]:
        """Positions of the hashes that may be compared with old ones with which they were not compared before."""
        return self._chosen(self.shaken)

    def _chosen(self, slots: npt.NDArray[np.bool_]) -> Iterator[Integers]:
        for block in blocks(len(self.held) if slots.any() else 0):
            rows, place = self.held[block].T
            yield rows[slots[place]]


def _slots(hashes: int, mask: np.uint64) -> int:
    """A power of two: no more than twice as many as there are keys, nor as are of use."""
    least = max(_SLOT_BITS, (hashes // _IN_SLOT).bit_length())
    most = max(least, min(least + _SPARE_BITS, _MOST_BITS))
    return int(2 ** min(most, int(mask).bit_count() + 1))


def _held(hashes: Hashes, mask: np.uint64, sieve: Sieve) -> tuple[Integers, npt.NDArray[np.uint32]]:
    """Positions of all hashes in marked slots, with these slots' numbers, on the disk; and how many each slot has."""
    found, count = Spill((2,)), np.zeros(sieve.count, np.uint32)
    for block in blocks(len(hashes)):
        key = hashes[block] & mask
        own = sieve.passed(key)
        place = sieve.number(key[own])
        np.add.at(count, place, np.uint32(1))  # of the table's own type: 30 times faster
        found.add(np.stack([own + block.start, place], axis=1))
    return found.array(), count
