"""What people found, in manifests and in the fusion, worked by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evidence.fusion import FusionSettings
from pipeline.policy.policy import Policy
from pipeline.stages.fusion import make_fused
from pipeline.stages.fusion_tables import Verified
from pipeline.stages.manifest import make_manifest
from pipeline.stages.settled import make_settled
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table
from tests.policy.tables import part
from tests.stages.test_fusion import NAMES
from tests.stages.test_fusion import ready as ready_to_fuse
from tests.stages.test_verdicts import taken
from tests.stages.tiny_store import add_evidence, two_crawls

CRAWLS = ["a", "bb"]
RIGHT = "a person found its label right: it counts no less than is usual in its class"
WRONG = "a person found its label wrong, not trained on"


def rows_of(store: Store, policy: Policy, verdicts: str) -> tuple[dict[int, dict[str, Any]], Artifact]:
    """The manifest with those verdicts, `image,verdict` a word, by image id."""
    if verdicts:
        taken(store, "image_id,verdict\n" + "\n".join(verdicts.split()))
    artifact = make_manifest(store, "mine", policy, CRAWLS, settled=make_settled(store, CRAWLS))
    return {row["image_id"]: row for row in read_table(artifact.table("manifest")).to_pylist()}, artifact


def test_wrong_weighs_nothing_and_right_what_is_usual(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    add_evidence(store, CRAWLS, "duplicates")
    add_evidence(store, CRAWLS, "density", density_level=[0, 2, 0, 0, 0, 0])
    rows, artifact = rows_of(store, Policy(parts=(part("density-clean"),)), "101,right 200,wrong 104,n0")
    assert {i: rows[i]["weight"] for i in (100, 101, 103, 200, 104, 201)} == {
        100: 1,
        101: 1,
        103: 1,
        200: 0,
        104: 0,
        201: 1,
    }
    assert rows[101]["reason"] == f"highly noisy by density, left out; {RIGHT}"
    assert [rows[i]["reason"] for i in (200, 104)] == [WRONG, WRONG]
    assert [rows[i]["suggested_class"] for i in (101, 200, 104)] == [None, None, 0]
    assert [(rows[i]["class_index"], rows[i]["kept"], rows[i]["repeats"]) for i in (200, 104)] == [
        (0, False, 0),
        (2, False, 0),
    ]
    assert [rows[i]["density_level"] for i in (200, 104)] == [0, 0]  # what was known of it is still told
    facts = artifact.facts
    assert (facts["refused"], facts["trainable"], facts["kept"], facts["suggested"]) == (2, 4, 4, 1)
    assert facts["mean_weight"] == pytest.approx(1)


def test_where_the_recipe_relabels_it_is_trained_on_as_what_it_is(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    add_evidence(store, CRAWLS, "duplicates")
    fused: dict[str, Any] = {"right_probability": [0.5, 0.1, 0.5, 0, 1, 1], "fused_class": [0, 2, 0, None, 2, 2]}
    add_evidence(store, CRAWLS, "fused", **fused, fused_probability=[0.5, 0.9, 0.5, None, 1, 1])
    rows, artifact = rows_of(store, Policy(parts=(part("relabel", floor=0),)), "101,right 200,n1 103,wrong")
    # 101 would move to class 2 by the evidence, with weight 0.9 beside 0.5 of 100
    assert [(rows[i]["class_index"], rows[i]["kept"]) for i in (100, 101, 200, 103)] == [
        (0, True),
        (0, True),
        (1, True),
        (0, False),
    ]
    assert rows[200]["weight"] == pytest.approx(rows[100]["weight"])  # usual in class 0
    assert rows[200]["reason"].endswith("a person found that it is of the suggested class: it is trained on as that")
    assert (artifact.facts["relabelled"], artifact.facts["refused"]) == (1, 1)


def test_doubles_share_among_those_that_are_not_refused(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    group, copies = [100, 101, 103, 200, 100, 201], [2, 1, 1, 1, 2, 1]
    add_evidence(store, CRAWLS, "duplicates", duplicate_group=group, training_copies=copies)
    rows, _ = rows_of(store, Policy(parts=(part("class-reweight"),)), "104,wrong")
    # 100 is alone in its group now: class 0 adds up to four images, class 2 to one, and five are seen
    assert [rows[i]["weight"] for i in (100, 101, 103, 200)] == pytest.approx([0.625] * 4)
    assert rows[201]["weight"] == pytest.approx(2.5)
    assert rows[100]["reason"] == "its class adds up to 4 images"


def test_a_leak_stays_a_leak_whatever_a_person_says(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    add_evidence(store, CRAWLS, "duplicates", leak=[True, True, False, False, False, False])
    rows, artifact = rows_of(store, Policy(parts=(part("baseline"),)), "100,right 101,wrong")
    assert {rows[i]["reason"] for i in (100, 101)} == {"repeats a val or test image, not trained on"}
    assert (artifact.facts["leaks"], artifact.facts["refused"], rows[100]["weight"]) == (2, 0, 0)


def test_only_verdicts_on_images_that_are_there_make_a_manifest_anew(tmp_path: Path) -> None:
    store, policy = two_crawls(tmp_path), Policy(parts=(part("baseline"),))
    add_evidence(store, CRAWLS, "duplicates")
    unasked = make_manifest(store, "mine", policy, CRAWLS)
    assert rows_of(store, policy, "")[1].identity == unasked.identity  # nobody has said anything
    _, first = rows_of(store, policy, "100,right")
    assert first.made
    assert not rows_of(store, policy, "100,right")[1].made
    add_evidence(store, ["a"], "duplicates")
    alone = make_manifest(store, "mine", policy, ["a"], settled=make_settled(store, ["a"]))
    taken(store, "image_id,verdict\n200,wrong")  # of the other crawl
    same = make_manifest(store, "mine", policy, ["a"], settled=make_settled(store, ["a"]))
    assert same.identity == alone.identity


def test_a_class_that_a_person_named_stands_in_the_fusion(tmp_path: Path) -> None:
    store = ready_to_fuse(tmp_path)
    taken(store, "image_id,verdict\n103,n1\n100,right\n200,wrong\n")
    verified = Verified.read(make_settled(store, CRAWLS))
    assert verified is not None
    artifact = make_fused(store, CRAWLS, NAMES, FusionSettings(), verified, workers=1)
    rows = {row["image_id"]: row for row in read_table(artifact.table("evidence")).to_pylist()}
    told = {i: (rows[i]["right_probability"], rows[i]["fused_class"]) for i in (100, 103, 200)}
    assert told == {100: (1, 0), 103: (0, 1), 200: (0, None)}  # the neighbours of 103 are of class 2
    assert rows[103]["fused_probability"] == 1
    named = Verified.of(np.array([100, 103, 200]), np.array([True, False, False]))
    assert named.digest != verified.digest


def test_images_that_one_verdict_speaks_for_teach_as_one(tmp_path: Path) -> None:
    store = ready_to_fuse(tmp_path)
    ids, right = np.array([100, 101, 103]), np.array([True, True, False])
    lone = Verified(ids[1:], right[1:], np.array([0, -1], np.int32), np.array([1, 1], np.float32))
    halves = Verified(ids, right, np.array([0, 0, -1], np.int32), np.array([0, 1, 1], np.float32))
    told = []
    for verified in (lone, halves):
        artifact = make_fused(store, CRAWLS, NAMES, FusionSettings(), verified, workers=1)
        told.append(read_table(artifact.table("evidence"))["right_probability"].to_pylist())
    assert told[0][3:] == pytest.approx(told[1][3:])  # one of weight 0 teaches nothing
    assert told[1][0] == 1


def test_nothing_found_is_no_verdict(tmp_path: Path) -> None:
    assert Verified.read(make_settled(two_crawls(tmp_path), CRAWLS)) is None
