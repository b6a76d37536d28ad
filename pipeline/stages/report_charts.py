"""The report's charts, drawn from what a run left."""

from collections.abc import Sequence

import numpy as np

from pipeline.report import census, charts
from pipeline.report.page import Chart, TricksPart
from pipeline.report.results import SplitResults
from pipeline.report.sheets import data_uri
from pipeline.report.tricks import Tricks, gain_bars
from pipeline.stages.report_evidence import Training
from pipeline.stages.report_inputs import ReportInputs
from pipeline.stages.report_scores import read_curves

WIDEST_WEIGHT = 3.0  # of the class's mean; the weight chart's last bar holds everything heavier


def accuracy_chart(results: Sequence[SplitResults], recipes: Sequence[str], baseline: str) -> Chart | None:
    """Top-1 of each recipe and seed on the first split, or None without results."""
    if not results:
        return None
    rows = results[0].rows
    dots = [charts.Dots(recipes.index(row.recipe), row.recipe, row.top1) for row in rows]
    reference = next((row.scores[0].mean for row in rows if row.recipe == baseline), None)
    return chart_of(
        charts.seed_dots(dots, reference), "Top-1 of each recipe and seed; the table above holds the figures"
    )


def curve_charts(inputs: ReportInputs, recipes: Sequence[str], only: str | None = None) -> tuple[Chart, ...]:
    """Accuracy on val and training loss over epochs; those that any training has.

    Args:
        inputs: what is there.
        recipes: in an order that picks their colours.
        only: the recipe whose trainings are drawn; None for all.
    """
    drawn = []
    for value, alt, percent in (("val_top1", "Top-1 on val after each epoch", True), ("loss", "Training loss", False)):
        curves = read_curves(inputs, recipes, value, only)
        if curves:
            drawn.append(chart_of(charts.learning_curves(curves, recipes, percent), alt))
    return tuple(drawn)


def size_chart(classes: Sequence[census.ClassRow]) -> Chart | None:
    """How many classes are how large, or None without an image."""
    sizes = np.array([row.usable for row in classes], np.int64)
    if not sizes.any():
        return None
    counts, edges = np.histogram(sizes, bins=min(24, max(6, len(sizes) // 2)))
    labels = ("usable training images in a class", "classes")
    alt = f"Classes by size, from {sizes.min():,} to {sizes.max():,} usable training images"
    return chart_of(charts.histogram(counts.tolist(), edges.tolist(), labels, -1.0), alt)


def weight_chart(training: Training) -> Chart | None:
    """How many images would have which weight relative to their class's mean without their doubles.

    None where nothing weighs.
    """
    if training.weights is None or not training.weights.counted.any():
        return None
    weight = training.weights.alone
    mean = census.known_means(weight, training.order.class_index)
    known = np.isfinite(weight)
    weight, mean = weight[known], mean[known]
    relative = np.divide(weight, mean, out=np.zeros(len(mean)), where=mean > 0)
    top = min(WIDEST_WEIGHT, max(1.0, float(np.ceil(relative.max() * 10)) / 10))
    counts, edges = np.histogram(relative.clip(max=top), bins=round(top * 10), range=(0.0, top))
    heavier = f" ({WIDEST_WEIGHT:g} and more in the last bar)" if relative.max() > WIDEST_WEIGHT else ""
    labels = (f"weight as a multiple of the class's mean{heavier}", "images")
    alt = "Usable training images by their weight relative to their class's mean"
    return chart_of(charts.histogram(counts.tolist(), edges.tolist(), labels, census.LIGHT), alt)


def tricks_part(told: Tricks | None) -> TricksPart | None:
    """The source's tables with a bar chart of the gains in top-5 and, where anything was run, of those in top-1."""
    if told is None:
        return None
    drawn = [(gain_bars(told, metric), name) for metric, name in (("top5", "top-5"), ("top1", "top-1"))]
    gains = (chart_of(charts.gain_chart(bars), f"Gain in {name}, in points") for bars, name in drawn if bars)
    return TricksPart(told, tuple(gains))


def chart_of(svg: bytes, alt: str) -> Chart:
    """A drawn chart with its words, as the page shows it."""
    return Chart(data_uri(svg, "image/svg+xml"), alt)
