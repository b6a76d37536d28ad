"""How decisions become a manifest's weights, in whatever blocks they are worked at."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.policy.policy import Policy
from pipeline.stages.decisions import scale_to_mean_one
from pipeline.stages.manifest import make_manifest
from pipeline.storage import arrays, buckets
from pipeline.storage.tables import read_table
from tests.policy.tables import part
from tests.stages.tiny_store import add_evidence, two_crawls


@pytest.fixture(params=[1, 3, 2**18])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    rows: int = request.param
    monkeypatch.setattr(arrays, "BLOCK_ROWS", rows)
    monkeypatch.setattr(buckets, "BUCKET_ROWS", rows)
    return rows


@pytest.mark.usefixtures("block")
def test_mean_one_counts_repeats_and_drops_what_is_not_seen() -> None:
    weight = np.array([1.0, 3.0, 9.0], np.float32)
    scale_to_mean_one(weight, np.array([2, 1, 0]))
    # seen: 1, 1, 3 -> mean 5/3
    assert weight.tolist() == pytest.approx([0.6, 1.8, 0.0])
    with pytest.raises(ValueError, match="leaves nothing to train on"):
        scale_to_mean_one(np.array([1.0]), np.array([0]))


@given(
    st.lists(st.tuples(st.floats(0, 1e3, allow_subnormal=False), st.integers(0, 4)), min_size=1).filter(
        lambda rows: sum(w * r for w, r in rows) > 1e-3
    )
)
def test_the_mean_over_an_epoch_is_one(rows: list[tuple[float, int]]) -> None:
    weight, repeats = (np.array(column) for column in zip(*rows, strict=True))
    scale_to_mean_one(weight, repeats)
    assert (weight * repeats).sum() / repeats.sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.usefixtures("block")
def test_blocks_change_nothing(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    # 100 and 104 are one picture, 101 and 201 another; 103 repeats one of val
    add_evidence(
        store,
        ["a", "bb"],
        "duplicates",
        duplicate_group=[100, 101, 103, 200, 100, 101],
        training_copies=[2, 2, 1, 1, 2, 2],
        leak=[False, False, True, False, False, False],
    )
    add_evidence(
        store, ["a", "bb"], "opinion", confidence=[1, None, 0, 1, 0.5, 1], opinion_class=[None, 2, *[None] * 4]
    )
    artifact = make_manifest(store, "mine", Policy(parts=(part("opinion-weight", floor=0.5),)), ["a", "bb"])
    rows = {row["image_id"]: row for row in read_table(artifact.table("manifest")).to_pylist()}
    # class 0: 1, unknown, 1 -> 1, 1, 1; class 2: .75 and 1 of mean .875. Halved for the two pairs: sum 3, mean .6
    first, second = 0.75 / 0.875 / 2 / 0.6, 1 / 0.875 / 2 / 0.6
    told = {100: 0.5 / 0.6, 101: 0.5 / 0.6, 103: 0, 200: 1 / 0.6, 104: first, 201: second, 102: 0, 105: 0}
    assert {i: row["weight"] for i, row in rows.items()} == pytest.approx(told)
    assert [rows[i]["confidence"] for i in (100, 101, 200, 104, 103, 102)] == [1, None, 1, 0.5, None, None]
    assert [rows[i]["suggested_class"] for i in (100, 101)] == [None, 2]
    assert rows[103]["reason"] == "repeats a val or test image, not trained on"
    assert rows[201]["reason"].endswith("; shares one image's weight with 1 double")
    assert artifact.facts == {
        "rows": 8,
        "trainable": 5,
        "leaks": 1,
        "refused": 0,
        "kept": 5,
        "suggested": 1,
        "relabelled": 0,
        "images_per_epoch": 5,
        "mean_weight": pytest.approx(1),
        "min_weight": pytest.approx(first),
        "max_weight": pytest.approx(1 / 0.6),
        "classes": 2,
        "classes_without_images": [],
    }
