"""What several pages of the report are made from, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.report import census
from pipeline.report.overview import ClassFigure
from pipeline.report.page import Link, RecipeNote
from pipeline.report.results import SplitResults, best_recipe, class_top1, split_results
from pipeline.report.sheets import SheetSettings
from pipeline.stages.classes import ClassOrder
from pipeline.stages.population import TRAIN, Population
from pipeline.stages.report_evidence import Copies, Evidence, Training, class_figures, read_weights
from pipeline.stages.report_gallery import Gallery
from pipeline.stages.report_inputs import ReportInputs, catalogue_of, population_of
from pipeline.stages.report_scores import read_hits, read_scores
from pipeline.storage.arrays import scratch_array


@dataclass(frozen=True)
class Run:
    """Everything that more than one page is made from."""

    inputs: ReportInputs
    notes: tuple[RecipeNote, ...]  # the recipes asked for, in order
    others: tuple[RecipeNote, ...]  # those that only have a manifest
    baseline: str
    sheets: SheetSettings
    population: Population
    training: Training
    doubles: Copies | None
    evidence: Evidence
    figures: tuple[ClassFigure, ...]
    results: tuple[SplitResults, ...]
    reached: Mapping[str, tuple[float | None, ...]]  # recipe -> (C,) top-1 on the first split
    classes: list[census.ClassRow]
    wnids: list[str]

    @property
    def recipes(self) -> list[str]:
        """The names of those asked for."""
        return [note.name for note in self.notes]

    @cached_property
    def names(self) -> list[str]:
        """Of all classes."""
        return [row.name for row in self.classes]

    @property
    def split(self) -> str | None:
        """The split that figures of classes are of; None where nothing was scored."""
        return self.results[0].split if self.results else None

    @property
    def best(self) -> str | None:
        """The best recipe that is not the baseline."""
        return best_recipe(self.results, self.baseline)

    @property
    def weighed(self) -> str | None:
        """The recipe whose weights are shown."""
        return self.inputs.weighed.partition if self.inputs.weighed else None

    def link(self, class_index: int) -> Link:
        """To a class."""
        return Link(class_index, self.classes[class_index].name)

    @cached_property
    def judging(self) -> ClassFigure | None:
        """The figure that says best how right the labels of each class are."""
        return next((figure for figure in self.figures if figure.judges), None)

    @cached_property
    def places(self) -> list[npt.NDArray[np.int64]]:
        """Of each figure (C,) the place of each class, 1 for the lowest; 0 where nothing is known."""
        return [_places(figure.values) for figure in self.figures]

    @cached_property
    def gallery(self) -> Gallery:
        """The pictures, with the weights of the recipe that is shown."""
        return self.gallery_of(self.training.weight)

    def gallery_of(self, weight: npt.NDArray[np.float64] | None) -> Gallery:
        """The pictures, each with its weight: (t,) in the order of the evidence, or None."""
        spread = scratch_array((len(self.population.image_id),), np.float32)
        spread[:] = np.nan
        if weight is not None:
            spread[self.training.order.members] = weight
        listings, images = self.inputs.decoded
        return Gallery(listings, images, self.inputs.features, self.population, spread, self.sheets)


def read_run(inputs: ReportInputs, notes: Sequence[RecipeNote], baseline: str, sheets: SheetSettings) -> Run:
    """Read what is there.

    Args:
        inputs: what is there.
        notes: of all recipes that may have a page; those asked for have results in `inputs`.
        baseline: the recipe that gains are counted from.
        sheets: what is pictured.
    """
    recipes = [note.name for note in notes if note.name in inputs.asked]
    population, names = population_of(inputs), catalogue_of(inputs.listings)
    order = ClassOrder.of(population, len(names))
    found = inputs.evidence.get("duplicates")
    doubles = Copies.read(found, order) if found is not None else None
    weights = read_weights(inputs.weighed, order, doubles) if inputs.weighed is not None else None
    training = Training(order, weights, doubles.group if doubles is not None else None)
    evidence = Evidence(inputs.evidence, order)
    summary = read_scores(inputs.summary)
    results = split_results(summary["summary"], summary["intervals"], recipes)
    reached = _reached(inputs, results, len(names))
    clusters = None
    if evidence.has("cluster"):
        clusters = census.cluster_counts(order.class_index, evidence.column("cluster"), len(names))
    quarantined = population.class_index[(population.split == TRAIN) & ~population.usable]
    top1 = [np.array(reached[name], np.float64) if name in reached else None for name in recipes]
    return Run(
        inputs=inputs,
        notes=tuple(note for note in notes if note.name in inputs.asked),
        others=tuple(note for note in notes if note.name not in inputs.asked),
        baseline=baseline,
        sheets=sheets,
        population=population,
        training=training,
        doubles=doubles,
        evidence=evidence,
        figures=class_figures(evidence),
        results=results,
        reached=reached,
        classes=census.class_rows(names, order.class_index, quarantined, weights, clusters, top1),
        wnids=[name.wnid for name in names],
    )


def _reached(
    inputs: ReportInputs, results: Sequence[SplitResults], classes: int
) -> dict[str, tuple[float | None, ...]]:
    if not results:
        return {}
    hits = {name: read_hits(found, results[0].split) for name, found in inputs.predictions.items() if found}
    shares = {name: class_top1(own, classes).tolist() for name, own in hits.items()}
    return {name: tuple(None if np.isnan(one) else one for one in own) for name, own in shares.items()}


def _places(values: Sequence[float | None]) -> npt.NDArray[np.int64]:
    known = np.array([np.nan if value is None else value for value in values], np.float64)
    order = np.argsort(known, kind="stable")[: int(np.isfinite(known).sum())]
    places = np.zeros(len(known), np.int64)
    places[order] = np.arange(1, len(order) + 1)
    return places
