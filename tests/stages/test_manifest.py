"""Manifests: one row per listed image, exact weights, reasons in words, only what is new is computed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from assets.recipes import RECIPES, recipe_named
from pipeline.evidence_tables import EVIDENCE
from pipeline.policy.policy import Policy
from pipeline.records import MANIFEST
from pipeline.stages import classes
from pipeline.stages.eligible import Fold
from pipeline.stages.manifest import make_manifest
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.tables import read_table
from tests.policy.tables import part
from tests.stages.tiny_store import Picture, add_crawl, add_evidence, two_crawls

CRAWLS = ["a", "bb"]


def ready(folder: Path) -> Store:
    """Two crawls without doubles."""
    store = two_crawls(folder)
    add_evidence(store, CRAWLS, "duplicates")
    return store


def add_clusters(store: Store) -> None:
    add_evidence(store, CRAWLS, "kmeans", cluster=[0, 0, 1, 0, 0, 0], cluster_share=[0.75, 0.75, 0.25, 0.75, 1, 1])


def test_every_listed_image_has_a_row_and_a_reason(tmp_path: Path) -> None:
    artifact = make_manifest(ready(tmp_path), "class-reweight", recipe_named("class-reweight").policy, CRAWLS)
    table = read_table(artifact.table("manifest"))
    assert table.schema.names == MANIFEST.names
    rows = {row["image_id"]: row for row in table.to_pylist()}
    assert list(rows) == [100, 101, 102, 103, 104, 105, 200, 201]
    # class 0 has 4 images, class 2 has 2: six images, each class weighs 3
    assert [rows[i]["weight"] for i in (100, 101, 103, 200)] == pytest.approx([0.75] * 4)
    assert [rows[i]["weight"] for i in (104, 201)] == pytest.approx([1.5] * 2)
    assert (rows[102]["kept"], rows[102]["weight"], rows[102]["repeats"]) == (False, 0, 0)
    assert rows[102]["reason"] == "quarantined: broken"
    assert rows[105]["reason"] == "val image, not trained on"
    assert rows[100]["reason"] == "its class adds up to 4 images"
    assert (rows[200]["path"], rows[200]["kept"], rows[200]["repeats"]) == ("bb/0.jpg", True, 1)
    assert artifact.facts["classes_without_images"] == []
    assert artifact.facts["mean_weight"] == pytest.approx(1)
    assert (artifact.facts["rows"], artifact.facts["trainable"], artifact.facts["kept"]) == (8, 6, 6)


def test_the_evidence_used_stands_beside_the_weight(tmp_path: Path) -> None:
    store, policy = ready(tmp_path), recipe_named("kmeans-size").policy
    with pytest.raises(NotMadeError, match="evidence-kmeans"):
        make_manifest(store, "kmeans-size", policy, CRAWLS)
    add_clusters(store)
    artifact = make_manifest(store, "kmeans-size", policy, CRAWLS)
    rows = {row["image_id"]: row for row in read_table(artifact.table("manifest")).to_pylist()}
    # class 0: shares 3/4 three times and 1/4, mean 5/8
    assert rows[100]["weight"] == pytest.approx(1.2)
    assert rows[103]["weight"] == pytest.approx(0.4)
    assert rows[103]["reason"] == "its cluster holds 25% of its class"
    assert (rows[103]["cluster"], rows[103]["cluster_share"]) == (1, pytest.approx(0.25))
    assert (rows[102]["cluster"], rows[102]["cluster_share"]) == (None, None)


def test_only_a_changed_input_makes_it_again(tmp_path: Path) -> None:
    store, policy = ready(tmp_path), recipe_named("kmeans-size").policy
    add_clusters(store)
    assert make_manifest(store, "kmeans-size", policy, CRAWLS).made
    assert not make_manifest(store, "kmeans-size", policy, CRAWLS).made
    add_evidence(store, CRAWLS, "kmeans", cluster_share=[1] * 6)
    assert make_manifest(store, "kmeans-size", policy, CRAWLS).made


def test_crawls_with_different_classes_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_crawl(store, "a", [Picture(0, (1, 1))], classes=2)
    add_crawl(store, "bb", [Picture(0, (1, 1))], classes=3)
    add_evidence(store, CRAWLS, "duplicates")
    with pytest.raises(ValueError, match="crawls a and bb have different classes"):
        make_manifest(store, "baseline", recipe_named("baseline").policy, CRAWLS)


def test_crawls_that_share_an_id_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for crawl in ("a", "b"):  # names of one length: the tiny store numbers both from 100
        add_crawl(store, crawl, [Picture(0, (1, 1)), Picture(1, None)])
    add_evidence(store, ["a", "b"], "duplicates")
    with pytest.raises(ValueError, match="2 images of different crawls share an image_id"):
        make_manifest(store, "baseline", recipe_named("baseline").policy, ["a", "b"])


def test_a_class_with_nothing_usable_is_told_and_a_crawl_with_nothing_is_refused(tmp_path: Path) -> None:
    store, policy = Store(tmp_path), recipe_named("baseline").policy
    add_crawl(store, "a", [Picture(0, (1, 1)), Picture(1, None)])
    add_evidence(store, ["a"], "duplicates")
    assert make_manifest(store, "baseline", policy, ["a"]).facts["classes_without_images"] == [1]
    empty = Store(tmp_path / "empty")
    add_crawl(empty, "a", [Picture(1, None)])
    add_evidence(empty, ["a"], "duplicates")
    with pytest.raises(ValueError, match="nothing to train on"):
        make_manifest(empty, "baseline", policy, ["a"])


def test_a_leak_is_named_and_weighs_nothing(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    add_evidence(store, CRAWLS, "duplicates", leak=[False, True, False, False, False, False])
    artifact = make_manifest(store, "class-reweight", recipe_named("class-reweight").policy, CRAWLS)
    rows = {row["image_id"]: row for row in read_table(artifact.table("manifest")).to_pylist()}
    assert rows[101]["reason"] == "repeats a val or test image, not trained on"
    assert (rows[101]["weight"], rows[101]["repeats"], rows[101]["kept"]) == (0, 0, False)
    # the policy never saw it: class 0 has 3 images now, five are trained on
    assert rows[100]["reason"] == "its class adds up to 3 images"
    assert rows[100]["weight"] == pytest.approx(5 / 6)
    assert (artifact.facts["leaks"], artifact.facts["trainable"]) == (1, 5)


def test_folds_part_the_images_and_keep_doubles_together(tmp_path: Path) -> None:
    store, policy = two_crawls(tmp_path), recipe_named("baseline").policy
    add_evidence(store, CRAWLS, "duplicates", duplicate_group=[100, 101, 103, 200, 100, 201])
    held_out = []
    for number in range(3):
        fold = Fold(number=number, folds=3, seed=0)
        artifact = make_manifest(store, f"baseline.fold-{number}", policy, CRAWLS, fold)
        rows = read_table(artifact.table("manifest")).to_pylist()
        held_out.append({row["image_id"] for row in rows if row["reason"].startswith("held out")})
        assert {row["image_id"] for row in rows if row["kept"]} == {100, 101, 103, 104, 200, 201} - held_out[-1]
    assert sorted(image for images in held_out for image in images) == [100, 101, 103, 104, 200, 201]
    assert any({100, 104} <= images for images in held_out)


def rows_of(store: Store, *parts: Any, crawls: Sequence[str] = CRAWLS) -> dict[int, dict[str, Any]]:
    """The manifest of those parts by image id."""
    artifact = make_manifest(store, "mine", Policy(parts=parts), crawls)
    return {row["image_id"]: row for row in read_table(artifact.table("manifest")).to_pylist()}


def test_doubles_share_one_image_s_weight(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    # 100, 101 and 104 are one picture under two classes
    group, copies = [100, 100, 103, 200, 100, 201], [3, 3, 1, 1, 3, 1]
    add_evidence(store, CRAWLS, "duplicates", duplicate_group=group, training_copies=copies)
    rows = rows_of(store, part("baseline"))
    # 1/3 three times and 1 three times: mean 2/3
    assert [rows[i]["weight"] for i in (100, 101, 104)] == pytest.approx([0.5] * 3)
    assert [rows[i]["weight"] for i in (103, 200, 201)] == pytest.approx([1.5] * 3)
    assert rows[104]["reason"] == "counts as it is; shares one image's weight with 2 doubles"
    assert rows[103]["reason"] == "counts as it is"


def test_classes_are_balanced_with_doubles_as_one(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    group, copies = [100, 100, 103, 200, 104, 201], [2, 2, 1, 1, 1, 1]
    add_evidence(store, CRAWLS, "duplicates", duplicate_group=group, training_copies=copies)
    rows = rows_of(store, part("class-reweight"))
    # class 0 adds up to three images, class 2 to two; both weigh 3
    assert [rows[i]["weight"] for i in (100, 101, 103, 200)] == pytest.approx([0.5, 0.5, 1, 1])
    assert [rows[i]["weight"] for i in (104, 201)] == pytest.approx([1.5, 1.5])
    assert rows[100]["reason"] == "its class adds up to 3 images; shares one image's weight with 1 double"


def test_a_double_left_out_takes_no_share(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    add_evidence(
        store, CRAWLS, "duplicates", duplicate_group=[100, 100, 103, 200, 104, 201], training_copies=[2, 2, 1, 1, 1, 1]
    )
    add_evidence(store, CRAWLS, "density", density_level=[0, 1, 0, 0, 0, 0])
    rows = rows_of(store, part("density-clean"))
    assert rows[100]["weight"] == pytest.approx(1)
    assert rows[100]["reason"] == "clean by density"
    assert (rows[101]["weight"], rows[101]["repeats"], rows[101]["kept"]) == (0, 0, False)


def test_parts_multiply_and_every_reason_is_told(tmp_path: Path) -> None:
    store = ready(tmp_path)
    add_evidence(store, CRAWLS, "rank", position=[1, 2, 3, None, 1, None])
    add_evidence(store, CRAWLS, "opinion", confidence=[1, 0, 0.5, None, 1, 1], opinion_class=[None, 2, *[None] * 4])
    rows = rows_of(store, part("top-ranked", k=2), part("opinion-weight"))
    assert [rows[i]["repeats"] for i in (100, 101, 103, 200, 104, 201)] == [1, 1, 0, 1, 1, 1]
    assert rows[101]["reason"] == "seen 1 time an epoch; its label is held 0% likely, another one more so"
    assert rows[103]["reason"] == "ranked past the best 2 of its class, left out"
    assert [rows[i]["suggested_class"] for i in (100, 101, 102, 105)] == [None, 2, None, None]
    # a null stays a null, and what was not judged has no evidence
    assert [rows[i]["position"] for i in (103, 200, 201, 102, 105)] == [3, None, None, None, None]
    assert rows[200]["confidence"] is None
    seen = [row for row in rows.values() if row["kept"]]
    assert sum(row["weight"] * row["repeats"] for row in seen) / len(seen) == pytest.approx(1)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_makes_a_manifest_of_evidence_that_knows_nothing(tmp_path: Path, recipe: str) -> None:
    store, policy = ready(tmp_path), RECIPES[recipe].policy
    nothing = {"cluster": -1, "density_level": -1, "hdbscan_cluster": -1, "outlier": 1}
    for name in policy.evidence:
        told = {column: [nothing[column]] * 6 for column in EVIDENCE[name].names if column in nothing}
        add_evidence(store, CRAWLS, name, **told)
    artifact = make_manifest(store, recipe, policy, CRAWLS)
    table = read_table(artifact.table("manifest"))
    if recipe != "official-baseline":  # which draws
        assert artifact.facts["kept"] == 6
    assert artifact.facts["classes_without_images"] == []
    assert artifact.facts["mean_weight"] == pytest.approx(1)
    assert "" not in table["reason"].to_pylist()
    assert table.schema.names == [*MANIFEST.names, *(n for names in policy.evidence.values() for n in names)]


def test_how_classes_are_cut_into_stretches_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for images in (1, 100):
        monkeypatch.setattr(classes, "SHARD_IMAGES", images)
        store = two_crawls(tmp_path / str(images))
        group = [100, 101, 103, 200, 100, 201]
        add_evidence(store, CRAWLS, "duplicates", duplicate_group=group, training_copies=[2, 1, 1, 1, 2, 1])
        add_clusters(store)
        told.append(rows_of(store, part("official-baseline"), part("kmeans-size"), part("class-reweight")))
    assert told[0] == told[1]


def test_evidence_of_other_images_is_refused(tmp_path: Path) -> None:
    store = ready(tmp_path)
    add_evidence(store, ["a"], "kmeans", cluster=[0] * 4)
    with pytest.raises(ValueError, match="evidence-kmeans was made of other images"):
        rows_of(store, part("kmeans-size"))


def test_another_setting_is_another_manifest(tmp_path: Path) -> None:
    store = ready(tmp_path)
    made = [
        make_manifest(store, "mine", Policy(parts=(part("official-baseline", seed=seed),)), CRAWLS).made
        for seed in (0, 1, 0)
    ]
    assert made == [True, True, False]


def test_images_confidently_of_another_class_are_trained_on_as_that_one(tmp_path: Path) -> None:
    store = ready(tmp_path)
    add_evidence(
        store,
        CRAWLS,
        "fused",
        right_probability=[0.9, 0.1, 0.3, 1, 0.05, 0.05],
        fused_class=[0, 2, 2, 0, 0, 0],
        fused_probability=[0.9, 0.9, 0.7, 1, 0.95, 0.95],
    )
    add_evidence(store, CRAWLS, "opinion", confidence=[0.5] * 6, opinion_class=[1] * 6)
    policy = Policy(parts=(part("opinion-weight"), part("relabel", floor=0)))
    artifact = make_manifest(store, "mine", policy, CRAWLS)
    rows = {row["image_id"]: row for row in read_table(artifact.table("manifest")).to_pylist()}
    # 103 is not sure enough; of class 2 one stays; what a rule only suggests is left aside
    assert {i: rows[i]["class_index"] for i in (100, 101, 103, 200, 104, 201)} == {
        100: 0,
        101: 2,
        103: 0,
        200: 0,
        104: 2,
        201: 0,
    }
    assert [rows[i]["suggested_class"] for i in (100, 101, 103, 104, 201, 105)] == [None, 2, None, None, 0, None]
    assert rows[101]["reason"].endswith("; trained on as the suggested class, which is 90% likely")
    assert (artifact.facts["relabelled"], artifact.facts["classes_without_images"]) == (2, [])
    weighed = make_manifest(store, "other", Policy(parts=(part("opinion-weight"),)), CRAWLS)
    assert weighed.facts["relabelled"] == 0
    assert read_table(weighed.table("manifest"))["class_index"].to_pylist() == [0, 0, 0, 0, 2, 0, 0, 2]
