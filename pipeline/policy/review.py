"""Which images a person should look at: those whose verdict is expected to change a recipe's manifest most.

A verdict changes the weight of the image it is on. With probability p the label is right, and a picture that counts
less than is usual in its class is lifted to that; else it counts nothing from then on:

    own = p * max(usual - counts, 0) + (1 - p) * counts

Where a recipe reads `fused`, it changes more: verdicts teach how wrong a query is as a whole, and so move the weights
of all its images. The share of N images that is right, told by k verdicts on images drawn from them, moves by about
s / (k + 1) with one verdict more, s being how far a verdict is from the mean of all, its standard deviation:

    others = usual * N * s / (k + 1)

So each query is asked in proportion to N s (Neyman, 1934). What it is asked must be drawn, not picked: verdicts on its
most doubtful images tell how many of the doubtful ones are right, and leave the fusion to trust the sure ones as they
are, where it errs most. Measured (`benchmarks/review.py`), the first 100 images of the queue teach as much as 200 drawn
from all, the most doubtful no more than as many drawn from all, and those of the largest change of their own less. So
then all images of a query count as their mean, and ids, which are hashes, decide.

Probabilities are moderated by how little is known of a query and class before anybody looked at them, offsets of log
odds with variance 1 each (`fusion_verified`): p = logistic(log odds / sqrt(1 + pi * 2 / 8)) (MacKay, "The Evidence
Framework Applied to Classification Networks", 1992).
"""

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from pipeline.evidence.fusion import Floats, log_odds, logistic

_SLOPE: Final = 1 / np.sqrt(1 + np.pi * 2 / 8)
_SPARE: Final = 2  # candidates for each that a query may give: some are doubles of others


@dataclass(frozen=True, kw_only=True)
class ReviewSettings:
    """How long the list is, and how much of it one class may take."""

    #: images to ask for, [1, 2000]: a page of more opens slowly
    count: int = 200
    #: a class gives at most so many times its even share of the list, rounded up, at least 1
    crowding: float = 4.0

    def __post_init__(self) -> None:
        """Refuse what is no list."""
        if not 1 <= self.count <= 2000:
            raise ValueError(f"count must be 1 to 2,000, not {self.count}")
        if not 1 <= self.crowding < np.inf:
            raise ValueError(f"crowding must be at least 1, not {self.crowding}")

    def quota(self, classes: int) -> int:
        """Images that one of so many classes may give."""
        return min(self.count, int(np.ceil(self.crowding * self.count / max(classes, 1))))


@dataclass(frozen=True)
class Images:
    """n images of whole classes, as they are now."""

    image_id: npt.NDArray[np.int64]  # (n,)
    label: npt.NDArray[np.int32]  # (n,)
    query: npt.NDArray[np.int32]  # (n,) each of one class
    group: npt.NDArray[np.int64]  # (n,) duplicate group
    right: Floats  # (n,) probability that the label is right
    weight: Floats  # (n,) in an epoch of the manifest, repeats counted
    copies: npt.NDArray[np.int32]  # (n,) training images of its group, at least 1
    askable: npt.NDArray[np.bool_]  # (n,) may be trained on, and nobody looked at it
    asked: npt.NDArray[np.bool_]  # (n,) somebody looked at it itself


@dataclass(frozen=True)
class Candidates:
    """k images that may be asked for."""

    row: npt.NDArray[np.int64]  # (k,) wherever the caller counts them
    image_id: npt.NDArray[np.int64]  # (k,) decides between equal ones
    label: npt.NDArray[np.int32]  # (k,)
    query: npt.NDArray[np.int32]  # (k,)
    group: npt.NDArray[np.int64]  # (k,)
    own: Floats  # (k,) expected change of its own weight
    stake: Floats  # (k,) of the weights of its query's images, by the first verdict on any of them
    asked: npt.NDArray[np.int64]  # (k,) images of its query that somebody looked at
    images: npt.NDArray[np.int64]  # (k,) of its query

    @classmethod
    def all_of(cls, parts: "list[Candidates]") -> Self:
        """Several one after the other."""
        return cls(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)))

    def only(self, chosen: npt.NDArray[np.integer[Any]]) -> Self:
        """Some of them, in that order."""
        return type(self)(*(getattr(self, item.name)[chosen] for item in fields(self)))


