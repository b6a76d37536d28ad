"""The source's tables beside ours and the chain, as pages, the Dagster UI and the terminal show them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.report.charts import GainBar

SHOWN: Final = ("class_top5", "class_top1")  # WebVision's means over classes, the published one first
SPLITS_SHOWN: Final = ("test", "val")
PUBLISHED_NETWORK: Final = "resnet50"
#: Tables whose rows are no tricks of training on the crawl: a bar of each would say nothing.
_NOT_DRAWN: Final = ("pretrained",)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One metric of one row; shares, None where there is none."""

    published: float | None
    published_gain: float | None
    value: float | None  # mean over the seeds
    lowest: float | None
    highest: float | None
    seeds_low: float | None
    seeds_high: float | None
    low: float | None
    high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    gain_seeds_low: float | None
    gain_seeds_high: float | None


@dataclass(frozen=True)
class TrickRow:
    """One row of a table, as the source calls it, and ours."""

    name: str
    recipe: str | None
    network: str | None
    seeds: int  # 0: not run
    top5: Figure
    top1: Figure


@dataclass(frozen=True)
class TrickTable:
    """One of the source's tables, or the last, of what stands in none."""

    key: str
    title: str
    rows: tuple[TrickRow, ...]


@dataclass(frozen=True)
class Reached:
    """What a step of the chain reached by one metric; ends are of 95% intervals over images."""

    value: float | None
    value_low: float | None
    value_high: float | None
    reduced: float | None
    reduced_low: float | None
    reduced_high: float | None
    step_reduced: float | None
    step_reduced_low: float | None
    step_reduced_high: float | None
    published: float | None
    published_reduced: float | None
    published_step_reduced: float | None


@dataclass(frozen=True)
class Step:
    """One step of the chain."""

    name: str
    recipe: str | None  # None: nothing of its kind was run, or nothing could be chosen
    chosen_on: str | None
    told_on: str | None
    images: int | None
    published_row: str | None
    top1: Reached
    top5: Reached


@dataclass(frozen=True)
class Tricks:
    """Everything of both tables that is shown."""

    split: str
    tables: tuple[TrickTable, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...]  # what to know before reading the figures


def tricks_of(tricks: Sequence[Row], chain: Sequence[Row], baseline: str) -> Tricks | None:
    """What is shown of rows of TRICKS and CHAIN; None where there are no tables.

    Args:
        tricks: of all splits; test is shown where it was scored.
        chain: of the same run.
        baseline: the recipe that gains are counted from.
    """
    if not tricks:
        return None
    split = next(name for name in SPLITS_SHOWN if any(row["split"] == name for row in tricks))
    shown = [row for row in tricks if row["split"] == split]
    tables = tuple(
        TrickTable(key, own[0]["title"], tuple(_row(place, own) for place in dict.fromkeys(r["place"] for r in own)))
        for key in dict.fromkeys(row["table"] for row in shown)
        for own in [[row for row in shown if row["table"] == key]]
    )
    steps = tuple(_step([row for row in chain if row["place"] == k]) for k in sorted({row["place"] for row in chain}))
    return Tricks(split, tables, steps, tuple(_notes(tables, steps, baseline)))


def _row(place: int, rows: Sequence[Row]) -> TrickRow:
    by_metric = {row["metric"]: row for row in rows if row["place"] == place}
    any_of = by_metric[SHOWN[0]]
    figures = (Figure(**{name: by_metric[metric][name] for name in Figure.__dataclass_fields__}) for metric in SHOWN)
    return TrickRow(any_of["row"], any_of["recipe"], any_of["network"], any_of["seeds"], *figures)


def _step(rows: Sequence[Row]) -> Step:
    top5, top1 = (next(row for row in rows if row["metric"] == metric) for metric in SHOWN)
    return Step(
        name=top5["step"],
        **{name: top5[name] for name in ("recipe", "chosen_on", "told_on", "images", "published_row")},
        top1=_reached(top1),
        top5=_reached(top5),
    )


def _reached(row: Row) -> Reached:
    return Reached(**{name: row[name] for name in Reached.__dataclass_fields__})


