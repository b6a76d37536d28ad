"""The report's entry page: what came in, what was wrong, what was done, what it gained, what to look at next."""

from collections.abc import Sequence

import numpy as np

from pipeline.report import census
from pipeline.report.class_page import GroupLine
from pipeline.report.page import EntryPage, Next, RecipePage, Trust, Wrong
from pipeline.report.render import counted
from pipeline.report.trust import TrustRow
from pipeline.stages.report_charts import accuracy_chart
from pipeline.stages.report_inputs import accounts_of
from pipeline.stages.report_read import Run
from pipeline.stages.report_recipes import EACH

SHOWN = 5  # of each kind of thing to look at next
LEAST = 10  # images of a query that is worth a look


def entry_page(
    run: Run, weighed: RecipePage | None, trust: Trust | None, lines: Sequence[GroupLine] | None, missing: Sequence[str]
) -> EntryPage:
    """Two minutes' reading.

    Args:
        run: what is told of.
        weighed: the recipe whose weights are shown.
        trust: how right classes and queries are; None where nobody has estimated it.
        lines: the confused groups; None where nobody has looked.
        missing: sentences about what no run has made.
    """
    best = run.best
    rows = run.results[0].rows if run.results else ()
    return EntryPage(
        classes=len(run.classes),
        accounts=accounts_of(run.inputs, run.population),
        wrong=_wrong(run),
        weighed=weighed,
        trained=tuple(row.recipe for row in rows),
        seeds=max((row.seeds for row in rows), default=0),
        best=best,
        baseline=run.baseline,
        split=run.split,
        gain=next((row.gain for row in rows if row.recipe == best), None) if best else None,
        accuracy=accuracy_chart(run.results, run.recipes, run.baseline),
        lightest=weighed.lightest if weighed else None,
        each=EACH,
        worst=_worst(run),
        queries=_queries(trust),
        confused=tuple(map(_group, (lines or ())[:SHOWN])),
        missing=tuple(missing),
    )


def _wrong(run: Run) -> Wrong:
    labels = doubles = leaks = light = None
    order, evidence = run.training.order, run.evidence
    if not len(order):
        return Wrong(None, None, None, None)
    if evidence.has("right_probability"):
        right = evidence.column("right_probability")
        known = np.isfinite(right)
        labels = float(1 - right[known].mean(dtype=np.float64)) if known.any() else None
    if evidence.has("training_copies"):
        doubles = int((evidence.column("training_copies") > 1).sum())
        leaks = int(evidence.column("leak").sum())
    if run.training.weights is not None:
        light = float(census.light_images(run.training.weights.alone, order.class_index).mean())
    return Wrong(labels, doubles, leaks, light)


def _worst(run: Run) -> tuple[Next, ...]:
    """Classes with most that is wrong: by the share that looks wrong to a recipe, else by what the evidence says."""
    known = [row for row in run.classes if row.usable]
    if any(row.light for row in known):
        chosen = sorted(known, key=lambda row: (-(row.light or 0.0), row.index))[:SHOWN]
        return tuple(_class(row, f"{100 * (row.light or 0.0):.0f}% look wrong") for row in chosen)
    figure = run.judging
    if figure is None:
        return ()
    rated = [(value, row) for row in known if (value := figure.values[row.index]) is not None]
    chosen_rated = sorted(rated, key=lambda pair: (pair[0], pair[1].index))[:SHOWN]
    unit = (100, "%") if figure.percent else (1, "")
    return tuple(_class(row, f"{figure.name} {unit[0] * value:.3g}{unit[1]}") for value, row in chosen_rated)


def _class(row: census.ClassRow, why: str) -> Next:
    return Next(f"class/{row.index:05d}.html", row.name, why)


def _queries(trust: Trust | None) -> tuple[Next, ...]:
    """The worst queries that found more than a handful."""
    if trust is None or trust.queries is None:
        return ()
    shown = [row for row in trust.queries.worst if row.images >= LEAST and row.right < 0.5][:SHOWN]
    return tuple(Next(f"class/{row.class_index:05d}.html", _asked(row), _found(row)) for row in shown)


def _asked(row: TrustRow) -> str:
    return row.query or row.name


def _found(row: TrustRow) -> str:
    return f"{100 * row.right:.0f}% of {counted(row.images, 'image')} right for {row.name}"


def _group(line: GroupLine) -> Next:
    names = [one.name for one in line.classes]
    shown = " · ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    a, b, rate = line.pairs[0] if line.pairs else (None, None, 0.0)
    why = f"{a.name} and {b.name} {100 * rate:.0f}%" if a and b and len(names) > 2 else f"{100 * rate:.0f}%"
    return Next(f"group/{line.number:05d}.html", shown, why)
