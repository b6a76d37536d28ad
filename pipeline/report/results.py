"""What the recipes reached: the result table over seeds, each class's accuracy, and a gain with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

METRICS: Final = ("top1", "top5", "class_top1", "class_top5")
SPLITS_SHOWN: Final = ("test", "val")  # the headline's first
NORMAL_95: Final = 1.96  # half width of a 95% interval, in standard errors


@dataclass(frozen=True)
class Spread:
    """One share over the seeds, each in [0, 1]."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ResultRow:
    """One recipe on one split."""

    recipe: str
    seeds: int
    scores: tuple[Spread, ...]  # in the order of METRICS
    top1: tuple[float, ...]  # each seed's, in the order of the seeds
    gain: float | None  # mean top-1 minus the baseline's; None for the baseline itself or without one
    leads: bool  # the highest mean top-1 of the split


@dataclass(frozen=True)
class SplitResults:
    """All recipes on one split, in the order of the run."""

    split: str
    images: int
    rows: tuple[ResultRow, ...]


@dataclass(frozen=True)
class Hits:
    """How often each of n images of one split was recognised at first guess."""

    image_id: npt.NDArray[np.int64]  # (n,) ascending
    class_index: npt.NDArray[np.int64]  # (n,) the listed label
    share: npt.NDArray[np.float64]  # (n,) of the seeds, [0, 1]


@dataclass(frozen=True)
class Gain:
    """One recipe's top-1 minus another's on the same images, as shares."""

    mean: float
    half_width: float  # of the 95% interval
    images: int


def split_results(
    summary: Sequence[Mapping[str, Any]], recipes: Sequence[str], baseline: str
) -> tuple[SplitResults, ...]:
    """The rows of SUMMARY folded over seeds: one table per split that was scored, test first.

    Args:
        summary: rows of SUMMARY; those of recipes not named here are left out.
        recipes: which to show, in this order.
        baseline: the recipe that gains are counted from.
    """
    tables = []
    for split in SPLITS_SHOWN:
        of_split = [row for row in summary if row["split"] == split]
        chosen = {name: sorted((r for r in of_split if r["recipe"] == name), key=_seed) for name in recipes}
        chosen = {name: rows for name, rows in chosen.items() if rows}
        if chosen:
            images = max(row["images"] for rows in chosen.values() for row in rows)
            tables.append(SplitResults(split, images, _rows(chosen, baseline)))
    return tuple(tables)


def _seed(row: Mapping[str, Any]) -> int:
    return int(row["seed"])


def _rows(chosen: Mapping[str, Sequence[Mapping[str, Any]]], baseline: str) -> tuple[ResultRow, ...]:
    means = {name: float(np.mean([row["top1"] for row in rows])) for name, rows in chosen.items()}
    leader = max(means.values())
    return tuple(
        ResultRow(
            recipe=name,
            seeds=len(rows),
            scores=tuple(_spread([row[metric] for row in rows]) for metric in METRICS),
            top1=tuple(row["top1"] for row in rows),
            gain=means[name] - means[baseline] if baseline in means and name != baseline else None,
            leads=means[name] == leader and len(means) > 1,
        )
        for name, rows in chosen.items()
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), min(values), max(values))


def best_recipe(results: Sequence[SplitResults], baseline: str) -> str | None:
    """The recipe other than the baseline with the highest mean top-1 on val, or on test where val was not scored.

    Choosing on val keeps the gain on test honest: a maximum over recipes taken on test itself flatters.
    """
    for table in sorted(results, key=lambda table: table.split != "val"):
        others = [row for row in table.rows if row.recipe != baseline]
        if others:
            return max(others, key=lambda row: row.scores[0].mean).recipe
    return None


def hits_of(
    image_id: npt.NDArray[np.int64], class_index: npt.NDArray[np.integer[Any]], correct: npt.NDArray[np.bool_]
) -> Hits:
    """Fold predictions of several seeds over each image.

    Args:
        image_id: (m,) of each prediction, in any order.
        class_index: (m,) the listed label.
        correct: (m,) whether its first guess was that label.
    """
    ids, first, place = np.unique(image_id, return_index=True, return_inverse=True)
    share = np.bincount(place, weights=correct, minlength=len(ids)) / np.maximum(np.bincount(place), 1)
    return Hits(ids, class_index[first].astype(np.int64), np.asarray(share, np.float64))


def class_top1(hits: Hits, classes: int) -> npt.NDArray[np.float64]:
    """(classes,) each class's top-1 as a share, NaN for a class without images."""
    count = np.bincount(hits.class_index, minlength=classes)
    total = np.bincount(hits.class_index, weights=hits.share, minlength=classes)
    return np.asarray(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0), np.float64)


def paired_gain(hits: Hits, base: Hits) -> Gain | None:
    """How much better `hits` is than `base` on the images both were asked, or None where there are not two of them.

    The interval is over images (paired differences, normal approximation), each image's seeds averaged first.
    """
    _, own, theirs = np.intersect1d(hits.image_id, base.image_id, assume_unique=True, return_indices=True)
    if len(own) < 2:
        return None
    difference = hits.share[own] - base.share[theirs]
    error = float(difference.std(ddof=1)) / len(own) ** 0.5
    return Gain(float(difference.mean()), NORMAL_95 * error, len(own))
