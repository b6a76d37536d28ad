"""What each source of evidence says of a crawl as a whole, and of each class, in figures and one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

BARS: Final = 16  # of an overview's small histogram: one for each share of fifteen neighbours

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Reading:
    """How one source is read: the column that says most of it, and what its figures mean."""

    source: str  # a name of EVIDENCE
    column: str
    meaning: str  # one sentence
    bounds: tuple[float, float] | None = None  # of the histogram; None: of the figures themselves


#: In the order of the page. A figure is explained where it stands, for whoever sees it for the first time.
READINGS: Final = (
    Reading("duplicates", "training_copies", "Training images that are one picture: 1 where a picture stands alone."),
    Reading(
        "rank", "position", "Position in the class's search results, all its queries and sources merged: 1 is first."
    ),
    Reading(
        "kmeans",
        "cluster_share",
        "Share of its class that lies in the image's cluster: small clusters are odd ones.",
        (0, 1),
    ),
    Reading("density", "density", "How densely its class lies around the image: the densest level is called clean."),
    Reading("hdbscan", "outlier", "How far the image stands out of its class: 0 in its midst, 1 far outside.", (0, 1)),
    Reading(
        "neighbours",
        "agreement",
        "Share of the most similar images, of all classes, that carry the same label.",
        (0, 1),
    ),
    Reading("opinion", "confidence", "Probability of the label, from a model that never saw the picture.", (0, 1)),
    Reading(
        "aum",
        "aum",
        "How clearly the baseline preferred the label while it trained: below 0 it never quite believed it.",
    ),
    Reading(
        "confusion",
        "own_share",
        "Share of the image's own class in its joint cluster: low where it lies among another class.",
        (0, 1),
    ),
    Reading("keyword", "keyword", "How well the words of its text match the words of its class.", (0, 1)),
    Reading("semantic", "semantic", "How close its text lies to the definition of its class, as a cosine."),
    Reading("fused", "right_probability", "How likely its label is right, by all of these together.", (0, 1)),
)


@dataclass(frozen=True)
class Spread:
    """Figures of many images, and how they are spread; n of them known."""

    known: int
    mean: float
    low: float  # a tenth of the images lie at or below it
    median: float
    high: float  # a tenth lie above it
    bars: tuple[int, ...]  # images between equal steps from `first` to `last`
    first: float
    last: float


@dataclass(frozen=True)
class SourceRow:
    """One source of the overview."""

    source: str
    column: str
    meaning: str
    images: int  # usable training images
    spread: Spread | None  # None: nothing is known of any image
    told: tuple[str, ...]  # what else it found, in words

    @property
    def unknown(self) -> float:
        """Share of the images that the source says nothing of."""
        return 1 - (self.spread.known if self.spread else 0) / max(1, self.images)


@dataclass(frozen=True)
class ClassFigure:
    """One figure of every class."""

    name: str
    percent: bool
    judges: bool  # whether it is low where labels look wrong
    values: tuple[float | None, ...]  # (C,) None where nothing is known of the class


def spread_of(values: Floats | Integers, bounds: tuple[float, float] | None) -> Spread | None:
    """How figures are spread, or None where none is known.

    Args:
        values: (n,) NaN where unknown; infinite ones count as unknown too.
        bounds: of the histogram; what lies outside counts in its first or last bar. None: from the smallest to the
            largest figure.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    first, last = bounds or (float(known.min()), float(known.max()))
    counts, _ = np.histogram(known.clip(first, last), bins=BARS, range=(first, last))
    low, median, high = np.quantile(known, (0.1, 0.5, 0.9)).tolist()
    mean = float(known.mean(dtype=np.float64))
    return Spread(len(known), mean, low, median, high, tuple(counts.tolist()), float(first), float(last))


def class_means(values: npt.NDArray[Any], starts: Integers) -> tuple[float | None, ...]:
    """(C,) the mean of a figure over each class; unknown ones (NaN) do not count, and None is a class without any.

    Args:
        values: (n,) numbers or truths, ordered by class.
        starts: (C + 1,) where each class begins.
    """
    known = np.isfinite(values)
    count = _sums(known, starts)
    total = _sums(np.where(known, values, 0), starts)
    return tuple(float(t) / int(c) if c else None for t, c in zip(total, count, strict=True))


def _sums(values: npt.NDArray[Any], starts: Integers) -> npt.NDArray[np.float64]:
    """(C,) the sum over each class, 0 for an empty one; no running total, whose rounding errors would cross classes."""
    sums = np.zeros(len(starts) - 1)
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        sums[filled] = np.add.reduceat(values, starts[filled], dtype=np.float64)
    return sums


def share_in_words(count: int, total: int, what: str) -> str:
    """`1,200 images (3.4%) among another label`; `what` stands for one image and for many."""
    images = f"{count:,} {'image' if count == 1 else 'images'}"
    return f"{images} ({100 * count / max(1, total):.1f}%) {what}"


def top_names(counts: Integers, names: Sequence[str], limit: int) -> tuple[tuple[str, float], ...]:
    """The most frequent names with their shares, most frequent first; equal ones in the order of `names`.

    Args:
        counts: (C,) of each name.
        names: (C,).
        limit: at most so many.
    """
    total = int(counts.sum())
    order = np.argsort(-counts, kind="stable")[:limit]
    return tuple((names[k], int(counts[k]) / total) for k in order.tolist() if counts[k])
