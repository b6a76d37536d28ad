"""Holding weights against the truth, worked by hand."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.demo.score import KindFound, calibration, describe, describe_calibration, score, without_doubles


def _manifest(weight: list[float], kept: list[bool] | None = None) -> pa.Table:
    paths = [f"{number}.jpg" for number in range(len(weight))]
    kept = [True] * len(weight) if kept is None else kept
    return pa.table({"path": paths, "weight": pa.array(weight, pa.float32()), "kept": kept})


def _truth(true: list[int], kinds: list[str] | None = None) -> pa.Table:
    """Every label of the web is 0."""
    paths = [f"{number}.jpg" for number in range(len(true))]
    kinds = ["right" if label == 0 else "confusable" for label in true] if kinds is None else kinds
    web = pa.array([0] * len(true), pa.int32())
    return pa.table({"path": paths, "web_label": web, "true_label": pa.array(true, pa.int32()), "kind": kinds})


def test_three_images_with_the_wrong_one_lightest() -> None:
    found = score(_manifest([1.5, 0.1, 1.4]), _truth([0, 1, 0]))
    assert (found.images, found.wrong, found.lightest, found.found) == (3, 1, 1, 1.0)  # 0.3 of 3 rounds to 1
    assert found.auroc == 1.0


def test_three_images_with_the_wrong_one_between() -> None:
    found = score(_manifest([0.5, 1.0, 1.5]), _truth([0, -1, 0]))
    assert found.found == 0.0
    assert found.auroc == 0.5  # lighter than one right image of two


def test_equal_weights_find_what_chance_finds() -> None:
    found = score(_manifest([1.0, 1.0, 1.0]), _truth([1, 0, 0]))
    assert found.found == pytest.approx(1 / 3)
    assert found.auroc == 0.5


def test_ties_at_the_border_share_the_last_places() -> None:
    # Ten images, three count: 0.1 is in, the four of 0.5 share the two places left.
    weight = [0.1, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    found = score(_manifest(weight), _truth([1, 2, 0, 0, 0, 0, 0, 0, 0, 0], ["confusable", "no-class"] + ["right"] * 8))
    assert found.lightest == 3
    assert found.found == pytest.approx(1.5)
    assert found.kinds == {"confusable": KindFound(wrong=1, found=1.0), "no-class": KindFound(wrong=1, found=0.5)}


def test_kinds_come_most_frequent_first() -> None:
    kinds = ["cross-class", "no-class", "no-class", "right"]
    assert list(score(_manifest([1.0] * 4), _truth([2, -1, -1, 0], kinds)).kinds) == ["no-class", "cross-class"]


def test_undecodable_images_are_not_judged_and_dropped_ones_are_counted() -> None:
    manifest = _manifest([0.0, 0.0, 1.0, 1.0], [False, False, True, True])
    found = score(manifest, _truth([-2, 1, 0, 0]))
    assert (found.images, found.wrong, found.dropped, found.dropped_wrong) == (3, 1, 1, 1)


def test_rows_are_matched_by_path_and_strangers_to_the_truth_are_passed_over() -> None:
    manifest = _manifest([0.1, 1.0, 1.2, 0.05]).take([3, 2, 0, 1])  # 3.jpg is not in the truth
    found = score(manifest, _truth([1, 0, 0]))
    assert (found.images, found.found, found.auroc) == (3, 1.0, 1.0)


def test_without_wrong_labels_there_is_no_auroc() -> None:
    found = score(_manifest([1.0, 2.0]), _truth([0, 0]))
    assert found.auroc is None
    assert "AUROC" not in describe(found)


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (_manifest([1.0, 1.0]), "each of the truth's 3"),
        (pa.concat_tables([_manifest([1.0, 1.0, 1.0]), _manifest([1.0])]), "once"),
        (_manifest([1.0, float("nan"), 1.0]), "finite"),
    ],
    ids=["lacking", "twice", "nan"],
)
def test_a_manifest_that_does_not_fit_is_refused(manifest: pa.Table, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        score(manifest, _truth([0, 1, 0]))


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_that_of_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    wrong = np.array([bad for _, bad in rows])
    found = score(_manifest([weight for weight, _ in rows]), _truth([int(bad) for bad in wrong]))
    if wrong.all() or not wrong.any():
        assert found.auroc is None
    else:
        assert found.auroc == pytest.approx(roc_auc_score(wrong, [-weight for weight, _ in rows]))


def test_the_lines_say_what_was_found_and_that_it_is_synthetic() -> None:
    kinds = ["no-class", "other-sense", *["right"] * 8]
    lines = describe(
        score(_manifest([0.1, 1.0, 0.2, 0.3, *[1.0] * 6], [False, *[True] * 9]), _truth([-1, 2, *[0] * 8], kinds))
    )
    assert "synthetic" in lines.splitlines()[0]
    assert "Of 10 readable training pictures 2 carry a wrong label (20%)." in lines
    assert "Of the 3 lightest, 1 are wrong (33%; chance gives 20%): 50% of all wrong labels." in lines
    assert "of no class at all: 1 of 1 found (100%)" in lines
    assert "the word's other sense: 0 of 1 found (0%)" in lines
    assert "1 were left out of training altogether, 1 of them wrong." in lines


def test_doubles_are_judged_by_what_they_would_weigh_alone() -> None:
    manifest = pa.table({"image_id": [5, 6, 7, 8], "path": list("abcd"), "weight": [0.5, 0.5, 1.0, 0.0]})
    doubles = pa.table({"image_id": [7, 6, 5], "duplicate_group": [7, 5, 5], "leak": [False, False, False]})
    found = {row["path"]: row["weight"] for row in without_doubles(manifest, doubles).to_pylist()}
    assert found == {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0}  # d is of val: nobody looked for its doubles


def test_how_honest_the_probabilities_are() -> None:
    fused = pa.table({"path": ["1.jpg", "0.jpg", "2.jpg", "9.jpg"], "right_probability": [0.85, 0.85, 0.15, 0.5]})
    found = calibration(fused, _truth([0, 1, 1]))  # of 0 and 1, one is right: said .85, found .5; 2 is said .15, is 0
    assert found.images.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 2, 0]
    assert found.error == pytest.approx((2 * 0.35 + 0.15) / 3)
    assert "28% off on average over 3 pictures" in describe_calibration(found)
