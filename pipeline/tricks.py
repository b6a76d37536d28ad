"""The source's tables beside ours: what was published for each trick, and what our own runs reached with it.

Source: Chen et al., "Bag of Tricks for Learning from Web Data", WebVision workshop 2019, the slides with results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from pipeline.intervals import INTERVAL, METRICS

Kind = Literal["baseline", "manifest", "student", "ensemble"]
YOURS: Final = "yours"  # the table of what stands in none of the source's

Row = dict[str, Any]


@dataclass(frozen=True)
class PublishedRow:
    """One row of a slide; accuracies are shares, means over classes as WebVision scores."""

    name: str  # as the slide calls it
    recipe: str | None  # our recipe or ensemble that stands for it; None: nothing that was run does
    top5: float | None
    top1: float | None = None


@dataclass(frozen=True)
class PublishedTable:
    """One slide's table."""

    key: str  # its short name
    title: str  # of the slide
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class Bag:
    """The source's tables, and what our recipes and ensembles are."""

    tables: tuple[PublishedTable, ...] = ()
    kinds: Mapping[str, Kind] = field(default_factory=dict)  # which step of the chain each may be; others are none
    networks: Mapping[str, str] = field(default_factory=dict)  # that they were trained with, where they were


def published_of(row: PublishedRow, metric: str) -> float | None:
    """What the source tells of a metric: it scores as WebVision does, the mean over classes."""
    return {"class_top1": row.top1, "class_top5": row.top5}.get(metric)


def trick_rows(bag: Bag, summary: Sequence[Row], intervals: Sequence[Row], baseline: str) -> list[Row]:
    """Rows of TRICKS, for every split that was scored, or for test where none was; none without a table of the source.

    Args:
        bag: what to put side by side.
        summary: rows of SUMMARY.
        intervals: rows of INTERVALS of the same.
        baseline: the recipe that gains are counted from.
    """
    if not bag.tables:
        return []
    scored: dict[tuple[str, str], list[Row]] = {}
    for score in sorted(summary, key=lambda row: int(row["seed"])):
        scored.setdefault((score["recipe"], score["split"]), []).append(score)
    sure = {(row["recipe"], row["split"], row["metric"]): row for row in intervals}
    tables = (*bag.tables, _others(bag, list(dict.fromkeys(str(row["recipe"]) for row in summary)), baseline))
    rows: list[Row] = []
    for table in tables:
        for split in dict.fromkeys(str(row["split"]) for row in summary) or ("test",):
            for place, row in enumerate(table.rows):
                own = scored.get((row.recipe, split), []) if row.recipe else []
                told: Row = {"table": table.key, "title": table.title, "place": place, "row": row.name}
                told |= {"recipe": row.recipe, "split": split, "seeds": len(own)}
                told |= {"network": bag.networks.get(row.recipe) if row.recipe and own else None}
                base = scored.get((baseline, split), [])
                for metric in METRICS:
                    reached = _reached(metric, own, base, sure.get((row.recipe or "", split, metric)))
                    rows.append(told | {"metric": metric} | _published(bag, row, metric, baseline) | reached)
    return rows


def _others(bag: Bag, recipes: Sequence[str], baseline: str) -> PublishedTable:
    """What was run and stands in no table of the source."""
    named = {row.recipe for table in bag.tables for row in table.rows}
    own = tuple(PublishedRow(name, name, None) for name in recipes if name not in named and name != baseline)
    return PublishedTable(YOURS, "In no table of the source", own)


def _published(bag: Bag, row: PublishedRow, metric: str, baseline: str) -> Row:
    own = published_of(row, metric)
    base = next((published_of(r, metric) for table in bag.tables for r in table.rows if r.recipe == baseline), None)
    itself = own == base  # under whatever name it stands in a table
    gain = own - base if own is not None and base is not None and not itself else None
    return {"published": own, "published_gain": gain}


def _reached(metric: str, own: Sequence[Row], base: Sequence[Row], sure: Row | None) -> Row:
    """What the seeds reached; all null where none was run."""
    if not own or sure is None:
        return {}
    values = [float(row[metric]) for row in own]
    told: Row = {"images": sure["images"], "value": float(np.mean(values))}
    told |= {"lowest": min(values), "highest": max(values), "low": sure["low"], "high": sure["high"]}
    low, high = over_seeds(values)
    told |= {
        "seeds_low": None if low is None else max(low, 0.0),
        "seeds_high": None if high is None else min(high, 1.0),
    }
    if sure.get("gain") is not None:
        of_base = {row["seed"]: float(row[metric]) for row in base}
        gains = [float(row[metric]) - of_base[row["seed"]] for row in own if row["seed"] in of_base]
        told |= {name: sure[name] for name in ("gain", "gain_low", "gain_high")}
        told |= dict(zip(("gain_seeds_low", "gain_seeds_high"), over_seeds(gains), strict=True))
    return told


def over_seeds(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """The 95% interval of the mean over all seeds by Student's t; nothing with fewer than two.

    Two seeds leave one degree of freedom: the interval is then 12.7 times as wide as the two lie apart.
    """
    if len(values) < 2:
        return None, None
    from scipy.special import stdtrit  # noqa: PLC0415 - the command line should not pay for it

    mean, half = float(np.mean(values)), float(stdtrit(len(values) - 1, INTERVAL[1]) * np.std(values, ddof=1))
    half /= len(values) ** 0.5
    return mean - half, mean + half
