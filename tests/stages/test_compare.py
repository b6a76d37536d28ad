"""Two manifests image by image: figures by hand and against pandas, whatever the parts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.policy.comparison import CHANGES, Comparison, Moved
from pipeline.records import MANIFEST
from pipeline.stages.compare import compare
from pipeline.storage import parted
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import part_path, read_part, write_table

NOTHING = {"class_index": 0, "weight": 0.0, "repeats": 0, "stage": 0, "reason": "left out"}
FAR = 2**60  # ids that lie in different parts


def row(image_id: int, weight: float = 0.0, **more: Any) -> dict[str, Any]:
    told = {**NOTHING, "weight": weight, "repeats": int(weight > 0), **more}
    kept = told["weight"] > 0 and told["repeats"] > 0
    return {"image_id": image_id, "path": f"{image_id}.jpg", "kept": kept, **told}


def manifest(folder: Path, rows: list[dict[str, Any]]) -> Artifact:
    path = part_path(folder / "manifest", 0)
    write_table(path, MANIFEST, [pa.Table.from_pylist(rows, schema=MANIFEST)])
    return Artifact("manifest", folder.name, folder.name, folder, {}, made=True)


def compared(folder: Path, a: list[dict[str, Any]], b: list[dict[str, Any]], top: int = 2) -> Comparison:
    return compare(manifest(folder / "a", a), manifest(folder / "b", b), folder / "diff.parquet", classes=3, top=top)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parted, "PART_ROWS", 2)


A = [
    row(-FAR, 1.0, reason="its cluster holds 25% of its class"),
    row(1, 0.5, repeats=2, reason="seen 2 times an epoch"),
    row(2, 1.0, class_index=1, reason="counts as it is"),
    row(3, 1.0, reason="counts as it is"),
    row(4, reason="quarantined: broken"),
    row(FAR, 1.0, class_index=2, reason="counts as it is"),
]
B = [
    row(FAR, reason="small cluster, left out", class_index=2),
    row(5, 1.0, class_index=2, reason="counts as it is"),
    row(4, reason="quarantined: broken"),
    row(2, 1.0, class_index=0, reason="counts as it is; trained on as the suggested class"),
    row(1, 0.25, repeats=2, reason="seen 2 times an epoch"),
    row(-FAR, 1.5, reason="its cluster holds 1,250.5% of its class"),
]


def test_who_changed_by_how_much_and_why(tmp_path: Path) -> None:
    found = compared(tmp_path, A, B)
    images = dict(zip(CHANGES, found.images.tolist(), strict=True))
    assert {name: count for name, count in images.items() if count} == {
        "only in A": 1,  # 3
        "only in B": 1,  # 5
        "dropped": 1,  # FAR
        "lighter": 1,  # 1
        "heavier": 1,  # -FAR
        "unchanged": 1,  # 2, of another class
        "in neither": 1,  # 4
    }
    assert found.say_a.tolist() == [1, 0, 1, 0, 1, 1, 1, 0]
    assert found.say_b.tolist() == [0, 1, 0, 0, 0.5, 1.5, 1, 0]
    assert found.relabelled == 1
    # A has 5 in all, B 4: shares of -FAR .2 -> .375, of 2 .2 -> .25, of 5 0 -> .25
    assert found.moved == pytest.approx(0.175 + 0.05 + 0.25)
    assert found.ratios.tolist() == pytest.approx([0.5, 0.5, 0.5, 1, 1.5, 1.5, 1.5])
    assert found.kept.tolist() == [[3, 1, 1], [3, 0, 1]]
    assert found.class_say.tolist() == [[3, 1, 1], [3, 0, 1]]
    assert found.changed.tolist() == [4, 0, 2]
    assert [one["image_id"] for one in found.most_lost] == [3, FAR]  # as much, the lower id first
    assert [one["image_id"] for one in found.most_gained] == [5, -FAR]
    assert [one["image_id"] for one in found.most_relabelled] == [2]
    assert found.phrases["its cluster holds …% of its class"].stays == Moved(1, 0.5)
    assert found.phrases["counts as it is"].gone == Moved(2, -2.0)  # 3, FAR
    assert found.phrases["trained on as the suggested class"].come == Moved(1, 0.0)


def test_every_change_is_a_row_with_both_sides(tmp_path: Path) -> None:
    compared(tmp_path, A, B)
    rows = {row["image_id"]: row for row in read_part(tmp_path / "diff.parquet").to_pylist()}
    assert list(rows) == [-FAR, 1, 2, 3, 5, FAR]
    assert rows[5] == {
        "image_id": 5,
        "path": "5.jpg",
        "change": "only in B",
        "class_index_a": None,
        "class_index_b": 2,
        "weight_a": None,
        "weight_b": 1.0,
        "repeats_a": None,
        "repeats_b": 1,
        "reason_a": None,
        "reason_b": "counts as it is",
    }
    assert (rows[3]["path"], rows[3]["change"], rows[3]["weight_b"]) == ("3.jpg", "only in A", None)
    assert (rows[2]["change"], rows[2]["class_index_a"], rows[2]["class_index_b"]) == ("unchanged", 1, 0)


def test_a_manifest_against_itself_is_unchanged(tmp_path: Path) -> None:
    found = compared(tmp_path, A, A)
    assert found.images.tolist() == [0, 0, 0, 0, 0, 0, 5, 1]
    assert (found.moved, found.relabelled, found.most_lost, found.changed.sum()) == (0, 0, [], 0)
    assert read_part(tmp_path / "diff.parquet").num_rows == 0
    one = compared(tmp_path / "none", A[:1], A[1:2])
    assert np.isnan(one.ratios).all()


SIDES = st.dictionaries(
    st.integers(-(2**63), 2**63 - 1) | st.integers(0, 5),
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.integers(0, 2), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=15)  # files
@given(SIDES, SIDES)
def test_the_figures_are_pandas(tmp_path_factory: pytest.TempPathFactory, a: dict[int, Any], b: dict[int, Any]) -> None:
    sides = []
    for told in (a, b):
        told[7] = (1.0, 1, 0)  # something is trained on
        rows = [row(i, weight, repeats=repeats, class_index=label) for i, (weight, repeats, label) in told.items()]
        sides.append(rows)
    folder = tmp_path_factory.mktemp("sides")
    found = compared(folder, sides[0], sides[1], top=100)
    both = [pd.DataFrame(rows).set_index("image_id") for rows in sides]
    say = [(one.weight * one.repeats).where(one.kept, 0) for one in both]
    joined = pd.concat(say, axis=1, keys=["a", "b"])
    full = joined.fillna(0)
    assert found.say_a.sum() == pytest.approx(full.a.sum())
    assert found.say_b.sum() == pytest.approx(full.b.sum())
    assert found.images.sum() == len(joined)
    assert found.images[[0, 1]].tolist() == [joined.b.isna().sum(), joined.a.isna().sum()]
    assert found.images[[2, 3]].tolist() == [
        ((joined.a > 0) & (joined.b == 0)).sum(),
        ((joined.a == 0) & (joined.b > 0)).sum(),
    ]
    assert found.moved == pytest.approx((full.b / full.b.sum() - full.a / full.a.sum()).clip(lower=0).sum())
    gain = (full.b - full.a)[full.b > full.a]
    assert sorted(one["image_id"] for one in found.most_gained) == sorted(gain.index)
    for at, (one, weight) in enumerate(zip(both, say, strict=True)):
        by_class = weight.groupby(one.class_index).sum().reindex(range(3), fill_value=0)
        assert found.class_say[at].tolist() == pytest.approx(by_class.tolist())
