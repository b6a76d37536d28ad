"""The chain baseline, manifest, student, ensemble: how many of the errors each step takes away.

Each step is the best of its kind on images that choose and is told on others: the best of many, told on the images that
chose it, would flatter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from pipeline.evidence.folds import fold_of_groups
from pipeline.intervals import METRICS, Estimate, Float64s, Shares, bootstrap, estimates, figures
from pipeline.tricks import Bag, Kind, PublishedRow, published_of

STEPS: Final[tuple[Kind, ...]] = get_args(Kind)
_LEAST_ERROR = 1e-6  # below it there is no error of which a share could be gone

Row = dict[str, Any]
Step = TypeVar("Step", bound=str)


@dataclass(frozen=True)
class Judges:
    """The same recipes on images that choose and on images that tell, and what these are called."""

    chosen_on: str
    told_on: str
    choosing: Mapping[str, Shares]  # by recipe
    telling: Mapping[str, Shares]


def judges(shares: Mapping[str, Mapping[str, Shares]], baseline: str) -> Judges | None:
    """Val chooses and test tells; where there is one of them, one half of its images chooses and the other tells.

    Args:
        shares: by split and recipe.
        baseline: recipes that were not judged by the same images as this one are left out.

    Returns:
        None where nothing can be told: no split, no baseline, or a single image.
    """
    found = {split: own for split in ("val", "test") if (own := _comparable(shares.get(split, {}), baseline))}
    if len(found) == 2:
        both = {name: own for name, own in found["val"].items() if name in found["test"]}
        return Judges("val", "test", both, found["test"])
    for split, own in found.items():
        half = fold_of_groups(own[baseline].image_id, 2, seed=0) == 1
        if half.any() and not half.all():
            first, other = ({name: _take(one, rows) for name, one in own.items()} for rows in (~half, half))
            return Judges(f"half of {split}", f"the other half of {split}", first, other)
    return None


def chain_rows(shares: Mapping[str, Mapping[str, Shares]], bag: Bag, baseline: str) -> list[Row]:
    """Rows of CHAIN: every step, run or not, so that the published chain stands whole; none without published tables.

    Args:
        shares: by split and recipe.
        bag: says which step a recipe may be.
        baseline: the first step, from which errors are counted.
    """
    if not bag.tables:
        return []
    by = judges(shares, baseline)
    chosen = choose(by.choosing, bag.kinds) if by else {}
    told = reductions({step: by.telling[recipe] for step, recipe in chosen.items()}) if by and chosen else {}
    published = {step: best for step in STEPS if (best := _best_published(bag, step))}
    rows: list[Row] = []
    for place, step in enumerate(STEPS):
        for metric in METRICS:
            row: Row = {"place": place, "step": step, "metric": metric}
            if by and step in chosen:
                row |= {"recipe": chosen[step], "chosen_on": by.chosen_on, "told_on": by.told_on}
                row |= {"images": len(by.telling[chosen[step]].label)} | told[step][metric]
            rows.append(row | _published(published, step, metric))
    return rows


def choose(shares: Mapping[str, Shares], kinds: Mapping[str, Kind]) -> dict[Kind, str]:
    """The recipe of each kind with the highest top-1, the first of equal ones; a kind that was not run is left out.

    Args:
        shares: of the images that choose, by recipe.
        kinds: by recipe; others are not chosen from.
    """
    top1 = {name: float(own.share[:, 0].mean()) for name, own in shares.items()}
    of_kind = {step: [name for name in shares if kinds.get(name) == step] for step in STEPS}
    return {step: max(names, key=lambda name: top1[name]) for step, names in of_kind.items() if names}


def reductions(steps: Mapping[Step, Shares]) -> dict[Step, dict[str, Row]]:
    """What each step reached, and the shares of the first's and of the step before's errors that are gone.

    Intervals are a paired bootstrap: all steps are judged by the same draws of the images.

    Args:
        steps: in order, on the same images.

    Returns:
        By step and metric: value, reduced and step_reduced with their intervals; null where there is nothing to reduce.
    """
    together = np.concatenate([own.share for own in steps.values()], axis=1)
    label = next(iter(steps.values())).label
    plain, drawn = figures(together, label), bootstrap(together, label)
    told: dict[Step, dict[str, Row]] = {}
    for at, step in enumerate(steps):
        own, before = slice(2 * at, 2 * at + 2), slice(2 * at - 2, 2 * at)
        told[step] = {metric: {} for metric in METRICS}
        estimated = {"value": estimates(plain[:, own], drawn[..., own])}
        for name, against in (("reduced", slice(0, 2)), ("step_reduced", before)) if at else ():
            gone = (_gone(every[..., against], every[..., own]) for every in (plain, drawn))
            estimated[name] = estimates(*gone)
        for name, metrics in estimated.items():
            for metric, estimate in metrics.items():
                told[step][metric] |= _columns(name, estimate)
    return told


def _gone(before: Float64s, after: Float64s) -> Float64s:
    """The share of errors that are gone, NaN where there were none."""
    error = 1 - before
    gone: Float64s = np.divide(after - before, error, out=np.full(error.shape, np.nan), where=error > _LEAST_ERROR)
    return gone


def _columns(name: str, estimate: Estimate) -> Row:
    ends = {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return {key: None if np.isnan(value) else value for key, value in ends.items()}


def _comparable(shares: Mapping[str, Shares], baseline: str) -> dict[str, Shares]:
    if baseline not in shares:
        return {}
    images = shares[baseline].image_id
    return {name: own for name, own in shares.items() if np.array_equal(own.image_id, images)}


def _take(shares: Shares, rows: npt.NDArray[np.bool_]) -> Shares:
    return Shares(shares.image_id[rows], shares.label[rows], shares.share[rows])


def _best_published(bag: Bag, step: Kind) -> PublishedRow | None:
    rows = [row for table in bag.tables for row in table.rows if row.recipe and bag.kinds.get(row.recipe) == step]
    return max((row for row in rows if row.top5 is not None), key=lambda row: row.top5 or 0.0, default=None)


def _published(rows: Mapping[Kind, PublishedRow], step: Kind, metric: str) -> Row:
    """What the source's best of the kind reached, and of how many errors it rid the first step and the one before."""
    if step not in rows or (own := published_of(rows[step], metric)) is None:
        return {}
    told: Row = {"published_row": rows[step].name, "published": own}
    earlier = [published_of(rows[one], metric) for one in STEPS[: STEPS.index(step)] if one in rows]
    known = [value for value in earlier if value is not None]
    if known:
        reduced: Sequence[float] = [(own - value) / (1 - value) for value in (known[0], known[-1])]
        told |= {"published_reduced": reduced[0], "published_step_reduced": reduced[1]}
    return told
