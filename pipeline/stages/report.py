"""Stage `report`: one HTML page about a run, from whatever tables are there."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from pipeline.records import DEFECTS
from pipeline.report import census, page
from pipeline.report.overview import ClassFigure
from pipeline.report.render import render
from pipeline.report.results import Hits, SplitResults, best_recipe, class_top1, split_results
from pipeline.report.sheets import SheetSettings
from pipeline.stages.classes import ClassOrder
from pipeline.stages.population import TRAIN, Population
from pipeline.stages.report_charts import accuracy_chart, curve_charts, size_chart, weight_chart
from pipeline.stages.report_confused import confused_groups
from pipeline.stages.report_doubles import doubles
from pipeline.stages.report_evidence import Evidence, Training, class_figures, read_training, source_rows
from pipeline.stages.report_gallery import Gallery, rows_at
from pipeline.stages.report_inputs import (
    ReportInputs,
    accounts_of,
    catalogue_of,
    costs_of,
    find_inputs,
    population_of,
    table_patterns,
)
from pipeline.stages.report_missing import missing_of
from pipeline.stages.report_pictures import class_pictures
from pipeline.stages.report_scores import mixed_up, read_hits, read_scores
from pipeline.stages.report_trust import read_trust
from pipeline.stages.texts import read_class_words
from pipeline.storage.artifacts import WHOLE, Artifact, Draft, Facts, Store, identity, inputs_of
from pipeline.storage.atomic import publish_bytes

STAGE = "report"
CODE_VERSION = "4"


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What the page shows of what there is."""

    #: the recipe that gains are counted from
    baseline: str = "baseline"
    #: images quoted per quarantine reason, at least 1
    examples: int = 5
    sheets: SheetSettings = field(default_factory=SheetSettings)

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        if self.examples < 1:
            raise ValueError(f"report.examples must be at least 1, not {self.examples}")


def make_report(
    store: Store,
    recipes: Sequence[str],
    published: Mapping[str, float],
    settings: ReportSettings | None = None,
) -> Artifact:
    """Write `report.html` about the current artifacts; what no run has made yet is said in the page.

    Args:
        store: where the run lies.
        recipes: which to show, in this order; the weights pictured are those of the last that is not the baseline.
        published: recipe -> top-5 in percent, where the recipe's source gives one.
        settings: None for the defaults.
    """
    settings = settings or ReportSettings()
    recipes = list(recipes)
    inputs = find_inputs(store, recipes, settings.baseline)
    told = {recipe: published.get(recipe) for recipe in recipes}

    def build(draft: Draft) -> Facts:
        shown = _page(store, inputs, told, settings)
        html = render(shown)
        path = draft.folder / "report.html"
        publish_bytes(path, html)
        draft.finish(0, {path: 1})
        return {"classes": len(shown.classes), "pictured": len(shown.pictures), "bytes": len(html)}

    # Wall times are shown but are no input: a report of the same tables is the same report.
    described = {"recipes": recipes, "published": told, "settings": asdict(settings)}
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, described, inputs_of(inputs.all)), build)


@dataclass(frozen=True)
class _Run:
    """Everything that more than one part of the page is made from."""

    inputs: ReportInputs
    settings: ReportSettings
    recipes: list[str]
    population: Population
    training: Training
    evidence: Evidence
    figures: tuple[ClassFigure, ...]
    results: tuple[SplitResults, ...]
    hits: dict[str, Hits]  # by recipe, on the first split of the results
    classes: list[census.ClassRow]

    @property
    def names(self) -> list[str]:
        """Of all classes."""
        return [row.name for row in self.classes]


def report_page(store: Store) -> Path:
    """Where the latest report lies.

    Raises:
        NotMadeError: there is none yet.
    """
    return store.current(STAGE).folder / "report.html"


def _page(
    store: Store, inputs: ReportInputs, published: Mapping[str, float | None], settings: ReportSettings
) -> page.Page:
    run = _read(inputs, list(published), settings)
    shown, omitted, by = _pictured(run)
    gallery = _gallery(run)
    return page.Page(
        accounts=accounts_of(inputs, run.population),
        verdict=_verdict(run),
        recipes=tuple(page.RecipeNote(name, top5) for name, top5 in published.items()),
        results=run.results,
        mixed=mixed_up(inputs.summary, run.results, settings.baseline, run.names),
        charts=page.Charts(
            accuracy=accuracy_chart(run.results, run.recipes, settings.baseline),
            curves=curve_charts(inputs, run.recipes),
            sizes=size_chart(run.classes),
            weights=weight_chart(run.training),
        ),
        class_split=run.results[0].split if run.hits else None,
        classes=tuple(run.classes),
        evidence=_evidence(run, gallery),
        trust=read_trust(inputs.evidence["fused"], inputs.listings, run.names) if "fused" in inputs.evidence else None,
        pictures=_pictures(run, shown, gallery),
        pictured_by=by,
        omitted=tuple(run.classes[k].name for k in omitted),
        quarantine=_quarantine(run),
        tables=table_patterns(store, inputs),
        stages=costs_of(store),
        missing=missing_of(inputs, run.evidence, run.results, run.recipes, settings.baseline),
    )