def _notes(tables: Sequence[TrickTable], steps: Sequence[Step], baseline: str) -> Iterable[str]:
    run = {row.recipe: row for table in tables for row in table.rows if row.seeds}
    if not run:
        yield "No recipe has been scored yet: only the published figures are here."
        return
    single = [name for name, row in run.items() if row.seeds == 1 and name]
    if len(single) == len(run):
        yield "Only one seed was run, so that nothing is known of how far another would fall from it."
    elif single:
        yield f"Of {', '.join(single)} only one seed was run."
    if any(row.seeds == 2 for row in run.values()):
        yield "Two seeds are few: the interval over them is 12.7 times as wide as they lie apart."
    network = run[baseline].network if baseline in run else None
    if network not in (None, PUBLISHED_NETWORK):
        yield f"The baseline here is a {network}, the published ones are of a ResNet-50: compare orders and signs."
    if any(step.chosen_on and step.chosen_on.startswith("half") for step in steps):
        yield "There is one clean split: the chain is chosen on half of its images and told on the other half."


def gain_bars(told: Tricks, metric: str) -> list[GainBar]:
    """The gain of each trick, those of the source and what else was run; each recipe once.

    Args:
        told: the tables.
        metric: top1 or top5.
    """
    bars: dict[str, GainBar] = {}
    for table in told.tables:
        for row in table.rows if table.key not in _NOT_DRAWN else ():
            figure: Figure = getattr(row, metric)
            if (figure.gain, figure.published_gain) != (None, None):
                label = row.recipe or row.name
                ends = (figure.gain_low, figure.gain_high)
                bars.setdefault(label, GainBar(label, table.title, figure.published_gain, figure.gain, *ends))
    return list(bars.values())


HEADINGS: Final = ("row", "ours", "seeds", "published", "top-5", "published gain", "gain", "top-1", "gain in top-1")


def cells(row: TrickRow) -> tuple[str, ...]:
    """A row in words under HEADINGS: percent, lowest to highest of the seeds, [95% over images]."""
    ours = row.recipe or ""
    if not row.seeds:
        published = (_percent(row.top5.published, 2), "", _points(row.top5.published_gain, 2), "", "", "")
        return row.name, f"{ours} (not run)".strip(), "", *published
    return (
        row.name,
        f"{ours} ({row.network})" if row.network else ours,
        str(row.seeds),
        _percent(row.top5.published, 2),
        _value(row.top5),
        _points(row.top5.published_gain, 2),
        _gain(row.top5),
        _value(row.top1),
        _gain(row.top1),
    )


STEP_HEADINGS: Final = (
    *("step", "ours", "top-1", "errors gone", "of the step before"),
    *("top-5", "errors gone", "of the step before", "published top-5", "errors gone"),
)


def step_cells(step: Step) -> tuple[str, ...]:
    """A step of the chain in words under STEP_HEADINGS: percent, [95% over images]."""
    own = [
        told
        for reached in (step.top1, step.top5)
        for told in (
            _between(reached.value, reached.value_low, reached.value_high),
            _between(reached.reduced, reached.reduced_low, reached.reduced_high),
            _between(reached.step_reduced, reached.step_reduced_low, reached.step_reduced_high),
        )
    ]
    published = (_percent(step.top5.published, 2), _percent(step.top5.published_reduced))
    return step.name, step.recipe or "(not run)", *own, *published


def _value(figure: Figure) -> str:
    spread = f" ({_percent(figure.lowest)} to {_percent(figure.highest)})" if figure.lowest != figure.highest else ""
    return f"{_percent(figure.value)}{spread} [{_percent(figure.low)}, {_percent(figure.high)}]"


def _gain(figure: Figure) -> str:
    if figure.gain is None:
        return ""
    return f"{_points(figure.gain)} [{_points(figure.gain_low)}, {_points(figure.gain_high)}]"


def _between(value: float | None, low: float | None, high: float | None) -> str:
    ends = f" [{_percent(low)}, {_percent(high)}]" if low is not None else ""
    return f"{_percent(value)}{ends}"


def _percent(share: float | None, digits: int = 1) -> str:
    return "" if share is None else f"{100 * share:.{digits}f}"


def _points(share: float | None, digits: int = 1) -> str:
    return "" if share is None else f"{100 * share:+.{digits}f}"
