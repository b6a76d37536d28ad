"""The search on made-up stores: the better recipe wins, and nothing that judges is trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import search as module
from models.search import make_search
from models.search_settings import SearchSettings
from pipeline.evidence.folds import fold_of_groups
from pipeline.policy.catalogue import RULES
from pipeline.policy.policy import Policy
from pipeline.policy.rule import Part
from pipeline.stages.manifest import make_manifest
from pipeline.storage.artifacts import Artifact, NotMadeError, Store
from pipeline.storage.tables import read_table
from tests.stages.tiny_store import Picture, add_crawl, add_evidence

CLASSES = 3
SETTINGS = SearchSettings(samples=2, epochs=3, batch_size=32)


def pictures(split: str, count: int, wrong: float, seed: int) -> tuple[list[Picture], np.ndarray]:
    """Pictures of three classes around three points; a share carries the label of the next class."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, CLASSES, count)
    bad = rng.random(count) < wrong
    spot = np.array([(0.0, 4.0), (4.0, 0.0), (-4.0, -4.0)])[true] + rng.normal(size=(count, 2))
    listed = [
        Picture(int((t + b) % CLASSES), (float(x), float(y)), split)
        for t, b, (x, y) in zip(true, bad, spot, strict=True)
    ]
    return listed, bad


def either(bad: np.ndarray, first: float, other: float) -> list[float]:
    return [first if own else other for own in bad]


def crawled(folder: Path, val: int) -> Store:
    """A crawl whose wrong labels `opinion` knows, and `hdbscan` has the wrong way round."""
    store = Store(folder)
    train, bad = pictures("train", 300, 0.4, 0)
    order = np.argsort([picture.class_index for picture in train], kind="stable")
    train, bad = [train[i] for i in order], bad[order]
    add_crawl(store, "a", [*train, *pictures("val", val, 0.0, 1)[0]], shard_rows=64, classes=CLASSES)
    add_evidence(store, ["a"], "duplicates", training_copies=[1] * len(train))
    add_evidence(store, ["a"], "opinion", confidence=either(bad, 0.02, 0.98))
    add_evidence(store, ["a"], "hdbscan", membership=either(bad, 0.98, 0.02), outlier=either(bad, 0.0, 0.9))
    add_evidence(store, ["a"], "fused", right_probability=either(bad, 0.05, 0.95))
    for name in ("baseline", "opinion-weight", "hdbscan-weight"):
        make_manifest(store, name, Policy(parts=(Part(rule=RULES[name], settings=RULES[name].settings()),)), ["a"])
    return store


def rows(made: Artifact) -> dict[str, dict[str, Any]]:
    return {row["recipe"]: row for row in read_table(made.table("search")).to_pylist()}


RECIPES: Sequence[str] = ("baseline", "opinion-weight", "hdbscan-weight")


def test_clean_val_images_tell_the_better_recipe(tmp_path: Path) -> None:
    found = rows(make_search(crawled(tmp_path, 200), ["a"], RECIPES, SETTINGS))
    assert {row["judged_on"] for row in found.values()} == {"clean val images"}
    assert found["baseline"]["images"] == 200
    assert (found["baseline"]["gain"], found["baseline"]["better"]) == (0, 0.5)
    assert found["opinion-weight"]["top1"] > found["baseline"]["top1"] > found["hdbscan-weight"]["top1"]
    assert found["opinion-weight"]["better"] > 0.9
    assert found["hdbscan-weight"]["gain_high"] < 0


def test_without_val_training_images_judge_that_no_probe_has_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = crawled(tmp_path, 0)
    seen: list[set[int]] = []
    kept = module._gathered

    def counted(population: Any, shards: Any, at: Any) -> Any:
        seen.append(set(np.asarray(population.image_id[at]).tolist()))
        return kept(population, shards, at)

    monkeypatch.setattr(module, "_gathered", counted)
    found = rows(make_search(store, ["a"], RECIPES, SETTINGS))
    trained, judged = seen
    assert not trained & judged
    assert trained | judged == set(range(100, 400))
    assert all(fold_of_groups(np.array(sorted(judged)), 5, 0) == 0)
    assert "held-out training images" in found["baseline"]["judged_on"]
    assert found["opinion-weight"]["gain"] > 0


def test_recipes_tried_one_by_one_stand_as_they_do_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_table(make_search(crawled(tmp_path / "whole", 150), ["a"], RECIPES, SETTINGS).table("search"))
    monkeypatch.setattr(module, "HELD_NUMBERS", 1)
    monkeypatch.setattr(module, "_JUDGED_NUMBERS", 1000)
    told: list[int] = []
    single = make_search(crawled(tmp_path / "single", 150), ["a"], RECIPES, SETTINGS, on_progress=told.append)
    assert told == [1, 1, 1]
    for name in ("top1", "class_top1", "gain"):
        np.testing.assert_allclose(whole[name], read_table(single.table("search"))[name], atol=0.01)


def test_a_search_is_made_again_for_another_manifest_alone(tmp_path: Path) -> None:
    store = crawled(tmp_path, 150)
    assert make_search(store, ["a"], RECIPES, SETTINGS).made
    assert not make_search(store, ["a"], RECIPES, SETTINGS).made
    make_manifest(
        store,
        "opinion-weight",
        Policy(parts=(Part(rule=RULES["class-reweight"], settings=RULES["class-reweight"].settings()),)),
        ["a"],
    )
    assert make_search(store, ["a"], RECIPES, SETTINGS).made


def test_a_recipe_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotMadeError, match="semantic"):
        make_search(crawled(tmp_path, 150), ["a"], ["baseline", "semantic"], SETTINGS)


def test_class_means_do_not_follow_the_large_class() -> None:
    hits = np.array([[[True, True, True, False]]])
    assert module._class_mean(hits, np.array([4, 4, 4, 9]), np.ones(4)).tolist() == [0.5]


def test_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match=r"search\.samples must be at least 1, not 0"):
        SearchSettings(samples=0)
