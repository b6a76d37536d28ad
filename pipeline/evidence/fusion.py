"""How likely each label is right, from independent views of the image, without a single clean label.

Every image is either of its class or not, and nobody saw which: a mixture of two latent classes. The views (the
picture, the text beside it, its place in the results) are taken as independent once it is known which. Three such
views determine the mixture, whatever the shape of their distributions (Hall and Zhou, "Nonparametric Estimation of
Component Distributions in a Multivariate Mixture", 2003; Allman, Matias and Rhodes, 2009): where picture and text agree
more than they would by chance, that is because some labels are right and some wrong. Which query found the image is one
view more, whose distribution is the share of its results that are right. Fitted by expectation and maximisation:

    P(right) / P(wrong) = share(query) / (1 - share(query)) * product over views of right(bin) / wrong(bin)

What a right image looks like depends on its class (how alike its images are, whether texts ever use its name), so each
class has distributions of its own, drawn to those of all classes by as many images as `own` says. What a wrong image
looks like depends on where it came from, which is everywhere: these are drawn to the common ones by `shared` images.
The share of a query is drawn to that of its class, and a class's to that of all, by as much as they turn out alike.
The results of one query are alike in more than being right or wrong: their texts have its words. So they are no
independent witnesses of its share, and n of them count as n / (1 + (n - 1) alike) (Kish's design effect, 1965). Without
that, any difference between two queries of a class makes one of them all right and the other all wrong.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.evidence.fusion_views import UNKNOWN

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.int64]

BLOCK: Final = 2**18  # images whose probabilities are held at once
CONVERGED: Final = 1e-3  # change of any query's share in one round
STRENGTH: Final = (1.0, 1000.0)  # images that a group's share is drawn to the common one by
LEAST: Final = 1e-4  # a share is never nearer than this to 0 or 1


@dataclass(frozen=True, kw_only=True)
class FusionSettings:
    """How the mixture is fitted."""

    #: bins of a view's distribution, [2, 64]
    bins: int = 12
    #: images by which a class's distributions of right images are drawn to those of all classes, above 0
    own: float = 30.0
    #: the same of its wrong images
    shared: float = 300.0
    #: correlation of two results of one query beyond their being right or wrong, [0, 1)
    alike: float = 0.05
    #: rounds of expectation and maximisation at most, at least 1
    rounds: int = 100

    def __post_init__(self) -> None:
        """Refuse what cannot be fitted."""
        if not 2 <= self.bins <= 64:
            raise ValueError(f"fused.bins must be in [2, 64], not {self.bins}")
        for name in ("own", "shared"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"fused.{name} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.alike < 1:
            raise ValueError(f"fused.alike must be in [0, 1), not {self.alike}")
        if self.rounds < 1:
            raise ValueError(f"fused.rounds must be at least 1, not {self.rounds}")


@dataclass(frozen=True)
class Seen:
    """n images as the mixture sees them."""

    bins: npt.NDArray[np.uint8]  # (n, V) of each view, UNKNOWN where it knows nothing
    query: npt.NDArray[np.int32]  # (n,) from 0
    weight: npt.NDArray[np.float32]  # (n,) what the image counts: one that has doubles counts a part
    class_of: npt.NDArray[np.int32]  # (Q,) the class of each query
    classes: int

    def only(self, rows: npt.NDArray[np.integer[Any]]) -> "Seen":
        """Some of the images."""
        return replace(self, bins=self.bins[rows], query=self.query[rows], weight=self.weight[rows])

    def blocks(self) -> Iterator[slice]:
        """The images, a few at a time."""
        yield from (slice(start, min(start + BLOCK, len(self.query))) for start in range(0, len(self.query), BLOCK))


@dataclass(frozen=True)
class Mixture:
    """What was learnt of C classes and Q queries."""

    ratio: Floats  # (V, C, bins + 1) log of right(bin) / wrong(bin); the last is 0, for unknown
    query_share: Floats  # (Q,) of the query's results that are right, (0, 1)
    class_share: Floats  # (C,)
    share: float  # of all
    strength: float  # images by which a query's share is drawn to that of its class
    rounds: int  # that it took
    moved: float  # largest change of a query's share in the last one

    def evidence(self, seen: Seen, rows: slice) -> Floats:
        """(rows, V) log likelihood ratios that each view brings."""
        at = _columns(seen.bins[rows], self.ratio.shape[2] - 1)
        label = seen.class_of[seen.query[rows]]
        return np.stack([self.ratio[view, label, at[:, view]] for view in range(len(self.ratio))], axis=1)

    def odds(self, seen: Seen, rows: slice) -> Floats:
        """(rows, 1 + V) what the query's share and each view add to the log odds that the label is right."""
        return np.column_stack([log_odds(self.query_share)[seen.query[rows]], self.evidence(seen, rows)])

    def probability(self, seen: Seen, rows: slice) -> Floats:
        """(rows,) that the label is right."""
        return logistic(self.odds(seen, rows).sum(axis=1))


