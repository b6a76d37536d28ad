"""What a store's history says of each recipe's last training, and what is another since."""

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.evidence_tables import CLASS_TRUST
from pipeline.records import MANIFEST
from pipeline.retraining import RetrainingSettings
from pipeline.stages.retraining import last_trainings, make_retraining
from pipeline.storage.artifacts import Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, read_table, write_table
from tests.stages.tiny_store import Picture, add_crawl

RECIPES = [("baseline", (), "baseline@0"), ("taught", ("baseline",), "taught@0"), ("other", (), "other@0")]
ASKED_FROM = RetrainingSettings(new_share=0.3, feature_drift=0.8, precision_drift=0.2, class_images=2)
FIRST = [
    Picture(0, (-3.0, 0.0)),
    Picture(0, (3.0, 0.0)),
    Picture(1, (0.0, 1.0)),
    Picture(1, (0.0, 3.0)),
    Picture(1, None),
    Picture(0, (9.0, 9.0), split="test"),
]


def one(name: str, table: pa.Table, schema: pa.Schema, draft: Draft) -> Facts:
    path = part_path(draft.table(name), 0)
    draft.finish(0, {path: write_table(path, schema, [table.cast(schema)])})
    return {}


def manifest(store: Store, recipe: str, version: str, reasons: dict[int, str]) -> None:
    """A manifest that lists some images, each with its reason."""
    rows = [
        {
            "image_id": own,
            "path": "p",
            "class_index": 0,
            "weight": 1,
            "repeats": 1,
            "stage": 0,
            "kept": True,
            "reason": why,
        }
        for own, why in reasons.items()
    ]
    store.make("manifest", recipe, version, partial(one, "manifest", pa.Table.from_pylist(rows, MANIFEST), MANIFEST))


def trust(store: Store, version: str, *shares: float) -> None:
    told = {"class_index": range(len(shares)), "images": [2] * len(shares), "right_share": shares}
    table = pa.Table.from_pydict({name: list(values) for name, values in told.items()}, CLASS_TRUST)
    store.make("evidence-fused", "all", version, partial(one, "classes", table, CLASS_TRUST))


def train(store: Store, recipe: str, version: str) -> None:
    store.make("model", f"{recipe}@0", version, lambda _: {})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two recipes trained on a first crawl of four usable training images."""
    store = Store(tmp_path)
    add_crawl(store, "a", FIRST)
    listed = dict.fromkeys(range(100, 106), "kept") | {104: "quarantined: broken", 105: "test image, not trained on"}
    for recipe in ("baseline", "taught"):
        manifest(store, recipe, "then", listed)
    trust(store, "then", 0.9, 0.5)
    for recipe in ("baseline", "taught"):
        train(store, recipe, "trained")
    return store


def decided(store: Store, *crawls: str, settings: RetrainingSettings = ASKED_FROM) -> dict[str, dict[str, Any]]:
    made = make_retraining(store, crawls, last_trainings(store, RECIPES), settings)
    return {row["recipe"]: row for row in read_table(made.table("retraining")).to_pylist()}


def test_nothing_asks_for_a_training_where_nothing_is_new(store: Store) -> None:
    row = decided(store, "a")["baseline"]
    assert (row["asked"], row["why"], row["images"], row["new_images"]) == (False, "nothing asks for it", 4, 0)
    assert (row["feature_drift"], row["precision_drift"]) == (None, 0.0)
    trained = last_trainings(store, RECIPES)
    assert not make_retraining(store, ["a"], trained, ASKED_FROM).made


def test_new_images_and_moved_classes_ask_for_it(store: Store) -> None:
    """Class 0 gets (6, 0) and (0, 8), as in the test of the measure; of class 1 fewer labels are right."""
    add_crawl(store, "bb", [Picture(0, (6.0, 0.0)), Picture(0, (0.0, 8.0)), Picture(0, (1.0, 1.0), split="val")])
    trust(store, "now", 0.9, 0.25)
    manifest(store, "baseline", "now", {})
    row = decided(store, "a", "bb")["baseline"]
    assert (row["images"], row["new_images"], row["new_share"]) == (6, 2, pytest.approx(1 / 3))
    assert (row["feature_class"], row["feature_drift"]) == (0, pytest.approx(2.5 / 3, rel=1e-3))
    assert (row["precision_class"], row["precision_drift"]) == (1, pytest.approx(-0.25))
    assert row["asked"]
    assert row["manifest"] == "now"
    assert row["why"].count(";") == 2
    higher = RetrainingSettings(new_share=0.4, feature_drift=0.9, precision_drift=0.3, class_images=2)
    assert not decided(store, "a", "bb", settings=higher)["baseline"]["asked"]
    fewer = RetrainingSettings(new_share=0.4, class_images=3)  # than any class had
    assert decided(store, "a", "bb", settings=fewer)["baseline"]["feature_drift"] is None


def test_what_was_quarantined_then_is_new(store: Store) -> None:
    manifest(store, "other", "then", dict.fromkeys(range(100, 103), "kept") | {103: "quarantined: missing"})
    train(store, "other", "later")
    assert decided(store, "a")["other"]["new_images"] == 1


def test_a_student_waits_for_its_teacher_and_then_is_trained(store: Store) -> None:
    add_crawl(store, "bb", [Picture(0, (6.0, 0.0))] * 4)
    rows = decided(store, "a", "bb")
    assert (rows["baseline"]["asked"], rows["taught"]["asked"]) == (True, False)
    assert rows["taught"]["why"].startswith("waits for the training of baseline: 4 of 8 usable images are new")
    manifest(store, "baseline", "now", dict.fromkeys([*range(100, 104), *range(200, 204)], "kept"))
    train(store, "baseline", "again")
    rows = decided(store, "a", "bb")
    assert (rows["baseline"]["asked"], rows["taught"]["asked"]) == (False, True)


def test_what_was_never_trained_is_asked_for_and_what_is_forgotten_is_not(store: Store) -> None:
    manifest(store, "other", "now", {})
    assert decided(store, "a")["other"]["why"] == "it was never trained"
    train(store, "other", "trained")
    store.make("manifest", "other", "later", lambda _: {})
    (store.folder("manifest", "other", "now") / "artifact.json").unlink()
    row = decided(store, "a")["other"]
    assert (row["asked"], "not in the store any more" in row["why"]) == (False, True)
