"""What the trainings of a run left: which images each recipe recognises, and its learning curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pipeline.evaluation import label_ranks
from pipeline.report.charts import Curve
from pipeline.report.page import Mixed, MixedPair
from pipeline.report.results import Hits, SplitResults, best_recipe, hits_of
from pipeline.stages.predicted import logits_of
from pipeline.stages.report_inputs import ReportInputs
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import iterate_table, read_table

MIXED_PAIRS = 12  # of classes told of
LOGIT_ROWS = 4096  # predictions read at a time: 40 MB at 5,000 classes


def read_hits(predictions: Sequence[Artifact], split: str) -> Hits:
    """Which images of a split the recipe's models recognise at first guess; logits are streamed."""
    pieces: list[tuple[npt.NDArray[Any], ...]] = []
    columns = ("image_id", "split", "class_index", "logits")
    folders = [artifact.table("predictions") for artifact in predictions]
    for batch in (batch for folder in folders for batch in iterate_table(folder, columns, LOGIT_ROWS)):
        own = batch.filter(pc.equal(batch["split"], split))
        if own.num_rows:
            label = own["class_index"].to_numpy()
            pieces.append((own["image_id"].to_numpy(), label, label_ranks(logits_of(own), label) == 0))
    if not pieces:
        return hits_of(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    return hits_of(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def read_scores(summary: Artifact | None) -> dict[str, list[dict[str, Any]]]:
    """The rows of SUMMARY and INTERVALS by table; none where nothing was scored."""
    return {name: read_table(summary.table(name)).to_pylist() if summary else [] for name in ("summary", "intervals")}


def mixed_up(
    summary: Artifact | None, results: Sequence[SplitResults], baseline: str, names: Sequence[str]
) -> Mixed | None:
    """What the best recipe, or the baseline alone, mixes up most on the first split; None where nothing was scored.

    Args:
        summary: of the scores.
        results: of the same.
        baseline: the recipe that gains are counted from.
        names: of the classes.
    """
    if summary is None or not results:
        return None
    recipe, split = best_recipe(results, baseline) or baseline, results[0].split
    rows = read_table(summary.table("confusions")).to_pylist()
    own = [row for row in rows if (row["recipe"], row["split"]) == (recipe, split)][:MIXED_PAIRS]
    told = [(names[row["class_index"]], names[row["guessed_class"]], row["times"], row["share"]) for row in own]
    return Mixed(recipe, tuple(MixedPair(*each) for each in told))


def read_curves(inputs: ReportInputs, recipes: Sequence[str], value: str, only: str | None = None) -> list[Curve]:
    """One curve per training, or per training of `only`, that has finished an epoch and knows `value`."""
    curves = []
    for recipe, model in inputs.models:
        if only not in (None, recipe):
            continue
        table = read_table(model.table("curve"), ("epoch", value)).sort_by("epoch").drop_null()
        if table.num_rows:
            points = (tuple(map(float, table[name].to_pylist())) for name in ("epoch", value))
            curves.append(Curve(recipes.index(recipe), *points))
    return curves
