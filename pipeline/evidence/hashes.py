"""Pairs of perceptual hashes that differ in a few bits, found without comparing all with all.

The pigeonhole principle: cut the 64 bits into d + m blocks, and two hashes that differ in at most d bits agree in at
least m whole blocks. So for every choice of m blocks the hashes are sorted by those, and only hashes that agree in all
of them are compared (Manku, Jain and Das Sarma, "Detecting Near-Duplicates for Web Crawling", 2007).
"""

import itertools
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

BITS: Final = 64
#: Hashes agreeing in the chosen blocks are compared with so many that follow them, and each with the first of its
#: equals: where a kind of picture crowds the hashes, pairs further apart are missed, and the work stays linear.
WINDOW: Final = 256
_BUCKET = 16  # hashes that agree by chance in the chosen blocks, at most, where there are blocks enough


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


def windows_cut(run: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.bool_]:
    """Whether some of so many hashes that agree in the chosen blocks are too far apart to be compared."""
    return np.asarray(run > WINDOW + 1)


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
