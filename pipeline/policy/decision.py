"""What a policy says of the images it may train on, and how it becomes a manifest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]

NO_CLASS = -1  # of `suggested`: no other class is suggested


@dataclass(frozen=True)
class Note:
    """Words on n images, each text stored once, so that 16 million rows share a few thousand texts."""

    index: Integers  # (n,) position in `texts`, -1 where there is nothing to say
    texts: list[str]


@dataclass(frozen=True)
class Decision:
    """A verdict on n training images, in their order."""

    weight: Floats  # (n,) >= 0, any scale: the manifest scales to mean 1 over what is trained on
    repeats: Integers  # (n,) >= 0 times an epoch sees the image; 0 leaves it out
    stage: Integers  # (n,) curriculum stage it enters at, from 0
    suggested: Integers  # (n,) class it rather seems to be of, NO_CLASS for none
    notes: tuple[Note, ...]  # why: one for every rule that had a say, joined into one sentence

    def __post_init__(self) -> None:
        """Check what every consumer relies on."""
        n = len(self.weight)
        told = {name: getattr(self, name) for name in ("repeats", "stage", "suggested")}
        for name, column in (*told.items(), *(("note", note.index) for note in self.notes)):
            if len(column) != n:
                raise ValueError(f"{name} has {len(column)} rows, weight has {n}")
        if not np.isfinite(self.weight).all() or self.weight.min(initial=0) < 0:
            raise ValueError("weight must be finite and not negative")
        if self.repeats.min(initial=0) < 0 or self.stage.min(initial=0) < 0:
            raise ValueError("repeats and stage must not be negative")

    def words(self, image: int) -> str:
        """Why one of the n images counts as it does."""
        return "; ".join(note.texts[note.index[image]] for note in self.notes if note.index[image] >= 0)


def decided(
    weight: Floats,
    note: Note,
    *,
    repeats: Integers | None = None,
    stage: Integers | None = None,
    suggested: Integers | None = None,
) -> Decision:
    """One rule's decision; what is not told is seen once, from the first stage on, with its own label."""
    n = len(weight)
    return Decision(
        weight,
        np.ones(n, np.int32) if repeats is None else repeats,
        np.zeros(n, np.int32) if stage is None else stage,
        np.full(n, NO_CLASS, np.int32) if suggested is None else suggested,
        (note,),
    )


def class_means(value: Floats, class_index: Integers) -> npt.NDArray[np.float64]:
    """(n,) each image's class mean of `value`."""
    count = np.bincount(class_index)
    mean = np.bincount(class_index, weights=value) / np.maximum(count, 1)
    return np.asarray(mean[class_index], np.float64)
