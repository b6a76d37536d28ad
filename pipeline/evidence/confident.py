"""Confident learning: which given labels a classifier that never saw them contradicts with confidence.

Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR, 2021), 3.1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_THRESHOLD = 2e-6  # a class believed in nowhere must not claim every image
TOLERANCE = 1e-6  # the mean of equal probabilities may come out above them

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Opinions:
    """What a classifier says of n images."""

    confidence: npt.NDArray[np.float32]  # (n,) probability of the given label
    margin: npt.NDArray[np.float32]  # (n,) that minus the largest probability of another class, [-1, 1]
    predicted_class: npt.NDArray[np.int32]  # (n,) the lowest of the most probable
    predicted_probability: npt.NDArray[np.float32]  # (n,)


def opinions(probabilities: npt.NDArray[np.float32], label: Integers) -> Opinions:
    """Read the opinions off the probabilities.

    Args:
        probabilities: (n, C), C at least 1; rows sum to 1.
        label: (n,) given labels.
    """
    rows = np.arange(len(label))
    predicted = probabilities.argmax(axis=1)
    top, confidence = probabilities[rows, predicted], probabilities[rows, label]
    other = top.copy()
    agreed = np.flatnonzero(predicted == label)
    if len(agreed):
        rest = probabilities[agreed]
        rest[np.arange(len(agreed)), label[agreed]] = 0
        other[agreed] = rest.max(axis=1)
    return Opinions(confidence, confidence - other, predicted.astype(np.int32), top)


def class_thresholds(confidence: Floats, label: Integers, classes: int) -> npt.NDArray[np.float64]:
    """t_j: the mean probability of class j over the images called j, at least LEAST_THRESHOLD.

    Args:
        confidence: (n,) probability of the given label; NaN where there is no opinion.
        label: (n,) given labels.
        classes: C.

    Returns:
        (C,) infinity for a class without an opinion: nothing is confidently of it.
    """
    known = ~np.isnan(confidence)
    count = np.bincount(label[known], minlength=classes)
    total = np.bincount(label[known], confidence[known].astype(np.float64), minlength=classes)
    mean = np.divide(total, count, out=np.full(classes, np.inf), where=count > 0)
    thresholds: npt.NDArray[np.float64] = np.maximum(mean, LEAST_THRESHOLD)
    return thresholds


def confident_classes(probabilities: Floats, thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """The class that each image confidently is: the most probable of those that reach their thresholds.

    Where several reach theirs but the most probable of all does not, cleanlab takes that one nevertheless; the
    published definition, which this is, does not.

    Args:
        probabilities: (n, C).
        thresholds: (C,).

    Returns:
        (n,) the lowest of equally probable classes; -1 where no class reaches its threshold.
    """
    least = (thresholds - TOLERANCE).astype(probabilities.dtype)
    reached = np.where(probabilities >= least, probabilities, -1)
    confident = reached.argmax(axis=1)
    unsure = reached[np.arange(len(reached)), confident] < 0
    return np.where(unsure, -1, confident).astype(np.int32)
