"""Stage `summary`: the result table, every recipe and seed on every clean split."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.evaluation import Score, label_ranks, score
from pipeline.records import SUMMARY
from pipeline.storage.artifacts import WHOLE, Artifact, Draft, Facts, Store, identity, inputs_of, seeded
from pipeline.storage.tables import iterate_table, write_table

STAGE = "summary"
CODE_VERSION = "1"

Row = dict[str, str | int | float]


def make_summary(store: Store, recipes: Sequence[str], seeds: Sequence[int]) -> Artifact:
    """Score the current predictions of the recipes.

    Raises:
        NotMadeError: a recipe has no predictions for one of the seeds yet.
    """
    predictions = [(recipe, store.current("predictions", seeded(recipe, seed))) for recipe in recipes for seed in seeds]

    def build(draft: Draft) -> Facts:
        rows = [row for recipe, artifact in predictions for row in score_predictions(recipe, artifact)]
        path = draft.table("summary") / "part-00000.parquet"
        table = pa.Table.from_pylist(rows, schema=SUMMARY)
        draft.finish(0, {path: write_table(path, SUMMARY, [table])})
        return {"rows": len(rows), "best": best(rows)}

    inputs = inputs_of([artifact for _, artifact in predictions])
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, {}, inputs), build)


def score_predictions(recipe: str, predictions: Artifact) -> list[Row]:
    """One row of SUMMARY per seed and split, in that order; logits are streamed."""
    found: dict[tuple[int, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    for batch in iterate_table(predictions.table("predictions")):
        label = batch.column("class_index").to_numpy()
        logits = batch.column("logits").flatten().to_numpy(zero_copy_only=False).reshape(len(label), -1)
        rank = label_ranks(logits, label)
        seed, split = batch.column("seed").to_numpy(), np.asarray(batch.column("split").to_pylist())
        for key in sorted({*zip(seed.tolist(), split.tolist(), strict=True)}):
            chosen = (seed == key[0]) & (split == key[1])
            found.setdefault(key, []).append((rank[chosen], label[chosen]))
    rows: list[Row] = []
    for (seed_number, split_name), pieces in sorted(found.items()):
        result: Score = score(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
        rows.append({"recipe": recipe, "seed": seed_number, "split": split_name, **dataclasses.asdict(result)})
    return rows


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
