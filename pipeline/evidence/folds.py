"""Cross-validation folds that do not move: an image's fold hangs on its duplicate group alone."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evidence.sampling import mixed


def fold_of_groups(duplicate_group: npt.NDArray[np.integer[Any]], folds: int, seed: int) -> npt.NDArray[np.int32]:
    """Which fold each image belongs to. Copies share one, and other images coming or going change nothing.

    Args:
        duplicate_group: (n,) group ids.
        folds: how many, at least 1.
        seed: another seed is another division.

    Returns:
        (n,) in [0, folds).

    Raises:
        ValueError: folds is below 1.
    """
    if folds < 1:
        raise ValueError(f"folds must be at least 1, not {folds}")
    shift = np.uint64(0x9E3779B97F4A7C15 * (seed + 1) % 2**64)
    value = mixed(duplicate_group.astype(np.int64).view(np.uint64) + shift)
    return (value % np.uint64(folds)).astype(np.int32)
