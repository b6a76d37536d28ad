"""Stage `report`: one HTML page about a run, from whatever tables are there."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from pipeline.records import DEFECTS
from pipeline.report import census, page
from pipeline.report.results import Hits, SplitResults, best_recipe, class_top1, paired_gain, split_results
from pipeline.report.sheets import SheetSettings
from pipeline.stages.population import TRAIN, Population
from pipeline.stages.report_inputs import (
    ReportInputs,
    Training,
    accounts_of,
    catalogue_of,
    costs_of,
    find_inputs,
    population_of,
    read_hits,
    read_training,
    rows_at,
)
from pipeline.stages.report_pictures import accuracy_chart, class_pictures, curve_charts, size_chart, weight_chart
from pipeline.storage.artifacts import WHOLE, Artifact, Draft, Facts, Store, identity, inputs_of
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.tables import read_table

STAGE = "report"
CODE_VERSION = "1"


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
        html = page.render(shown)
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
    results: tuple[SplitResults, ...]
    hits: dict[str, Hits]  # by recipe, on the first split of the results
    classes: list[census.ClassRow]


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
    shown, omitted = census.pictured_classes(run.classes, settings.sheets.classes)
    return page.Page(
        accounts=accounts_of(inputs, run.population),
        verdict=_verdict(run),
        recipes=tuple(page.RecipeNote(name, top5) for name, top5 in published.items()),
        results=run.results,
        charts=page.Charts(
            accuracy=accuracy_chart(run.results, run.recipes, settings.baseline),
            curves=curve_charts(inputs, run.recipes),
            sizes=size_chart(run.classes),
            weights=weight_chart(run.training),
        ),
        class_split=run.results[0].split if run.hits else None,
        classes=tuple(run.classes),
        pictures=class_pictures(inputs, run.population, run.training, [run.classes[k] for k in shown], settings.sheets),
        omitted=tuple(run.classes[k].name for k in omitted),
        quarantine=_quarantine(run),
        tables=_table_patterns(store, inputs),
        stages=costs_of(store),
        missing=_missing(run),
    )


def _read(inputs: ReportInputs, recipes: list[str], settings: ReportSettings) -> _Run:
    population = population_of(inputs)
    training = read_training(inputs, population)
    summary = read_table(inputs.summary.table("summary")).to_pylist() if inputs.summary else []
    tables = split_results(summary, recipes, settings.baseline)
    hits = {name: read_hits(found, tables[0].split) for name, found in inputs.predictions.items() if tables and found}
    names = catalogue_of(inputs)
    classes = census.class_rows(
        names,
        training.class_index,
        population.class_index[(population.split == TRAIN) & ~population.usable],
        training.weight,
        None if training.cluster is None else census.cluster_counts(training.class_index, training.cluster, len(names)),
        [class_top1(hits[name], len(names)) if name in hits else None for name in recipes],
    )
    return _Run(inputs, settings, recipes, population, training, tables, hits, classes)


def _verdict(run: _Run) -> page.Verdict:
    baseline, weight = run.settings.baseline, run.training.weight
    best = best_recipe(run.results, baseline)
    light = None
    if weight is not None and len(weight):
        light = float(census.light_images(weight, run.training.class_index).mean())
    compared = best is not None and best in run.hits and baseline in run.hits
    return page.Verdict(
        baseline=baseline,
        weighed=run.inputs.weighed.partition if run.inputs.weighed else None,
        light=light,
        best=best,
        split=run.results[0].split if run.results else None,
        gain=paired_gain(run.hits[best], run.hits[baseline]) if best and compared else None,
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


def _table_patterns(store: Store, inputs: ReportInputs) -> tuple[tuple[str, str], ...]:
    """What each table is called on the page, and the pattern of its parts below the store."""
    named = [(inputs.weighed, "manifest"), (inputs.summary, "summary"), (inputs.kmeans, "evidence")]
    named += [(seed, "predictions") for seeds in inputs.predictions.values() for seed in seeds]
    named += [(listing, "listing") for listing in inputs.listings] + [(images, "images") for images in inputs.images]
    return tuple(
        (
            artifact.stage if artifact.partition == WHOLE else f"{artifact.stage} of {artifact.partition}",
            f"{artifact.table(table).relative_to(store.root).as_posix()}/*.parquet",
        )
        for artifact, table in named
        if artifact is not None
    )


def _missing(run: _Run) -> tuple[str, ...]:
    """A sentence for everything that no run has made yet."""
    inputs, splits = run.inputs, {table.split for table in run.results}
    told = [] if inputs.listings else ["No crawl has been listed yet."]
    pairs = zip(inputs.listings, inputs.images, strict=True)
    told += [f"Crawl {a.partition} is listed but not decoded: it counts nowhere below." for a, b in pairs if b is None]
    evaluated = {row.recipe for table in run.results for row in table.rows}
    told += [f"Recipe {name} has not been trained and scored." for name in run.recipes if name not in evaluated]
    if run.results and "test" not in splits:
        told.append("There is no test split: every accuracy, the gain too, is on val, where recipes are also compared.")
    if run.results and "val" not in splits:
        told.append("There is no val split: the best recipe was chosen on test itself, which flatters its gain.")
    if inputs.kmeans is None:
        told.append("Classes have not been clustered, so no clusters are shown.")
    if inputs.weighed is None and any(name != run.settings.baseline for name in run.recipes):
        told.append("No recipe that weighs images has a manifest, so no weights are shown.")
    return tuple(told)
