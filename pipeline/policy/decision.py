"""What a policy says of the images it may train on, and how it becomes a manifest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Decision:
    """One policy's verdict on n training images, in their order.

    Reasons are stored once each: image i's is `reasons[reason[i]]`, so that 16 million rows share a few thousand texts.
    """

    weight: Floats  # (n,) >= 0, any scale: the manifest scales to mean 1 over what is trained on
    repeats: Integers  # (n,) >= 0 times an epoch sees the image; 0 leaves it out
    stage: Integers  # (n,) curriculum stage it enters at, from 0
    reason: Integers  # (n,) index into `reasons`
    reasons: list[str]

    def __post_init__(self) -> None:
        """Check what every consumer relies on."""
        n = len(self.weight)
        for name in ("repeats", "stage", "reason"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows, weight has {n}")
        if not np.isfinite(self.weight).all() or (n and self.weight.min() < 0):
            raise ValueError("weight must be finite and not negative")


def mean_one(weight: Floats, repeats: Integers) -> npt.NDArray[np.float32]:
    """Scale weights so that their mean over the images an epoch sees (repeats counted) is 1; unseen images get 0.

    Raises:
        ValueError: nothing is left to train on.
    """
    seen = weight.astype(np.float64) * (repeats > 0)
    total = float((seen * repeats).sum())
    if total <= 0:
        raise ValueError("this policy leaves nothing to train on: every weight or every repeat count is 0")
    return np.asarray(seen * (repeats.sum(dtype=np.int64) / total), np.float32)


def class_means(value: Floats, class_index: Integers) -> npt.NDArray[np.float64]:
    """(n,) each image's class mean of `value`."""
    count = np.bincount(class_index)
    mean = np.bincount(class_index, weights=value) / np.maximum(count, 1)
    return np.asarray(mean[class_index], np.float64)
