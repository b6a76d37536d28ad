"""How good predictions are: accuracy, overall and mean per class as WebVision scores it, honesty, what is mixed up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evidence.reliability import reliability


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


@dataclass(frozen=True)
class Judged:
    """What a model said of n images, without the logits."""

    image_id: npt.NDArray[np.int64]  # (n,)
    label: npt.NDArray[np.int32]  # (n,) true class
    rank: npt.NDArray[np.int64]  # (n,) of it, as `label_ranks`
    guess: npt.NDArray[np.int32]  # (n,) first guess; the lowest index of equal ones
    confidence: npt.NDArray[np.float32]  # (n,) probability of the first guess
    surprise: npt.NDArray[np.float32]  # (n,) minus the log of the true class's probability, nats

    def __len__(self) -> int:
        """Images."""
        return len(self.label)

    def take(self, rows: npt.NDArray[Any]) -> "Judged":
        """Some of the images, by position or mask."""
        return Judged(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def calibration_error(self) -> float:
        """Mean distance of confidence from accuracy over bins of confidence."""
        return reliability(self.confidence, self.rank == 0).error


def judge(
    image_id: npt.NDArray[np.int64], label: npt.NDArray[np.integer[Any]], logits: npt.NDArray[np.floating[Any]]
) -> Judged:
    """What is said of n images by logits (n, C).

    Raises:
        ValueError: as `label_ranks`.
    """
    rank = label_ranks(logits, label)
    guess = logits.argmax(axis=1)
    below = logits.astype(np.float32)
    below -= below.max(axis=1, keepdims=True)
    log_norm = np.log(np.exp(below).sum(axis=1))
    own = np.take_along_axis(below, label[:, None].astype(np.int64), axis=1)[:, 0]
    return Judged(
        image_id, label.astype(np.int32), rank, guess.astype(np.int32), np.exp(-log_norm), np.asarray(log_norm - own)
    )


def join(parts: Sequence[Judged]) -> Judged:
    """Several, one after another; at least one."""
    return Judged(*(np.concatenate([getattr(p, name) for p in parts]) for name in Judged.__dataclass_fields__))


@dataclass(frozen=True)
class Confusion:
    """How often images of one class were taken for another."""

    class_index: int
    guessed_class: int
    times: int
    share: float  # of the class's predictions


def confusions(judged: Judged, most: int) -> list[Confusion]:
    """The pairs of true class and first guess that are mixed up most often, at most so many; equal ones in class order.

    Pairs are ordered: (0, 1) is class 0 taken for class 1.
    """
    wrong = judged.rank > 0
    pairs = np.stack([judged.label[wrong], judged.guess[wrong]], axis=1)
    found, times = np.unique(pairs, axis=0, return_counts=True)
    of_class = np.bincount(judged.label)
    order = np.argsort(-times, kind="stable")[:most]
    return [
        Confusion(int(label), int(guess), int(count), float(count / of_class[label]))
        for (label, guess), count in zip(found[order].tolist(), times[order].tolist(), strict=True)
    ]
