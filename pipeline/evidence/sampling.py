"""A sample of images that depends on which images there are, never on the order they come in."""

from typing import Any

import numpy as np
import numpy.typing as npt


def hashed_sample(image_id: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.intp]:
    """The `count` images with the smallest hashes, or all where there are no more.

    Args:
        image_id: (n,) distinct ids.
        count: how many to choose.
        seed: another seed, another sample.

    Returns:
        Their positions, ascending.
    """
    if len(image_id) <= count:
        return np.arange(len(image_id))
    return np.sort(np.argpartition(_hash(image_id, seed), count)[:count])


def _hash(image_id: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea and Flood, 2014), which maps no two ids to one value: there are no ties."""
    value = image_id.astype(np.uint64) ^ np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    value = _mixed(value, 30, 0xBF58476D1CE4E5B9)
    value = _mixed(value, 27, 0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _mixed(value: npt.NDArray[np.uint64], shift: int, factor: int) -> npt.NDArray[Any]:
    return (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
