"""What came in and how it was weighed: per crawl, per defect and per class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import class_means

LIGHT: Final = 0.5  # of its class's mean weight: an image below this looks wrong to the recipe

Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class CrawlAccount:
    """One crawl's images. An account is whole where listed = usable + quarantined."""

    crawl: str
    listed: int
    splits: tuple[int, ...]  # listed images per split, in the order of SPLITS
    usable: int | None  # None: not decoded yet
    quarantined: int | None
    reasons: tuple[tuple[str, int], ...]  # defect and images, most frequent first

    @property
    def whole(self) -> bool:
        """Whether nothing vanished."""
        return (
            self.usable is not None and self.quarantined is not None and self.listed == self.usable + self.quarantined
        )


@dataclass(frozen=True)
class ClassName:
    """How the catalogue names a class; the words are a crawl's and untrusted."""

    name: str
    gloss: str
    wnid: str = ""


@dataclass(frozen=True)
class ClassRow:
    """One class: its training images, how they were weighed, how well it is recognised."""

    index: int
    name: str
    gloss: str
    usable: int
    quarantined: int
    weight: float | None  # mean weight of its usable training images
    light: float | None  # share of them below LIGHT of their class's mean weight
    clusters: int | None
    top1: tuple[float | None, ...]  # of each recipe, a share


def reason_counts(defect: Integers, names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Defects that occur and how often, most frequent first.

    Args:
        defect: (n,) position in `names`, -1 for an image without a defect.
        names: the vocabulary.
    """
    counts = np.bincount(defect[defect >= 0], minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    return tuple((names[k], int(counts[k])) for k in order.tolist() if counts[k])


@dataclass(frozen=True)
class Weights:
    """What n training images weigh, times their repeats."""

    counted: npt.NDArray[np.float64]  # (n,) 0 for an image that is left out
    alone: npt.NDArray[np.float64]  # (n,) if it had no doubles; NaN where it is left out for repeating val or test

    @classmethod
    def of(cls, counted: npt.NDArray[np.float64], group: Integers, leak: npt.NDArray[np.bool_]) -> "Weights":
        """Undo the sharing: images that are one picture weigh as one, which says nothing against their labels.

        Args:
            counted: (n,)
            group: (n,) duplicate group.
            leak: (n,) whether it repeats an image of val or test.
        """
        found = np.where(leak, np.nan, counted)
        say = np.flatnonzero(found > 0)
        _, which, count = np.unique(group[say], return_inverse=True, return_counts=True)
        found[say] *= count[which]
        return cls(counted, found)


def light_images(weight: Floats, class_index: Integers) -> npt.NDArray[np.bool_]:
    """(n,) which training images look wrong: they weigh less than LIGHT of their class's mean.

    Measured within the class, so that a policy that only balances classes calls no image wrong.

    Args:
        weight: (n,) as of images without doubles, at least 0; NaN is not light, and in no mean.
        class_index: (n,) each image's class.
    """
    return np.asarray(weight < LIGHT * known_means(weight, class_index), np.bool_)


def known_means(weight: Floats, class_index: Integers) -> npt.NDArray[np.float64]:
    """(n,) each image's class mean of the weights that are no NaN; NaN where its own is."""
    known, means = np.isfinite(weight), np.full(len(weight), np.nan)
    means[known] = class_means(weight[known], class_index[known])
    return means


def cluster_counts(class_index: Integers, cluster: Integers, classes: int) -> npt.NDArray[np.int64]:
    """(classes,) number of distinct clusters of each class; images without a cluster (-1) do not count.

    Args:
        class_index: (n,) each image's class.
        cluster: (n,) number of its cluster within the class.
        classes: size of the catalogue.
    """
    own = cluster >= 0
    width = int(cluster.max(initial=0)) + 1
    pairs = np.unique(class_index[own].astype(np.int64) * width + cluster[own])
    return np.bincount(pairs // width, minlength=classes)


def class_rows(
    names: Sequence[ClassName],
    usable: Integers,
    defective: Integers,
    weight: Weights | None,
    clusters: npt.NDArray[np.int64] | None,
    top1: Sequence[Floats | None],
) -> list[ClassRow]:
    """One row per class of the catalogue.

    Args:
        names: (C,) the catalogue in order of class_index.
        usable: (n,) class of each usable training image.
        defective: (m,) class of each quarantined training image.
        weight: (n,) of each usable training image, or None where nothing weighs.
        clusters: (C,) number of clusters, or None without clusters.
        top1: per recipe (C,) shares with NaN for a class not tested, or None for a recipe not evaluated.
    """
    size = len(names)
    have, lost = (np.bincount(index, minlength=size) for index in (usable, defective))
    mean = light = np.full(size, np.nan)
    if weight is not None:
        scale = np.maximum(have, 1)
        mean = np.where(have, np.bincount(usable, weights=weight.counted, minlength=size) / scale, np.nan)
        wrong = usable[light_images(weight.alone, usable)]
        light = np.where(have, np.bincount(wrong, minlength=size) / scale, np.nan)
    return [
        ClassRow(
            index=k,
            name=name.name,
            gloss=name.gloss,
            usable=int(have[k]),
            quarantined=int(lost[k]),
            weight=_known(mean[k]),
            light=_known(light[k]),
            clusters=int(clusters[k]) if clusters is not None else None,
            top1=tuple(_known(shares[k]) if shares is not None else None for shares in top1),
        )
        for k, name in enumerate(names)
    ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
