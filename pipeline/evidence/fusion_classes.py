"""Which class an image most probably is of, its own or the one that the sources name instead."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.evidence.fusion_views import Columns, Floats

Integers = npt.NDArray[np.integer[Any]]

#: By evidence table: the columns that hold the class it names, the share it gives that class, and that of the label.
NAMED: Final = {
    "neighbours": ("neighbour_class", "neighbour_share", "agreement"),
    "opinion": ("predicted_class", "predicted_probability", "confidence"),
}
NO_CLASS: Final = -1
LEAST_LEFT: Final = 1e-6  # of what a source gives to all classes but the label


@dataclass(frozen=True)
class Likeliest:
    """What n images most probably are."""

    class_index: npt.NDArray[np.int32]  # (n,) NO_CLASS where nothing is more probable than that it is of no known class
    probability: npt.NDArray[np.float32]  # (n,) of that class; 0 without one


def likeliest_class(columns: Columns, right: Floats, sources: tuple[str, ...]) -> Likeliest:
    """Share out what the label leaves among the classes that the sources see in the picture.

    A source that names another class than the label gives it `share / (1 - share of the label)` of what the label
    leaves; one whose best is the label names none. Each class gets the mean over the sources that know the image, and
    what none of them gives away is left for none of the known classes. Of equally likely ones the label comes first,
    then the lower class, then none.

    Args:
        columns: those of the sources and `class_index`, each (n,), NaN where nothing is known.
        right: (n,) probability that the label is right.
        sources: names of NAMED.
    """
    label = columns["class_index"].astype(np.int64)
    named = np.full((len(label), len(sources)), NO_CLASS, np.int64)
    share = np.zeros(named.shape)
    knows = np.zeros(len(label))
    for k, name in enumerate(sources):
        other, held, own = (columns[column] for column in NAMED[name])
        told = np.isfinite(other) & (other != label)
        named[told, k] = other[told]
        share[told, k] = np.minimum(held[told] / np.maximum(1 - own[told], LEAST_LEFT), 1)
        knows += np.isfinite(own)
    votes = np.zeros(named.shape)
    for k in range(len(sources)):
        votes[:, k] = (share * (named == named[:, [k]])).sum(axis=1) / np.maximum(knows, 1)
    votes[named == NO_CLASS] = -1
    return _chosen(label, np.asarray(right, np.float64), named, votes)


def _chosen(label: Integers, right: Floats, named: Integers, votes: Floats) -> Likeliest:
    """The most probable of the label, the classes named, and none."""
    rows = np.arange(len(label))
    nobody = np.full((len(label), 1), NO_CLASS)
    every, counted = np.hstack([named, nobody]), np.hstack([votes, np.full(nobody.shape, -1.0)])
    best = np.lexsort((np.where(every == NO_CLASS, np.iinfo(np.int64).max, every), -counted), axis=1)[:, 0]
    other, vote = every[rows, best], np.maximum(counted[rows, best], 0)
    other_probability = (1 - right) * vote
    none = (1 - right) * (1 - vote)
    own = (right >= other_probability) & (right >= none)
    nothing = ~own & (none > other_probability)
    probability = np.where(own, right, np.where(nothing, 0, other_probability))
    chosen = np.where(own, label, np.where(nothing, NO_CLASS, other))
    return Likeliest(chosen.astype(np.int32), probability.astype(np.float32))
