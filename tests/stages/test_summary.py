"""The result table from stored logits, by hand."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.result_tables import CHAIN, CONFUSIONS, INTERVALS, TRICKS
from pipeline.stages.summary import Row, best, make_summary
from pipeline.storage.artifacts import NotMadeError, Store, seeded
from pipeline.storage.tables import read_table
from pipeline.tricks import Bag, PublishedRow, PublishedTable
from tests.stages.predicted_store import add_predictions


def predict(store: Store, recipe: str, seed: int, first_guess: list[int]) -> None:
    """Predictions for four test images and one val image of classes 0, 0, 0, 1 and 1."""
    logits = np.zeros((5, 7), np.float16)
    logits[np.arange(5), first_guess] = 1
    add_predictions(store, seeded(recipe, seed), logits, ["test"] * 4 + ["val"], [0, 0, 0, 1, 1])


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
    sure, sum_exp = np.e / (np.e + 6), np.log(np.e + 6)
    assert first["log_loss"] == pytest.approx((2 * (sum_exp - 1) + 2 * sum_exp) / 4, rel=1e-4)
    assert first["calibration_error"] == pytest.approx(abs(sure - 0.5), rel=1e-4)  # all in one bin, half right
    assert artifact.facts["best"] == {"recipe": "kmeans-size", "chosen_on": "val", "split": "test", "top1": 1.0}


def test_intervals_and_gains_over_the_baseline(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed, guess in enumerate(([0, 0, 1, 2, 1], [0, 0, 0, 1, 0])):
        predict(store, "baseline", seed, guess)
        predict(store, "kmeans-size", seed, [0, 0, 0, 1, 1])
    table = read_table(make_summary(store, ["baseline", "kmeans-size"], [0, 1]).table("intervals"))
    assert table.schema == INTERVALS
    rows = {(row["recipe"], row["split"], row["metric"]): row for row in table.to_pylist()}
    assert len(rows) == 2 * 2 * 4
    base, other = rows["baseline", "test", "top1"], rows["kmeans-size", "test", "top1"]
    assert (base["images"], base["value"], base["gain"]) == (4, 0.75, None)  # 1, 1, 1/2, 1/2 over the seeds
    assert (base["low"], base["high"]) == (0.5, 1.0)
    assert (other["value"], other["low"], other["high"]) == (1, 1, 1)
    assert (other["gain"], other["gain_low"], other["gain_high"]) == (0.25, 0, 0.5)
    class_mean = rows["kmeans-size", "test", "class_top1"]
    assert class_mean["gain"] == pytest.approx(1 - (5 / 6 + 1 / 2) / 2)


def test_confused_pairs_are_counted_over_the_seeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    predict(store, "baseline", 0, [1, 1, 1, 0, 2])
    predict(store, "baseline", 1, [0, 0, 1, 0, 1])
    table = read_table(make_summary(store, ["baseline"], [0, 1]).table("confusions"))
    assert table.schema == CONFUSIONS
    told = [tuple(row.values()) for row in table.to_pylist()]
    assert told == [
        ("baseline", "test", 0, 1, 4, pytest.approx(4 / 6)),
        ("baseline", "test", 1, 0, 2, 1.0),
        ("baseline", "val", 1, 2, 1, 0.5),
    ]


def test_tricks_and_chain_are_tables_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    predict(store, "baseline", 0, [0, 0, 1, 2, 1])
    predict(store, "kmeans-size", 0, [0, 0, 0, 1, 1])
    rows = (PublishedRow("Base", "baseline", 0.7), PublishedRow("Size", "kmeans-size", 0.8))
    bag = Bag((PublishedTable("t", "Table", rows),), {"baseline": "baseline", "kmeans-size": "manifest"})
    plain = make_summary(store, ["baseline", "kmeans-size"], [0])
    artifact = make_summary(store, ["baseline", "kmeans-size"], [0], bag)
    assert artifact.identity != plain.identity
    tricks, chain = (read_table(artifact.table(name)) for name in ("tricks", "chain"))
    assert (tricks.schema, chain.schema) == (TRICKS, CHAIN)
    told = {(r["row"], r["split"], r["metric"]): r for r in tricks.to_pylist()}
    assert len(told) == 2 * 2 * 4
    size = told["Size", "test", "class_top5"]
    assert (size["published"], size["published_gain"], size["value"], size["seeds"]) == (0.8, pytest.approx(0.1), 1, 1)
    assert told["Size", "test", "top1"]["gain"] == 0.5
    steps = {row["step"]: row for row in chain.to_pylist() if row["metric"] == "top1"}
    assert (steps["manifest"]["recipe"], steps["manifest"]["told_on"]) == ("kmeans-size", "test")
    assert (steps["manifest"]["value"], steps["manifest"]["reduced"]) == (1, 1)
    assert steps["student"]["recipe"] is None


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
