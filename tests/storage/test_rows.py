"""A few rows of a table of several parts and row groups, against reading all of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import tables
from pipeline.storage.rows import RowGroup, find_rows, row_groups, take_rows
from pipeline.storage.tables import part_path, read_table, write_table

SCHEMA = pa.schema([pa.field("number", pa.int32()), pa.field("word", pa.string())])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts of five and two rows, in groups of two."""
    made = tmp_path_factory.mktemp("table")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "ROW_GROUP_ROWS", 2)
        parts: list[list[int | None]] = [[3, None, 5, 4, None], [9, 8]]
        for part, numbers in enumerate(parts):
            words = [None if number is None else f"word {number}" for number in numbers]
            write_table(part_path(made, part), SCHEMA, [pa.table({"number": numbers, "word": words}, schema=SCHEMA)])
    return made


def test_footers_tell_of_every_group(folder: Path) -> None:
    assert list(row_groups(folder, "number")) == [
        RowGroup(range(2), 3, 3, 1),
        RowGroup(range(2, 4), 4, 5, 0),
        RowGroup(range(4, 5), None, None, 1),
        RowGroup(range(5, 7), 8, 9, 0),
    ]


@given(st.lists(st.integers(0, 6), max_size=9))
def test_rows_come_in_the_order_asked_for(folder: Path, rows: list[int]) -> None:
    found = take_rows(folder, np.array(rows, np.int64), ("word", "number"))
    assert found.column_names == ["word", "number"]
    assert found.to_pylist() == read_table(folder, ("word", "number")).take(pa.array(rows, pa.int64())).to_pylist()


@pytest.mark.parametrize(("row", "why"), [(-1, "counted from 0, not -1"), (7, "holds 7 rows, no row 7")])
def test_rows_that_are_not_there_are_refused(folder: Path, row: int, why: str) -> None:
    with pytest.raises(IndexError, match=why):
        take_rows(folder, np.array([2, row]), ("word",))


def test_only_the_groups_that_hold_a_row_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, group: int, columns: list[str]) -> pa.Table:
        read.append(group)
        return whole(file, group, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert take_rows(folder, np.array([3, 2]), ("number",))["number"].to_pylist() == [4, 5]
    assert read == [1]


def test_rows_are_found_by_what_they_hold(folder: Path) -> None:
    odd = find_rows(folder, ("number",), lambda batch: np.nan_to_num(batch["number"].to_numpy(False)) % 2 == 1)
    assert odd.tolist() == [0, 2, 5]
    assert find_rows(folder, ("number",), lambda batch: np.zeros(batch.num_rows, np.bool_)).tolist() == []
