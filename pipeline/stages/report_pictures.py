"""The report's charts and contact sheets, drawn from what a run left."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import class_means
from pipeline.report import census, charts
from pipeline.report.page import Chart, ClassPictures, counted
from pipeline.report.results import SplitResults
from pipeline.report.sheets import Caption, Sheet, SheetSettings, data_uri, extremes, make_sheet, sample
from pipeline.stages.population import Population
from pipeline.stages.report_inputs import ReportInputs, Training, read_curves, rows_at
from pipeline.storage.arrays import ArrayShards

WIDEST_WEIGHT = 3.0  # of the class's mean; the weight chart's last bar holds everything heavier
END_COLUMNS, CLUSTER_COLUMNS = 8, 4  # pictures in a row of a sheet


def accuracy_chart(results: Sequence[SplitResults], recipes: Sequence[str], baseline: str) -> Chart | None:
    """Top-1 of each recipe and seed on the first split, or None without results."""
    if not results:
        return None
    rows = results[0].rows
    dots = [charts.Dots(recipes.index(row.recipe), row.recipe, row.top1) for row in rows]
    reference = next((row.scores[0].mean for row in rows if row.recipe == baseline), None)
    return _chart(charts.seed_dots(dots, reference), "Top-1 of each recipe and seed; the table above holds the figures")


def curve_charts(inputs: ReportInputs, recipes: Sequence[str]) -> tuple[Chart, ...]:
    """Accuracy on val and training loss over epochs; those that any training has."""
    drawn = []
    for value, alt, percent in (("val_top1", "Top-1 on val after each epoch", True), ("loss", "Training loss", False)):
        curves = read_curves(inputs, recipes, value)
        if curves:
            drawn.append(_chart(charts.learning_curves(curves, recipes, percent), alt))
    return tuple(drawn)


def size_chart(classes: Sequence[census.ClassRow]) -> Chart | None:
    """How many classes are how large, or None without an image."""
    sizes = np.array([row.usable for row in classes], np.int64)
    if not sizes.any():
        return None
    counts, edges = np.histogram(sizes, bins=min(24, max(6, len(sizes) // 2)))
    labels = ("usable training images in a class", "classes")
    alt = f"Classes by size, from {sizes.min():,} to {sizes.max():,} usable training images"
    return _chart(charts.histogram(counts.tolist(), edges.tolist(), labels, -1.0), alt)


def weight_chart(training: Training) -> Chart | None:
    """How many images have which weight relative to their class's mean, or None where nothing weighs."""
    if training.weight is None or not training.weight.any():
        return None
    mean = class_means(training.weight, training.class_index)
    relative = np.divide(training.weight, mean, out=np.zeros(len(mean)), where=mean > 0)
    top = min(WIDEST_WEIGHT, max(1.0, float(np.ceil(relative.max() * 10)) / 10))
    counts, edges = np.histogram(relative.clip(max=top), bins=round(top * 10), range=(0.0, top))
    heavier = f" ({WIDEST_WEIGHT:g} and more in the last bar)" if relative.max() > WIDEST_WEIGHT else ""
    labels = (f"weight as a multiple of the class's mean{heavier}", "images")
    alt = "Usable training images by their weight relative to their class's mean"
    return _chart(charts.histogram(counts.tolist(), edges.tolist(), labels, census.LIGHT), alt)


def _chart(svg: bytes, alt: str) -> Chart:
    return Chart(data_uri(svg, "image/svg+xml"), alt)


@dataclass(frozen=True)
class _Group:
    """Images that share a sheet."""

    name: str
    note: str
    members: npt.NDArray[np.int64]  # positions among the training images
    columns: int


def class_pictures(
    inputs: ReportInputs,
    population: Population,
    training: Training,
    classes: Sequence[census.ClassRow],
    settings: SheetSettings,
) -> tuple[ClassPictures, ...]:
    """Contact sheets of some classes; only the pictures shown are read.

    Args:
        inputs: where pixels and captions lie.
        population: all images.
        training: the usable training images.
        classes: which to picture; each has usable images.
        settings: how many pictures, how large.
    """
    if not classes:
        return ()
    listings, images = inputs.decoded
    own = [np.flatnonzero(training.class_index == row.index) for row in classes]
    ends = [_ends(training, members, settings) for members in own]
    clusters = [_clusters(training, members, settings) for members in own]
    every = np.unique(np.concatenate([group.members for groups in ends + clusters for group in groups]))
    texts = rows_at(listings, "listing", ("path", "title", "rank"), training.position[every])
    shards = ArrayShards([artifact.table("pixels") for artifact in images])

    def draw(group: _Group) -> Sheet:
        at = training.position[group.members]
        pixels = shards.gather(population.shard[at], population.row[at])
        weight = [None] * len(at) if training.weight is None else training.weight[group.members].tolist()
        told = [texts[k] for k in np.searchsorted(every, group.members)]
        captions = [
            Caption(text["path"], text["title"] or "", text["rank"], value)
            for text, value in zip(told, weight, strict=True)
        ]
        return make_sheet(group.name, group.note, pixels, captions, group.columns, settings)

    return tuple(
        ClassPictures(row, tuple(map(draw, first)), tuple(map(draw, second)), max(0, (row.clusters or 0) - len(second)))
        for row, first, second in zip(classes, ends, clusters, strict=True)
    )


def _ends(training: Training, members: npt.NDArray[np.int64], settings: SheetSettings) -> list[_Group]:
    """The heaviest and the lightest of a class; where all weigh the same, or nothing weighs, a fair sample."""
    weight = None if training.weight is None else training.weight[members]
    if weight is None or weight.min() == weight.max():
        note = "" if weight is None else f"all weigh {weight[0]:.2f}"
        return [_Group("A sample", note, sample(members, training.image_id, settings.ends), END_COLUMNS)]
    pairs = zip(("Heaviest", "Lightest"), extremes(weight, training.image_id[members], settings.ends), strict=True)
    return [_Group(name, _weights(weight[chosen]), members[chosen], END_COLUMNS) for name, chosen in pairs]


def _weights(weight: npt.NDArray[np.float64]) -> str:
    first, last = f"{weight[0]:.2f}", f"{weight[-1]:.2f}"
    return f"weight {first}" if first == last else f"weight {first} to {last}"


def _clusters(training: Training, members: npt.NDArray[np.int64], settings: SheetSettings) -> list[_Group]:
    """The largest clusters of a class, largest first."""
    if training.cluster is None:
        return []
    cluster = training.cluster[members]
    numbers, sizes = np.unique(cluster[cluster >= 0], return_counts=True)
    groups = []
    for k in np.argsort(-sizes, kind="stable")[: settings.clusters]:
        inside = members[cluster == numbers[k]]
        mean = f", weight {training.weight[inside].mean():.2f}" if training.weight is not None else ""
        note = f"{100 * sizes[k] / len(members):.0f}%, {counted(int(sizes[k]), 'image')}{mean}"
        chosen = sample(inside, training.image_id, settings.per_cluster)
        groups.append(_Group(f"Cluster {numbers[k]}", note, chosen, CLUSTER_COLUMNS))
    return groups
