"""Stage `summary`: every recipe, ensemble and seed on every clean split; how sure that is; what is mixed up."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.chain import chain_rows
from pipeline.evaluation import Judged, confusions, join, judge, score
from pipeline.intervals import Shares, shares_of, sureties
from pipeline.result_tables import CHAIN, CONFUSIONS, INTERVALS, SUMMARY, TRICKS
from pipeline.stages.predicted import logits_of
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of, seeded
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import iterate_table, part_path, write_table
from pipeline.tricks import Bag, trick_rows

STAGE = "summary"
CODE_VERSION = "3"
BASELINE: Final = "baseline"  # the recipe that gains are counted from
PAIRS = 100  # of classes told of each recipe and split
LOGIT_ROWS = 4096  # predictions read at a time: 40 MB at 5,000 classes

Row = dict[str, Any]


def make_summary(store: Store, recipes: Sequence[str], seeds: Sequence[int], bag: Bag | None = None) -> Artifact:
    """Score the current predictions of the recipes.

    Args:
        store: where they lie.
        recipes: and ensembles.
        seeds: of each.
        bag: what the source published, and what the recipes are in it; None where that is not asked for.

    Raises:
        NotMadeError: a recipe has no predictions for one of the seeds yet.
    """
    bag = bag or Bag()
    predictions = {recipe: [store.current("predictions", seeded(recipe, seed)) for seed in seeds] for recipe in recipes}

    def build(draft: Draft) -> Facts:
        rows: list[Row] = []
        mixed: list[Row] = []
        shares: dict[str, dict[str, Shares]] = {}  # by split and recipe
        for recipe, artifacts in predictions.items():
            judged = [judged_by(artifact) for artifact in artifacts]
            rows += [row for seed, own in zip(seeds, judged, strict=True) for row in score_rows(recipe, seed, own)]
            for split in sorted({split for own in judged for split in own}):
                together = [own[split] for own in judged if split in own]
                shares.setdefault(split, {})[recipe] = shares_of(together)
                pairs = map(dataclasses.asdict, confusions(join(together), PAIRS))
                mixed += [{"recipe": recipe, "split": split} | pair for pair in pairs]
        sure = [row for split, own in sorted(shares.items()) for row in interval_rows(split, own)]
        tables = {
            "summary": (SUMMARY, rows),
            "intervals": (INTERVALS, sure),
            "confusions": (CONFUSIONS, mixed),
            "tricks": (TRICKS, trick_rows(bag, rows, sure, BASELINE)),
            "chain": (CHAIN, chain_rows(shares, bag, BASELINE)),
        }
        draft.finish(0, _write(draft, tables))
        return {"rows": len(rows), "best": best(rows)}

    inputs = inputs_of([artifact for artifacts in predictions.values() for artifact in artifacts])
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, bag, inputs), build)


def judged_by(predictions: Artifact) -> dict[str, Judged]:
    """What a model said of each split; logits are streamed."""
    found: dict[str, list[Judged]] = {}
    columns = ("image_id", "split", "class_index", "logits")
    for batch in iterate_table(predictions.table("predictions"), columns, LOGIT_ROWS):
        own = judge(batch["image_id"].to_numpy(), batch["class_index"].to_numpy(), logits_of(batch))
        split = np.asarray(batch["split"].to_pylist())
        for name in sorted({*split.tolist()}):
            found.setdefault(name, []).append(own.take(split == name))
    return {name: join(parts) for name, parts in sorted(found.items())}


def score_rows(recipe: str, seed: int, judged: Mapping[str, Judged]) -> list[Row]:
    """One row of SUMMARY per split."""
    return [
        {"recipe": recipe, "seed": seed, "split": split}
        | dataclasses.asdict(score(own.rank, own.label))
        | {"log_loss": float(own.surprise.mean()), "calibration_error": own.calibration_error}
        for split, own in judged.items()
    ]


def interval_rows(split: str, shares: Mapping[str, Shares]) -> list[Row]:
    """Rows of INTERVALS, one for each recipe and metric."""
    rows: list[Row] = []
    for recipe, sure in sureties(shares, BASELINE).items():
        for metric, own in sure.metrics.items():
            row: Row = {"recipe": recipe, "split": split, "metric": metric, "images": sure.images}
            row |= dataclasses.asdict(own)
            if metric in sure.gains:
                gain = sure.gains[metric]
                row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
            rows.append(row)
    return rows


def _write(draft: Draft, tables: Mapping[str, tuple[pa.Schema, list[Row]]]) -> dict[Path, int]:
    return {
        path: write_table(path, schema, [pa.Table.from_pylist(rows, schema=schema)])
        for name, (schema, rows) in tables.items()
        for path in [part_path(draft.table(name), 0)]
    }


def best(rows: Sequence[Row]) -> Row | None:
    """The recipe with the highest top-1 on val, mean over its seeds, and what it reaches on test.

    With one of the two splits, that split both chooses and reports.
    """
    means: dict[str, dict[str, float]] = {}
    for split in ("val", "test"):
        found: dict[str, list[float]] = {}
        for row in rows:
            if row["split"] == split:
                found.setdefault(str(row["recipe"]), []).append(float(row["top1"]))
        if found:
            means[split] = {recipe: float(np.mean(values)) for recipe, values in found.items()}
    if not means:
        return None
    chosen_on, told_on = next(iter(means)), list(means)[-1]
    winner = max(means[chosen_on], key=lambda recipe: means[chosen_on][recipe])
    return {"recipe": winner, "chosen_on": chosen_on, "split": told_on, "top1": means[told_on][winner]}
