"""What the recipes reached: the result table over seeds with its intervals over images, and each class's accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

METRICS: Final = ("top1", "top5", "class_top1", "class_top5")
SPLITS_SHOWN: Final = ("test", "val")  # the headline's first
FIRST: Final = METRICS[0]  # the metric that recipes are compared by


@dataclass(frozen=True)
class Spread:
    """One share over the seeds, each in [0, 1]."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Gain:
    """One recipe's top-1 minus the baseline's on the same images, as shares."""

    mean: float
    low: float  # of the 95% interval over images
    high: float
    images: int


@dataclass(frozen=True)
class ResultRow:
    """One recipe on one split."""

    recipe: str
    seeds: int
    scores: tuple[Spread, ...]  # in the order of METRICS
    top1: tuple[float, ...]  # each seed's, in the order of the seeds
    sure: Spread | None  # the first score with its 95% interval over images
    gain: Gain | None  # over the baseline; None for the baseline itself or without one
    calibration_error: float  # mean over the seeds
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


def split_results(
    summary: Sequence[Mapping[str, Any]], intervals: Sequence[Mapping[str, Any]], recipes: Sequence[str]
) -> tuple[SplitResults, ...]:
    """The rows of SUMMARY folded over seeds: one table per split that was scored, test first.

    Args:
        summary: rows of SUMMARY; those of recipes not named here are left out.
        intervals: rows of INTERVALS.
        recipes: which to show, in this order.
    """
    tables = []
    for split in SPLITS_SHOWN:
        of_split = [row for row in summary if row["split"] == split]
        chosen = {name: sorted((r for r in of_split if r["recipe"] == name), key=_seed) for name in recipes}
        chosen = {name: rows for name, rows in chosen.items() if rows}
        if chosen:
            images = max(row["images"] for rows in chosen.values() for row in rows)
            sure = {row["recipe"]: row for row in intervals if row["split"] == split and row["metric"] == FIRST}
            tables.append(SplitResults(split, images, _rows(chosen, sure)))
    return tuple(tables)


def _seed(row: Mapping[str, Any]) -> int:
    return int(row["seed"])


def _rows(
    chosen: Mapping[str, Sequence[Mapping[str, Any]]], sure: Mapping[str, Mapping[str, Any]]
) -> tuple[ResultRow, ...]:
    means = {name: float(np.mean([row["top1"] for row in rows])) for name, rows in chosen.items()}
    leader = max(means.values())
    return tuple(
        ResultRow(
            recipe=name,
            seeds=len(rows),
            scores=tuple(_spread([row[metric] for row in rows]) for metric in METRICS),
            top1=tuple(row["top1"] for row in rows),
            sure=Spread(*(sure[name][end] for end in ("value", "low", "high"))) if name in sure else None,
            gain=_gain(sure[name]) if name in sure else None,
            calibration_error=float(np.mean([row["calibration_error"] for row in rows])),
            leads=means[name] == leader and len(means) > 1,
        )
        for name, rows in chosen.items()
    )


def _gain(row: Mapping[str, Any]) -> Gain | None:
    if row["gain"] is None:
        return None
    return Gain(row["gain"], row["gain_low"], row["gain_high"], row["images"])


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
