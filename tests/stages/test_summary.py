"""The result table from stored logits, by hand."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.records import predictions
from pipeline.stages.summary import Row, best, make_summary
from pipeline.storage.artifacts import Draft, Facts, NotMadeError, Store, seeded
from pipeline.storage.tables import read_table, write_table


def predict(store: Store, recipe: str, seed: int, first_guess: list[int]) -> None:
    """Predictions for four test images and one val image of classes 0, 0, 0, 1 and 1."""
    schema = predictions(7)
    logits = np.zeros((5, 7), np.float16)
    logits[np.arange(5), first_guess] = 1

    def build(draft: Draft) -> Facts:
        path = draft.table("predictions") / "part-00000.parquet"
        columns = [
            pa.array(range(5), pa.int64()),
            pa.array([seed] * 5, pa.int32()),
            pa.array(["test"] * 4 + ["val"]),
            pa.array([0, 0, 0, 1, 1], pa.int32()),
            pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), 7),
        ]
        draft.finish(0, {path: write_table(path, schema, [pa.record_batch(columns, schema=schema)])})
        return {}

    store.make("predictions", seeded(recipe, seed), f"{first_guess}".replace(" ", "")[1:-1].replace(",", ""), build)


def test_scores_by_hand(tmp_path: Path) -> None:
    store = Store(tmp_path)
    predict(store, "baseline", 0, [0, 0, 1, 2, 1])
    predict(store, "baseline", 1, [0, 0, 0, 1, 0])
    predict(store, "kmeans-size", 0, [0, 0, 0, 1, 1])
    predict(store, "kmeans-size", 1, [0, 0, 0, 1, 1])
    artifact = make_summary(store, ["baseline", "kmeans-size"], [0, 1])
    rows = {(r["recipe"], r["seed"], r["split"]): r for r in read_table(artifact.table("summary")).to_pylist()}
    assert len(rows) == 8
    first = rows["baseline", 0, "test"]
    assert (first["images"], first["top1"], first["class_top1"]) == (4, 0.5, pytest.approx((2 / 3 + 0) / 2))
    assert first["top5"] == 1.0  # a tie stands in class order: class 1 is third behind 2 and 0
    assert rows["baseline", 1, "val"]["top1"] == 0
    assert artifact.facts["best"] == {"recipe": "kmeans-size", "chosen_on": "val", "split": "test", "top1": 1.0}


def test_the_best_recipe_is_chosen_on_val_and_told_on_test() -> None:
    rows: list[Row] = [
        {"recipe": "a", "split": "val", "top1": 0.9},
        {"recipe": "a", "split": "test", "top1": 0.2},
        {"recipe": "b", "split": "val", "top1": 0.8},
        {"recipe": "b", "split": "test", "top1": 0.7},
    ]
    assert best(rows) == {"recipe": "a", "chosen_on": "val", "split": "test", "top1": 0.2}
    assert best(rows[1::2]) == {"recipe": "b", "chosen_on": "test", "split": "test", "top1": 0.7}
    assert best([]) is None


def test_a_missing_seed_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    predict(store, "baseline", 0, [0, 0, 1, 2, 1])
    with pytest.raises(NotMadeError, match="predictions of baseline@1"):
        make_summary(store, ["baseline"], [0, 1])
