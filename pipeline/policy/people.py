"""What a person found of an image stands, whatever the rules of a recipe make of its evidence."""

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import NO_CLASS, Floats, Integers, Note

RIGHT, MOVED = range(2)
WORDS = (
    "a person found its label right: it counts no less than is usual in its class",
    "a person found that it is of the suggested class: it is trained on as that",
)


def stand_by(weight: Floats, repeats: Integers, stage: Integers, label: Integers, found: Integers) -> Note:
    """Let images that a person placed in a class count no less than is usual in the class they are listed with.

    Usual is what a rule's images that nobody looked at count: in each class the mean weight of their sightings, and
    the whole part of their mean repeats; of a class where no such image is left, that of those somebody looked at; of
    one where none is left at all, one sighting of weight 1. An image below that is lifted to it, so that none is left
    out, and it enters a curriculum at its first stage. Nothing is ever lowered. Changes its first three arguments.

    Args:
        weight: (n,) as decided, at least 0.
        repeats: (n,) as decided; an image is left out where it or the weight is 0.
        stage: (n,) as decided.
        label: (n,) the class each is listed with; a class's images are all there.
        found: (n,) the class a person found it to be of, NO_CLASS where nobody looked.
    """
    rows = np.flatnonzero(found != NO_CLASS)
    if not len(rows):
        return Note(np.full(len(found), -1, np.int32), [])
    left = (weight > 0) & (repeats > 0)
    usual_weight, usual_repeats = _usual(weight, repeats, label, left & (found == NO_CLASS))
    some_weight, some_repeats = _usual(weight, repeats, label, left)
    own = label[rows]
    lone = usual_repeats[own] == 0
    weight[rows] = np.where(left[rows], weight[rows], 0)
    np.maximum.at(weight, rows, np.where(lone, some_weight[own], usual_weight[own]))
    np.maximum.at(repeats, rows, np.where(lone, np.maximum(some_repeats[own], 1), usual_repeats[own]))
    weight[rows] = np.where(weight[rows] > 0, weight[rows], 1)
    stage[rows] = 0
    index = np.full(len(found), -1, np.int32)
    index[rows] = np.where(found[rows] == own, RIGHT, MOVED)
    return Note(index, list(WORDS))


def _usual(
    weight: Floats, repeats: Integers, label: Integers, counted: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """(classes,) mean weight of the sightings of the images counted, and their mean repeats without the fraction."""
    classes = int(label.max(initial=-1)) + 1
    own = label[counted]
    sightings = np.bincount(own, repeats[counted], classes)
    images = np.bincount(own, minlength=classes)
    mean = np.bincount(own, weight[counted] * repeats[counted], classes) / np.maximum(sightings, 1)
    return mean, (sightings // np.maximum(images, 1)).astype(np.int32)
