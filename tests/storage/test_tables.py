"""Parquet with page checksums: damage is not read, streams keep the order."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.sealed import DamagedError
from pipeline.storage.tables import count_rows, iterate_table, read_part, read_rows, read_table, write_table

SCHEMA = pa.schema([pa.field("image_id", pa.int64(), nullable=False), pa.field("title", pa.string())])


def rows(start: int, stop: int) -> pa.Table:
    return pa.table({"image_id": list(range(start, stop)), "title": [f"t{i}" for i in range(start, stop)]})


def test_parts_come_back_in_order(tmp_path: Path) -> None:
    assert write_table(tmp_path / "part-00001.parquet", SCHEMA, [rows(3, 5)]) == 2
    assert write_table(tmp_path / "part-00000.parquet", SCHEMA, [rows(0, 1), rows(1, 3)]) == 3
    assert read_table(tmp_path)["image_id"].to_pylist() == [0, 1, 2, 3, 4]
    assert read_table(tmp_path, ("title",)).column_names == ["title"]
    batches = list(iterate_table(tmp_path, ("image_id",), rows=2))
    assert max(len(batch) for batch in batches) <= 2
    assert [i for batch in batches for i in batch.column(0).to_pylist()] == [0, 1, 2, 3, 4]


def test_the_schema_is_kept_to(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"part-00000\.parquet: columns"):
        write_table(tmp_path / "part-00000.parquet", SCHEMA, [rows(0, 1).rename_columns(["image_id", "titel"])])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="holds no table"):
        read_table(tmp_path)


def test_no_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    write_table(path, SCHEMA, [rows(0, 2000)])
    whole, told = path.read_bytes(), read_part(path)
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    first = column.dictionary_page_offset or column.data_page_offset
    noticed = 0
    for step in range(0, column.total_compressed_size, column.total_compressed_size // 40):
        damaged = bytearray(whole)
        damaged[first + step] ^= 1 << step % 8
        path.write_bytes(damaged)
        try:
            assert read_part(path).equals(told)  # a bit of a page header that nobody reads
        except DamagedError:
            noticed += 1
    assert noticed >= 36


def test_a_run_of_rows_over_parts_and_row_groups(tmp_path: Path) -> None:
    write_table(tmp_path / "part-00000.parquet", SCHEMA, [rows(0, 2), rows(2, 3)])  # two row groups
    write_table(tmp_path / "part-00001.parquet", SCHEMA, [rows(3, 6)])
    assert count_rows(tmp_path) == 6
    for start in range(6):
        for stop in range(start + 1, 8):
            found = read_rows(tmp_path, range(start, stop), ("title",))
            assert found["title"].to_pylist() == [f"t{i}" for i in range(start, min(stop, 6))]
    with pytest.raises(IndexError, match="holds 6 rows, none of"):
        read_rows(tmp_path, range(6, 7), ("title",))


def test_distinct_columns_are_written_without_a_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    schema = pa.schema([("image_id", pa.int64()), ("title", pa.string()), ("tags", pa.list_(pa.string()))])
    table = pa.table({"image_id": range(4), "title": ["a"] * 4, "tags": [["b"], [], ["b", "b"], None]}, schema=schema)
    write_table(path, schema, [table])
    group = pq.read_metadata(path).row_group(0)
    assert [group.column(at).has_dictionary_page for at in range(3)] == [False, True, True]
    assert (group.column(0).statistics.min, group.column(0).statistics.max) == (0, 3)
    assert read_part(path).equals(table)