def _read(inputs: ReportInputs, recipes: list[str], settings: ReportSettings) -> _Run:
    population = population_of(inputs)
    names = catalogue_of(inputs.listings)
    training = read_training(inputs, ClassOrder.of(population, len(names)))
    evidence = Evidence(inputs.evidence, training.order)
    summary = read_scores(inputs.summary)
    tables = split_results(summary["summary"], summary["intervals"], recipes)
    hits = {name: read_hits(found, tables[0].split) for name, found in inputs.predictions.items() if tables and found}
    label = training.order.class_index
    classes = census.class_rows(
        names,
        label,
        population.class_index[(population.split == TRAIN) & ~population.usable],
        training.weights,
        census.cluster_counts(label, evidence.column("cluster"), len(names)) if evidence.has("cluster") else None,
        [class_top1(hits[name], len(names)) if name in hits else None for name in recipes],
    )
    figures = class_figures(evidence)
    return _Run(inputs, settings, recipes, population, training, evidence, figures, tables, hits, classes)


def _gallery(run: _Run) -> Gallery:
    weight = np.full(len(run.population.image_id), np.nan, np.float32)
    if run.training.weight is not None:
        weight[run.training.order.members] = run.training.weight
    listings, images = run.inputs.decoded
    return Gallery(listings, images, run.inputs.features, run.population, weight, run.settings.sheets)


def _pictured(run: _Run) -> tuple[list[int], list[int], str]:
    """Which classes are pictured, which are not, and by what they were chosen.

    By weight where something weighs; else by the first figure that judges labels.
    """
    judging = [figure for figure in run.figures if figure.judges]
    if run.training.weight is None and judging:
        shown, omitted = census.pictured_classes(run.classes, run.settings.sheets.classes, judging[0].values)
        return shown, omitted, f"the lowest \u201c{judging[0].name}\u201d"
    shown, omitted = census.pictured_classes(run.classes, run.settings.sheets.classes)
    return shown, omitted, "the largest share that looks wrong"


def _evidence(run: _Run, gallery: Gallery) -> page.EvidencePart:
    found = run.inputs.evidence
    confused, more = None, 0
    if "confusion" in found:
        confused, more = confused_groups(found["confusion"], run.evidence, gallery, run.names)
    return page.EvidencePart(
        rows=source_rows(run.evidence),
        figures=run.figures,
        confused=confused,
        more_confused=more,
        doubles=doubles(found["duplicates"], gallery, run.names) if "duplicates" in found else None,
    )


def _pictures(run: _Run, shown: Sequence[int], gallery: Gallery) -> tuple[page.ClassPictures, ...]:
    words = (
        read_class_words(run.inputs.listings[0]) if run.evidence.has("keyword") or run.evidence.has("semantic") else []
    )
    rows = [run.classes[k] for k in shown]
    return class_pictures(rows, run.training, run.evidence, gallery, run.names, words)


def _verdict(run: _Run) -> page.Verdict:
    baseline, weights = run.settings.baseline, run.training.weights
    best = best_recipe(run.results, baseline)
    light = None
    if weights is not None and len(weights.alone):
        light = float(census.light_images(weights.alone, run.training.order.class_index).mean())
    return page.Verdict(
        baseline=baseline,
        weighed=run.inputs.weighed.partition if run.inputs.weighed else None,
        light=light,
        best=best,
        split=run.results[0].split if run.results else None,
        gain=next((row.gain for row in run.results[0].rows if row.recipe == best), None) if best else None,
    )


def _quarantine(run: _Run) -> tuple[page.DefectExamples, ...]:
    groups = []
    listings, images = run.inputs.decoded
    for reason, count in census.reason_counts(run.population.defect, DEFECTS):
        position = np.flatnonzero(run.population.defect == DEFECTS.index(reason))[: run.settings.examples]
        named = rows_at(listings, "listing", ("crawl", "path"), position)
        said = rows_at(images, "images", ("detail",), position)
        quoted = [(a["crawl"], a["path"], b["detail"] or "") for a, b in zip(named, said, strict=True)]
        groups.append(page.DefectExamples(reason, count, tuple(quoted)))
    return tuple(groups)
