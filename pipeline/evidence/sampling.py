"""A sample of images that depends on which images there are, never on the order they come in."""

from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK_IDS = 2**18  # hashed at a time


def hashed_sample(image_id: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.intp]:
    """The `count` images with the smallest hashes, or all where there are no more.

    Args:
        image_id: (n,) distinct ids, in memory or on the disk.
        count: how many to choose.
        seed: another seed, another sample.

    Returns:
        Their positions, ascending.
    """
    if len(image_id) <= count:
        return np.arange(len(image_id))
    best, least = np.empty(0, np.intp), np.empty(0, np.uint64)
    for start in range(0, len(image_id), _BLOCK_IDS):
        hashed = _hash(image_id[start : start + _BLOCK_IDS], seed)
        best = np.concatenate([best, np.arange(start, start + len(hashed))])
        least = np.concatenate([least, hashed])
        if len(least) > count:
            chosen = np.argpartition(least, count)[:count]
            best, least = best[chosen], least[chosen]
    return np.sort(best)


def exponential(image_id: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.float32]:
    """(n,) numbers drawn from the exponential distribution of mean 1, that hang on each image's id and the seed alone.

    As weights they are a Bayesian bootstrap (Rubin, 1981).
    """
    uniform = (_hash(image_id, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53  # [0, 1)
    return -np.log1p(-uniform).astype(np.float32)


def _hash(image_id: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """No two ids have one value: there are no ties."""
    return mixed(image_id.astype(np.uint64) ^ np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64))


def mixed(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The mixing of SplitMix64 (Steele, Lea and Flood, 2014), which maps no two numbers to one."""
    value = _step(value, 30, 0xBF58476D1CE4E5B9)
    value = _step(value, 27, 0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _step(value: npt.NDArray[np.uint64], shift: int, factor: int) -> npt.NDArray[Any]:
    return (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
