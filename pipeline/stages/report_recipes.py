"""The report's recipes: what each makes of the images and of the classes, and what its models reached."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.report import census
from pipeline.report.choice import Choice, extremes, few_of_each
from pipeline.report.page import Change, RecipeNote, RecipePage
from pipeline.report.sheets import Sheet
from pipeline.stages.report_charts import curve_charts, weight_chart
from pipeline.stages.report_evidence import Training, read_weights
from pipeline.stages.report_read import Run
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import iterate_table

ACROSS = 8  # pictures in a row of a sheet
SHOWN = 32  # of the heaviest, and as many of the lightest
EACH = 4  # of one class
CLASSES = 10  # told of each kind

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RecipeWeights:
    """What a recipe makes of the images of each of C classes."""

    mean: Floats  # (C,) mean weight of the usable training images, NaN for a class without
    light: Floats  # (C,) share of them that look wrong


def recipe_page(run: Run, note: RecipeNote) -> tuple[RecipePage, RecipeWeights | None]:
    """One recipe, and what its page and those of the classes say of the classes; None without a manifest."""
    manifest = run.inputs.manifests.get(note.name)
    told: dict[str, Any] = dict.fromkeys(("kept", "light", "weights", "heaviest", "lightest"))
    told |= dict.fromkeys(("lifted", "lowered", "doubted"), ()) | {"moved": 0}
    classes = None
    if manifest is not None and len(run.training.order):
        classes, told = _weighed(run, manifest)
    asked = note.name in run.inputs.asked
    page = RecipePage(
        note=note,
        baseline=run.baseline,
        results=tuple((table, row) for table in run.results for row in table.rows if row.recipe == note.name),
        curves=curve_charts(run.inputs, run.recipes, note.name) if asked else (),
        **told,
    )
    return page, classes


def _weighed(run: Run, manifest: Artifact) -> tuple[RecipeWeights, dict[str, Any]]:
    order = run.training.order
    shown = run.training.weights if manifest is run.inputs.weighed else None
    weights = shown or read_weights(manifest, order, run.doubles)
    light = census.light_images(weights.alone, order.class_index)
    size = len(order.sizes)
    count = np.where(order.sizes, order.sizes, np.nan)
    classes = RecipeWeights(
        np.bincount(order.class_index, weights=weights.counted, minlength=size) / count,
        np.bincount(order.class_index, weights=light, minlength=size) / count,
    )
    heaviest, lightest = _ends(run, weights)
    told = {
        "kept": float((weights.counted > 0).mean()),
        "light": float(light.mean()),
        "moved": _moved(manifest),
        "weights": weight_chart(Training(order, weights)),
        "heaviest": heaviest,
        "lightest": lightest,
        "lifted": _changes(run, classes, -classes.mean),
        "lowered": _changes(run, classes, classes.mean),
        "doubted": _changes(run, classes, -classes.light),
    }
    return classes, told


def _ends(run: Run, weights: census.Weights) -> tuple[Sheet | None, Sheet | None]:
    """The heaviest and the lightest images of all classes, against their class's mean; None where all are alike."""
    order = run.training.order
    mean = census.known_means(weights.alone, order.class_index)
    relative = np.divide(weights.alone, mean, out=np.full(len(mean), np.nan), where=mean > 0)
    if not np.isfinite(relative).any() or np.nanmax(relative) - np.nanmin(relative) < 1e-6:
        return None, None
    ends = extremes(relative, order.image_id, len(relative), run.training.group)
    choices = []
    for name, whole in zip(("Heaviest", "Lightest"), ends, strict=True):
        rows = few_of_each(whole, order.class_index[whole], EACH)[:SHOWN]
        labels = tuple(run.names[k] for k in order.class_index[rows].tolist())
        note = f"{relative[rows[0]]:.2f} to {relative[rows[-1]]:.2f} of their class's mean" if len(rows) else ""
        choices.append(Choice(name, note, order.members[rows], ACROSS, labels))
    if not all(len(choice.position) for choice in choices):
        return None, None
    heaviest, lightest = run.gallery_of(weights.counted).sheets(choices)
    return heaviest, lightest


def _moved(manifest: Artifact) -> int:
    """Images for which the recipe names another class."""
    batches = iterate_table(manifest.table("manifest"), ("suggested_class",))
    return sum(batch.num_rows - batch["suggested_class"].null_count for batch in batches)


def _changes(run: Run, classes: RecipeWeights, key: Floats) -> tuple[Change, ...]:
    """The classes of the smallest key; none where all have the same."""
    known = np.flatnonzero(np.isfinite(key))
    if not len(known) or np.ptp(key[known]) < 1e-6:
        return ()
    order = known[np.argsort(key[known], kind="stable")][:CLASSES].tolist()
    return tuple(Change(run.classes[k], float(classes.mean[k]), float(classes.light[k])) for k in order)
