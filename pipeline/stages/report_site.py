"""The report's single pages: the entry, the tables of classes, recipes, evidence, images, and the run."""

from collections.abc import Sequence

import numpy as np

from pipeline.records import DEFECTS
from pipeline.report import census
from pipeline.report.class_page import GroupLine
from pipeline.report.page import (
    ClassTable,
    DefectExamples,
    EvidencePage,
    Frame,
    ImagesPage,
    RecipePage,
    ResultsPage,
    RunPage,
)
from pipeline.report.render import render_classes, render_page
from pipeline.stages.report_charts import accuracy_chart, curve_charts, size_chart, tricks_part
from pipeline.stages.report_doubles import doubles
from pipeline.stages.report_entry import entry_page
from pipeline.stages.report_evidence import source_rows
from pipeline.stages.report_gallery import rows_at
from pipeline.stages.report_inputs import accounts_of, costs_of, table_patterns
from pipeline.stages.report_missing import missing_of
from pipeline.stages.report_read import Run
from pipeline.stages.report_scores import mixed_up
from pipeline.stages.report_tricks import read_tricks
from pipeline.stages.report_trust import read_trust
from pipeline.storage.artifacts import Store


def site_pages(
    store: Store, run: Run, examples: int, weighed: RecipePage | None, lines: Sequence[GroupLine] | None
) -> dict[str, bytes]:
    """The pages that there is one of, by file name.

    Args:
        store: where the run lies.
        run: what is told of.
        examples: images quoted per quarantine reason.
        weighed: the recipe whose weights are shown.
        lines: the confused groups; None where nobody has looked.
    """
    found, listings = run.evidence.found, run.inputs.listings
    trust = read_trust(found["fused"], listings, run.names) if "fused" in found else None
    missing = missing_of(run.inputs, run.evidence, run.results, run.recipes, run.baseline)
    shown = {
        "index": ("entry", entry_page(run, weighed, trust, lines, missing)),
        "results": ("results", _results(run)),
        "confused": ("confused", lines),
        "evidence": ("evidence", EvidencePage(source_rows(run.evidence), trust)),
        "images": ("images", _images(run, examples)),
        "run": ("run", _run(store, run, missing)),
    }
    pages = {
        f"{name}.html": render_page(f"{template}.html", Frame("", name), page)
        for name, (template, page) in shown.items()
    }
    for file, table in (("classes", class_table(run)), ("class-evidence", evidence_table(run))):
        pages |= render_classes(Frame("", "classes"), table, file)
    return pages


def class_table(run: Run) -> ClassTable:
    """Every class: its images, how right they are, and how well it is recognised."""
    judging = run.judging
    told = [name for name in dict.fromkeys((run.baseline, run.best)) if name is not None and name in run.reached]
    columns = [("Usable", "count"), ("Quarantined", "count")]
    columns += [(judging.name, "percent" if judging.percent else "figure")] if judging else []
    columns += [("Looks wrong", "percent"), ("Mean weight", "figure")] if run.weighed else []
    columns += [(f"Top-1 {name}", "percent") for name in told]
    rows = [
        (
            row,
            (
                *(row.usable, row.quarantined),
                *([judging.values[row.index]] if judging else []),
                *([row.light, row.weight] if run.weighed else []),
                *(run.reached[name][row.index] for name in told),
            ),
        )
        for row in run.classes
    ]
    by = f" “Looks wrong” and weight are those of {run.weighed}." if run.weighed else ""
    by += f" Top-1 is on {run.split}, mean over seeds." if told else ""
    note = f"Training images only.{by}"
    return ClassTable("Classes", note, ("class-evidence.html", "All evidence by class"), tuple(columns), rows)


def evidence_table(run: Run) -> ClassTable:
    """What the evidence says of every class."""
    columns = tuple((figure.name, "percent" if figure.percent else "figure") for figure in run.figures)
    rows = [(row, tuple(figure.values[row.index] for figure in run.figures)) for row in run.classes]
    note = "Means over the usable training images. “Right” is an estimate of how much of a class is labelled rightly."
    return ClassTable("Evidence by class", note, ("classes.html", "Sizes, weights and accuracies"), columns, rows)


def _results(run: Run) -> ResultsPage:
    scored = {row.recipe for table in run.results for row in table.rows}
    return ResultsPage(
        baseline=run.baseline,
        recipes=run.notes,
        others=tuple(note for note in (*run.notes, *run.others) if note.name not in scored),
        results=run.results,
        mixed=mixed_up(run.inputs.summary, run.results, run.baseline, run.names),
        tricks=tricks_part(read_tricks(run.inputs.summary)),
        accuracy=accuracy_chart(run.results, run.recipes, run.baseline),
        curves=curve_charts(run.inputs, run.recipes),
    )


def _images(run: Run, examples: int) -> ImagesPage:
    found = run.evidence.found.get("duplicates")
    listings, images = run.inputs.decoded
    groups = []
    for reason, count in census.reason_counts(run.population.defect, DEFECTS):
        position = np.flatnonzero(run.population.defect == DEFECTS.index(reason))[:examples]
        named = rows_at(listings, "listing", ("crawl", "path"), position)
        said = rows_at(images, "images", ("detail",), position)
        quoted = [(a["crawl"], a["path"], b["detail"] or "") for a, b in zip(named, said, strict=True)]
        groups.append(DefectExamples(reason, count, tuple(quoted)))
    shown = doubles(found, run.gallery, run.names) if found is not None else None
    return ImagesPage(shown, tuple(groups), bool(listings))


def _run(store: Store, run: Run, missing: Sequence[str]) -> RunPage:
    return RunPage(
        accounts=accounts_of(run.inputs, run.population),
        sizes=size_chart(run.classes),
        tables=table_patterns(store, run.inputs),
        stages=costs_of(store),
        missing=tuple(missing),
    )