def moderated(right: Floats) -> Floats:
    """(n,) probabilities as far as they are earned before anybody looked at the query or class."""
    return logistic(_SLOPE * log_odds(np.asarray(right, np.float64)))


def candidates(images: Images, first_row: int, quota: int, moves: bool) -> Candidates:
    """The images of some classes that can come into the list; memory for these is all that is kept of a class.

    Args:
        images: n images.
        first_row: row of the first of them.
        quota: images that a class may give.
        moves: whether a verdict moves the other images of its query.
    """
    alone = 1 / images.copies
    query, label = images.query - images.query.min(initial=0), images.label - images.label.min(initial=0)
    right = moderated(images.right)
    usual = _mean(images.weight, alone * (images.weight > 0), label)[label]
    own = own_change(right, images.weight * images.copies, usual)
    stake = np.zeros(len(own))
    if moves:
        own = _mean(own * alone, alone, query)[query]
        spread = np.sqrt(_mean(right * (1 - right) * alone, alone, query))
        stake = usual * (np.bincount(query, alone) * spread)[query]
    order = np.lexsort((images.image_id, -own, images.query))
    order = order[images.askable[order]]
    place = np.arange(len(order)) - np.searchsorted(images.query[order], images.query[order])
    at = order[place < quota * _SPARE]
    asked, every = np.bincount(query, images.asked)[query].astype(np.int64), np.bincount(query)[query]
    told = (images.image_id[at], images.label[at], images.query[at], images.group[at])
    return Candidates(at + first_row, *told, own[at], stake[at], asked[at], every[at])


def own_change(right: Floats, counts: Floats, usual: Floats) -> Floats:
    """(n,) by how much a verdict is expected to change what a picture counts.

    Args:
        right: (n,) that its label is right.
        counts: (n,) what it counts now, with its doubles.
        usual: (n,) what is usual in its class.
    """
    return np.asarray(right * np.maximum(usual - counts, 0) + (1 - right) * counts)


def choose(found: Candidates, count: int, quota: int) -> tuple[Candidates, Floats]:
    """The images to ask for, one after the other, each as if those before it had been answered.

    Args:
        found: k candidates.
        count: of images to choose at most.
        quota: of each class at most; of each duplicate group one.

    Returns:
        The images chosen, `asked` with those chosen before, and (m,) the change of weights expected of each.
    """
    found = found.only(np.argsort(found.image_id, kind="stable"))  # of equal ones the first is taken
    asked, left = found.asked.copy(), np.ones(len(found.row), np.bool_)
    taken: list[int] = []
    changes: list[float] = []
    before: list[int] = []
    given = np.zeros(int(found.label.max(initial=-1)) + 1, np.int64)
    while len(taken) < count and left.any():
        change = np.where(left, found.own + found.stake / (asked + 1), -1)
        best = int(np.argmax(change))
        taken.append(best)
        changes.append(float(change[best]))
        before.append(int(asked[best]))
        asked[found.query == found.query[best]] += 1
        left &= found.group != found.group[best]
        given[found.label[best]] += 1
        if given[found.label[best]] >= quota:
            left &= found.label != found.label[best]
    chosen = found.only(np.array(taken, np.int64))
    chosen.asked[:] = before
    return chosen, np.array(changes)


def _mean(value: Floats, weight: Floats, group: npt.NDArray[np.integer[Any]]) -> Floats:
    """(groups,) sum of the values over that of the weights."""
    return np.asarray(np.bincount(group, value) / np.maximum(np.bincount(group, weight), 1e-12))