def log_odds(share: Floats) -> Floats:
    """Of a probability, kept LEAST away from 0 and 1."""
    inside = np.clip(share, LEAST, 1 - LEAST)
    return np.asarray(np.log(inside / (1 - inside)))


def logistic(value: Floats) -> Floats:
    """The probability that has these log odds."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * value)))


def fit_mixture(seen: Seen, guess: npt.NDArray[np.float32], settings: FusionSettings) -> Mixture:
    """Learn the distributions of right and wrong images, and how many are right.

    A single view with nothing to hold it against (no text, no ranks, one query a class) can be cut into right and wrong
    anywhere: then the cut stays where the guess makes it, because rounds would only carry it away.

    Args:
        seen: n images.
        guess: (n,) where to begin: a first idea of how likely each label is.
        settings: of the fit.
    """
    every = _expect(seen, settings.bins, lambda rows, _: np.ones(len(seen.query[rows])))
    right = _expect(seen, settings.bins, lambda rows, _: guess[rows].astype(np.float64))
    found, moved, done = _maximise(seen, every, right, settings), np.inf, 0
    most = settings.rounds if _witnesses(seen) > 1 else 0
    while done < most and moved > CONVERGED:
        before = found.query_share
        right = _expect(seen, settings.bins, partial(_probability, found, seen))
        found = _maximise(seen, every, right, settings)
        moved, done = float(np.abs(found.query_share - before).max(initial=0)), done + 1
    return replace(found, rounds=done, moved=moved)


def _witnesses(seen: Seen) -> int:
    """What can be held against each other: the views that know anything, and the query where a class has several."""
    known = np.zeros(seen.bins.shape[1], np.bool_)
    for rows in seen.blocks():
        known |= (seen.bins[rows] != UNKNOWN).any(axis=0)
    return int(known.sum()) + (len(seen.class_of) > len(np.unique(seen.class_of)))


@dataclass(frozen=True)
class _Counts:
    """How much some part of all images weighs."""

    bins: Floats  # (V, C, bins), those of which the view knows something
    query: Floats  # (Q,)


def _expect(seen: Seen, bins: int, probability: Callable[[slice, Cells], Floats]) -> _Counts:
    """Count the images, each as much as it is probable."""
    views, queries, width = seen.bins.shape[1], len(seen.class_of), bins + 1
    found, query = np.zeros((views, seen.classes * width)), np.zeros(queries)
    for rows in seen.blocks():
        cells = _cells(seen, rows, width)
        part = probability(rows, cells) * seen.weight[rows]
        query += np.bincount(seen.query[rows], part, queries)
        for view, at in enumerate(cells):
            found[view] += np.bincount(at, part, found.shape[1])
    return _Counts(found.reshape(views, seen.classes, width)[:, :, :bins], query)


def _probability(mixture: Mixture, seen: Seen, rows: slice, cells: Cells) -> Floats:
    """As `Mixture.probability`, to the last bit: view after view, which is quicker than image after image."""
    odds = log_odds(mixture.query_share)[seen.query[rows]]
    for ratio, at in zip(mixture.ratio.reshape(len(cells), -1), cells, strict=True):
        odds += ratio.take(at)
    return logistic(odds)


def _cells(seen: Seen, rows: slice, width: int) -> Cells:
    """(V, rows) which of a view's distributions, and which bin of it, each image falls in: its place among them all."""
    first = seen.class_of[seen.query[rows]].astype(np.int64) * width
    return np.stack([first + at for at in _columns(seen.bins[rows].T, width - 1)])


