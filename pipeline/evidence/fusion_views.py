"""Evidence of a label on one scale: how far each source puts the label above the best other, and three views of that.

Sources that look at the same thing err together: an odd picture has odd neighbours, and a probe is unsure of it too.
So they are averaged into one view, and only views are treated as independent witnesses: the picture, the text beside
it, and the place in the search results.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Columns = Mapping[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.floating[Any]]

KNOTS: Final = 256  # of a source's empirical distribution
UNKNOWN: Final = 255  # the bin of an image of which a view knows nothing


def _agreement(columns: Columns) -> Floats:
    """Share of neighbours with its label minus that of the most frequent other label; where its own is the most
    frequent, the least that this can be."""
    own, top = columns["agreement"], columns["neighbour_share"]
    agreed = columns["neighbour_class"] == columns["class_index"]
    return np.asarray(np.where(agreed, np.maximum(2 * own - 1, 0), own - top))


def _place(columns: Columns) -> Floats:
    """From 1 for the first of its class's results to -1 for the last."""
    position, label = columns["position"], columns["class_index"]
    last = np.zeros(int(label.max(initial=-1)) + 1)
    known = np.isfinite(position)
    np.maximum.at(last, label[known], position[known])
    return np.asarray(1 - 2 * (position - 0.5) / np.maximum(last, 1)[label])


@dataclass(frozen=True)
class Source:
    """One table of evidence as a witness."""

    view: int  # position in VIEWS
    columns: tuple[str, ...]
    #: in [-1, 1]: what speaks for the label minus what speaks for the best other; NaN where the source knows nothing
    margin: Callable[[Columns], Floats]
    #: whether a margin has a meaning by itself, so that it tells something before any other image is looked at
    absolute: bool = True


VIEWS: Final = ("picture", "text", "rank")
#: By evidence table. Density and clusters are not asked: they tell what is usual among a class's images, and where most
#: of those are wrong, the usual ones are.
SOURCES: Final[dict[str, Source]] = {
    "neighbours": Source(0, ("agreement", "neighbour_class", "neighbour_share"), _agreement),
    "opinion": Source(0, ("margin",), lambda columns: columns["margin"]),
    "aum": Source(0, ("aum",), lambda columns: np.tanh(columns["aum"] / 2)),  # as of two classes with those logits
    "keyword": Source(1, ("keyword", "keyword_other"), lambda columns: columns["keyword"] - columns["keyword_other"]),
    "semantic": Source(
        1, ("semantic", "semantic_other"), lambda columns: (columns["semantic"] - columns["semantic_other"]) / 2
    ),
    "rank": Source(2, ("position",), _place, absolute=False),
}


def margins(columns: Columns, sources: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """What each source says of n images.

    Args:
        columns: those of the sources and `class_index`, each (n,), NaN where nothing is known; whole classes.
        sources: names of SOURCES.

    Returns:
        (n, sources) in [-1, 1], NaN where a source knows nothing.
    """
    found = np.empty((len(columns["class_index"]), len(sources)), np.float32)
    for k, name in enumerate(sources):
        found[:, k] = SOURCES[name].margin(columns)
    found[~np.isfinite(found)] = np.nan
    return found


def first_guess(margin: Floats, sources: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """(n,) how likely the labels seem before anything is learnt: each view's mean margin, taken from [-1, 1] to [0, 1].

    Images of which no such source knows anything get 0.5.
    """
    absolute = tuple(k for k, name in enumerate(sources) if SOURCES[name].absolute)
    views = _view_means(margin[:, list(absolute)], tuple(sources[k] for k in absolute))
    return np.asarray(np.nan_to_num((1 + _known_mean(views)) / 2, nan=0.5), np.float32)


@dataclass(frozen=True)
class Scale:
    """Margins to shares of all images: sources are averaged where they stand among all, whatever their units."""

    sources: tuple[str, ...]
    knots: npt.NDArray[np.float64]  # (sources, KNOTS) ascending; NaN for a source that knows nothing
    edges: npt.NDArray[np.float64]  # (VIEWS, bins - 1) of the views' scores

    @classmethod
    def fit(cls, margin: Floats, sources: tuple[str, ...], bins: int) -> "Scale":
        """Learn the distributions from a sample.

        Args:
            margin: (m, sources) of the sample.
            sources: names of SOURCES.
            bins: of each view, at most UNKNOWN; about equally many images of the sample fall in each.
        """
        margin = np.asarray(margin, np.float32)
        knots = _quantiles(margin, np.linspace(0, 1, KNOTS))
        shared = cls(sources, knots, np.empty((len(VIEWS), 0)))
        return cls(sources, knots, _quantiles(shared.scores(margin), np.arange(1, bins) / bins))

    def scores(self, margin: Floats) -> npt.NDArray[np.float32]:
        """(n, VIEWS) mean over a view's sources of the share of images they speak less for; NaN where none knows."""
        # float32 as in `fit`: what float64 alone tells apart is noise, and between such knots a slope overflows
        margin = np.asarray(margin, np.float32)
        shares = np.full(margin.shape, np.nan, np.float32)
        for k, knots in enumerate(self.knots):
            known = np.isfinite(margin[:, k])
            if known.any() and np.isfinite(knots).all():
                shares[known, k] = _share_below(margin[known, k], knots)
        return _view_means(shares, self.sources)

    def bins(self, scores: Floats) -> npt.NDArray[np.uint8]:
        """(n, VIEWS) bin of each score, UNKNOWN where there is none."""
        found = np.empty(scores.shape, np.uint8)
        for view, edges in enumerate(self.edges):
            own = np.searchsorted(edges, scores[:, view], side="right")
            found[:, view] = np.where(np.isfinite(scores[:, view]), own, UNKNOWN)
        return found


def _share_below(values: Floats, knots: npt.NDArray[np.float64]) -> Floats:
    """Mid-ranks among the knots, linear between them: equal values share one rank, whatever their number."""
    low, high = np.searchsorted(knots, values, side="left"), np.searchsorted(knots, values, side="right")
    between = np.interp(values, knots, np.arange(len(knots)))
    rank = np.where(high > low, (low + high - 1) / 2, between)
    return np.asarray(rank / (len(knots) - 1))


def _quantiles(values: Floats, at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(columns, at) of the finite values of each column; NaN where it has none."""
    found = np.full((values.shape[1], len(at)), np.nan)
    for k in range(values.shape[1]):
        known = values[np.isfinite(values[:, k]), k].astype(np.float64)
        if len(known):
            found[k] = np.quantile(known, at)
    return found


def _view_means(values: Floats, sources: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """(n, VIEWS) of the values (n, sources)."""
    view = np.array([SOURCES[name].view for name in sources], np.int64)
    means = [_known_mean(values[:, view == k]) for k in range(len(VIEWS))]
    return np.stack(means, axis=1).astype(np.float32)


def _known_mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0).sum(axis=1, dtype=np.float64)
    return np.asarray(np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0))
