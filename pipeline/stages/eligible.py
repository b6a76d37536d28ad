"""Which usable training images a policy may judge, and which of them are one picture."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evidence.folds import fold_of_groups
from pipeline.stages.classes import ClassOrder, read_stretch, stretches
from pipeline.storage.artifacts import Artifact


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Images left out of a training, so that its network can judge them without having seen their labels."""

    number: int  # from 0
    folds: int
    seed: int


@dataclass(frozen=True)
class Eligible:
    """t usable training images: what keeps them from being trained on, and their doubles."""

    leak: npt.NDArray[np.bool_]  # (t,) repeats an image of val or test
    held_out: npt.NDArray[np.bool_]  # (t,) of the fold that is left out
    copies: npt.NDArray[np.int32]  # (t,) training images of its duplicate group, at least 1
    repeated: npt.NDArray[np.int64]  # (d,) positions of those with more than one
    group: npt.NDArray[np.int64]  # (d,) their duplicate group

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """(t,) the images that policies decide on."""
        return ~(self.leak | self.held_out)


def read_eligible(duplicates: Artifact, order: ClassOrder, held_out: Fold | None) -> Eligible:
    """What the duplicates say of each image of an order.

    Args:
        duplicates: the evidence table.
        order: t images by class.
        held_out: the fold to leave out, whole duplicate groups at a time.

    Raises:
        ValueError: the table was made of other images.
    """
    t = len(order)
    leak, left_out, copies = np.zeros(t, np.bool_), np.zeros(t, np.bool_), np.ones(t, np.int32)
    repeated, groups = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, classes in enumerate(stretches(order.sizes)):
        rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
        table = read_stretch(duplicates, number, order, rows, ("leak", "duplicate_group", "training_copies"))
        group = table["duplicate_group"].to_numpy()
        leak[rows] = table["leak"].to_numpy()
        copies[rows] = np.maximum(table["training_copies"].to_numpy(), 1)
        if held_out is not None:
            left_out[rows] = fold_of_groups(group, held_out.folds, held_out.seed) == held_out.number
        several = np.flatnonzero(copies[rows] > 1)
        repeated.append(several + rows.start)
        groups.append(group[several])
    return Eligible(leak, left_out, copies, np.concatenate(repeated), np.concatenate(groups))