def _maximise(seen: Seen, every: _Counts, right: _Counts, settings: FusionSettings) -> Mixture:
    """The mixture under which the counts are most likely, drawn to what is common."""
    wrong = np.maximum(every.bins - right.bins, 0)
    ratio = np.log(_distributions(right.bins, settings.own) / _distributions(wrong, settings.shared))
    ratio = np.concatenate([ratio, np.zeros((*ratio.shape[:2], 1))], axis=2)
    share = float((right.query.sum() + 1) / (every.query.sum() + 2))
    of_class = partial(_per_class, seen)
    of_right, of_every, common = of_class(right.query), of_class(every.query), np.full(seen.classes, share)
    class_share = drawn_shares(of_right, of_every, common, _strength(of_right, of_every, common))
    towards = class_share[seen.class_of]
    strength = _strength(right.query, every.query, towards)
    query_share = drawn_shares(right.query, every.query, towards, strength, settings.alike)
    return Mixture(ratio, query_share, class_share, share, strength, 0, np.inf)


def _per_class(seen: Seen, of_query: Floats) -> Floats:
    return np.asarray(np.bincount(seen.class_of, of_query, seen.classes), np.float64)


def _distributions(counts: Floats, strength: float) -> Floats:
    """(V, C, bins) each class's distribution, drawn to that of all classes by `strength` images."""
    common = counts.sum(axis=1, keepdims=True) + 1
    drawn = counts + strength * common / common.sum(axis=2, keepdims=True)
    return np.asarray(drawn / drawn.sum(axis=2, keepdims=True))


def _strength(right: Floats, every: Floats, towards: Floats) -> float:
    """Images by which groups' shares are drawn to the common ones: by as much as the groups turn out alike.

    That of a beta distribution, from the moments of the groups' shares (Kleinman, 1973).

    Args:
        right: (g,) images that are right.
        every: (g,) images.
        towards: (g,) the common shares.
    """
    several = every > 1
    mean = np.divide(right, every, out=np.zeros(len(every)), where=several)
    spread = (towards * (1 - towards))[several]
    beyond = ((mean - towards)[several] ** 2 - spread / every[several]).sum()
    possible = (spread * (1 - 1 / every[several])).sum()
    apart = beyond / possible if possible > 0 else 0.0  # correlation of two images of one group: how groups differ
    return float(np.clip(1 / apart - 1 if apart > 0 else np.inf, *STRENGTH))


def drawn_shares(right: Floats, every: Floats, towards: Floats, strength: float, alike: float = 0.0) -> Floats:
    """(g,) shares of groups, drawn `towards` the common ones.

    Args:
        right: (g,) images that are right.
        every: (g,) images.
        towards: (g,) the common shares.
        strength: images that the common share counts as.
        alike: correlation of two images of one group beyond their being right or wrong.
    """
    counted = 1 / (1 + alike * np.maximum(every - 1, 0))
    return np.clip((right * counted + strength * towards) / (every * counted + strength), LEAST, 1 - LEAST)


def _columns(bins: npt.NDArray[np.uint8], unknown: int) -> npt.NDArray[np.int64]:
    return np.minimum(bins, unknown, dtype=np.uint8).astype(np.int64)  # UNKNOWN is above all of them
