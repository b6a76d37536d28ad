"""Top-1 and top-5 accuracy, overall and mean per class as WebVision scores it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Score:
    """Shares in [0, 1] over one split."""

    images: int
    top1: float
    top5: float
    class_top1: float  # mean over the classes that have images of each one's top-1
    class_top5: float


def label_ranks(logits: npt.NDArray[np.floating[Any]], label: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """(n,) how many classes stand before the true one, 0 for a correct first guess.

    Equal logits stand in the order of their class index, so that the answer does not depend on a sort's whims.

    Args:
        logits: (n, C); float16 as stored is fine.
        label: (n,) true class, in [0, C).

    Raises:
        ValueError: shapes do not match, a label is out of range or a logit is NaN.
    """
    if logits.ndim != 2 or label.shape != logits.shape[:1]:
        raise ValueError(f"logits {logits.shape} and label {label.shape} must be (n, C) and (n,)")
    if len(label) and not (label.min() >= 0 and label.max() < logits.shape[1]):
        raise ValueError(f"label must lie in [0, {logits.shape[1]})")
    if np.isnan(logits).any():
        raise ValueError("logits hold NaN")
    own = np.take_along_axis(logits, label[:, None].astype(np.int64), axis=1)
    earlier = np.arange(logits.shape[1])[None, :] < label[:, None]
    before = (logits > own) | ((logits == own) & earlier)
    return np.asarray(before.sum(axis=1), np.int64)


def score(rank: npt.NDArray[np.int64], label: npt.NDArray[np.integer[Any]]) -> Score:
    """Accuracies from each image's `label_ranks` and true class.

    Raises:
        ValueError: there are no images.
    """
    if not len(rank):
        raise ValueError("a split without images has no score")
    count = np.bincount(label)
    present = count > 0

    def per_class(hit: npt.NDArray[np.bool_]) -> float:
        return float((np.bincount(label, weights=hit)[present] / count[present]).mean())

    first, fifth = rank < 1, rank < 5
    return Score(len(rank), float(first.mean()), float(fifth.mean()), per_class(first), per_class(fifth))
