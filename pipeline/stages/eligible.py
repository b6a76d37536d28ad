"""Which usable training images a policy may judge, which of them are one picture, and what people found of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evidence.folds import fold_of_groups
from pipeline.policy.decision import NO_CLASS
from pipeline.stages.classes import ClassOrder, read_stretch, stretches
from pipeline.stages.settled import Settled
from pipeline.storage.arrays import blocks, scratch_array
from pipeline.storage.artifacts import Artifact


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Images left out of a training, so that its network can judge them without having seen their labels."""

    number: int  # from 0
    folds: int
    seed: int


@dataclass(frozen=True)
class Eligible:
    """t usable training images: what keeps them from being trained on, and their doubles; columns on the disk."""

    leak: npt.NDArray[np.bool_]  # (t,) repeats an image of val or test
    held_out: npt.NDArray[np.bool_]  # (t,) of the fold that is left out
    copies: npt.NDArray[np.int32]  # (t,) training images of its duplicate group that are not refused, at least 1
    group: npt.NDArray[np.int64]  # (t,) its duplicate group
    settled: Settled  # what people found
    refused: npt.NDArray[np.int64]  # (r,) of these, the rows not trained on because a person found the label wrong

    def judged(self, rows: slice) -> npt.NDArray[np.bool_]:
        """Which images of a run of rows policies decide on."""
        judged = ~(self.leak[rows] | self.held_out[rows])
        judged[self.refused_within(rows) - rows.start] = False
        return judged

    def refused_within(self, rows: slice) -> npt.NDArray[np.int64]:
        """The refused ones of a run of rows."""
        first, last = np.searchsorted(self.refused, (rows.start, rows.stop))
        return self.refused[first:last]


def read_eligible(
    duplicates: Artifact, order: ClassOrder, held_out: Fold | None, settled: Artifact | None, relabels: bool
) -> Eligible:
    """What duplicates and people say of each image of an order.

    Args:
        duplicates: the evidence table.
        order: t images by class.
        held_out: the fold to leave out, whole duplicate groups at a time.
        settled: of the verdicts that count; None where nobody is asked.
        relabels: whether an image found to be of another class is trained on as that, instead of not at all.

    Raises:
        ValueError: the table was made of other images.
    """
    t = len(order)
    leak, left_out = scratch_array((t,), np.bool_), scratch_array((t,), np.bool_)
    copies, group = scratch_array((t,), np.int32), scratch_array((t,), np.int64)
    for number, classes in enumerate(stretches(order.sizes)):
        rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
        table = read_stretch(duplicates, number, order, rows, ("leak", "duplicate_group", "training_copies"))
        group[rows] = table["duplicate_group"].to_numpy()
        leak[rows] = table["leak"].to_numpy()
        copies[rows] = np.maximum(table["training_copies"].to_numpy(), 1)
        if held_out is not None:
            left_out[rows] = fold_of_groups(group[rows], held_out.folds, held_out.seed) == held_out.number
    people = Settled.read(settled, order)
    wrong = people.found != order.class_index[people.rows]
    refused = people.rows[wrong & ~(relabels & (people.found != NO_CLASS))]
    refused = refused[~(leak[refused] | left_out[refused])]
    _uncount(copies, group, refused)
    return Eligible(leak, left_out, copies, group, people, refused)


def _uncount(copies: npt.NDArray[np.int32], group: npt.NDArray[np.int64], refused: npt.NDArray[np.int64]) -> None:
    """Take images that are refused out of the number of their doubles."""
    groups, images = np.unique(group[refused], return_counts=True)
    for block in blocks(len(group)) if len(groups) else ():
        at = np.searchsorted(groups, group[block]).clip(max=len(groups) - 1)
        gone = np.where(groups[at] == group[block], images[at], 0)
        copies[block] = np.maximum(copies[block] - gone, 1)
