"""Rows in the order of their ids, whatever the parts."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.storage import parted as module
from pipeline.storage.parted import Parted

SCHEMA = pa.schema([("image_id", pa.int64()), ("text", pa.string())])
IDS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-2, 2))


def rows(ids: list[int], first: int) -> pa.Table:
    texts = [f"row {k}" for k in range(first, first + len(ids))]
    return pa.table({"image_id": pa.array(ids, pa.int64()), "text": texts}, schema=SCHEMA)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 3)


@settings(deadline=None)  # files
@given(st.lists(st.lists(IDS, max_size=8), max_size=5))
def test_parts_put_together_are_a_stable_sort(added: list[list[int]]) -> None:
    ids = [image for batch in added for image in batch]
    with Parted(SCHEMA, len(ids)) as parted:
        first = 0
        for batch in added:
            parted.add(rows(batch, first))
            first += len(batch)
        found = pa.concat_tables(parted.parts())
    order = np.argsort(np.array(ids, np.int64), kind="stable")
    assert found["image_id"].to_pylist() == [ids[k] for k in order]
    assert found["text"].to_pylist() == [f"row {k}" for k in order]


def test_scattered_ids_fill_the_parts_evenly() -> None:
    ids = (np.arange(3000).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
    with Parted(SCHEMA, 3000) as parted:
        parted.add(rows(ids.tolist(), 0))
        sizes = [len(part) for part in parted.parts()]
    assert (len(sizes), sum(sizes)) == (256, 3000)
    assert 10 <= min(sizes) <= max(sizes) <= 14


def test_two_tables_of_one_size_keep_step() -> None:
    with Parted(SCHEMA, 12) as one, Parted(SCHEMA, 12) as other:
        one.add(rows([-(2**62), 5], 0))
        other.add(rows([5, 2**62], 0))
        pairs = [
            (a["image_id"].to_pylist(), b["image_id"].to_pylist())
            for a, b in zip(one.parts(), other.parts(), strict=True)
        ]
    assert pairs == [([], []), ([-(2**62)], []), ([5], [5]), ([], [2**62])]
