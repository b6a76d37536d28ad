"""Parquet as we write and read it: page checksums always, bounded memory where a table is streamed."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.atomic import atomic_file
from pipeline.storage.sealed import DamagedError

ROW_GROUP_ROWS = 131_072
#: Columns in which hardly a value comes twice: written without a dictionary, which of ids takes ten times the time and
#: a quarter more room.
DISTINCT: Final = frozenset({"image_id", "path", "sha256", "neighbours"})


def write_table(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch | pa.Table]) -> int:
    """Publish one Parquet file of exactly `schema`; returns its row count.

    Raises:
        ValueError: a batch has other columns or types than the schema.
    """
    rows, repeating = 0, [_leaf(field) for field in schema if field.name not in DISTINCT]
    with (
        atomic_file(path) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="zstd", write_page_checksum=True, use_dictionary=repeating
        ) as writer,
    ):
        for batch in batches:
            table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            if table.schema.names != schema.names:
                raise ValueError(f"{path.name}: columns {table.schema.names} are not the schema's {schema.names}")
            writer.write_table(table.cast(schema), row_group_size=ROW_GROUP_ROWS)
            rows += table.num_rows
    return rows


def _leaf(field: pa.Field) -> str:
    """What Parquet calls the values of a column."""
    return f"{field.name}.list.element" if pa.types.is_nested(field.type) else str(field.name)


def part_path(folder: Path, number: int) -> Path:
    """Where a table's part of that number lies, or will."""
    return folder / f"part-{number:05d}.parquet"


def part_paths(folder: Path) -> list[Path]:
    """The Parquet parts of a table's folder, in order."""
    return sorted(folder.glob("part-*.parquet"))


def read_table(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole table (or some columns of it) from its parts, every page's checksum verified.

    Raises:
        FileNotFoundError: the folder holds no part.
        DamagedError: a page is damaged.
    """
    parts = part_paths(folder)
    if not parts:
        raise FileNotFoundError(f"{folder} holds no table: no part-*.parquet in it")
    return pa.concat_tables([read_part(part, columns) for part in parts])


@contextlib.contextmanager
def open_part(path: Path) -> Iterator[pq.ParquetFile]:
    """One part of a table, every page's checksum verified as it is read.

    Raises:
        DamagedError: what is read is not what was written.
        OSError: the file is not there, or the disk fails.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's own, not Arrow's
            raise
        raise DamagedError(path, f"no Parquet as it was written ({str(error).splitlines()[0]})") from None


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One part of a table, every page's checksum verified."""
    with open_part(path) as file:
        return file.read(columns=list(columns) if columns is not None else None)


def count_rows(folder: Path) -> int:
    """Rows of a whole table, by its parts' footers alone."""
    return sum(read_footer(part).num_rows for part in part_paths(folder))


def read_footer(path: Path) -> pq.FileMetaData:
    """What the end of a part tells of all of it."""
    with open_part(path) as file:
        return file.metadata


def table_schema(folder: Path) -> pa.Schema:
    """The columns of a table, by its first part's footer alone."""
    with open_part(part_paths(folder)[0]) as file:
        return file.schema_arrow


def read_rows(folder: Path, rows: range, columns: Sequence[str]) -> pa.Table:
    """Some columns of a run of the table's rows: only the row groups that hold them are read, checksums verified.

    Args:
        folder: of the table.
        rows: a run of row numbers over all parts; numbers past the end hold nothing.
        columns: which to read.
    """
    return RowReader(folder).read(rows, columns)


class RowReader:
    """Runs of a table's rows; where its parts begin is read once."""

    def __init__(self, folder: Path) -> None:
        """Read the parts' footers."""
        self._folder = folder
        self._parts = part_paths(folder)
        self._starts = list(itertools.accumulate((read_footer(part).num_rows for part in self._parts), initial=0))

    def read(self, rows: range, columns: Sequence[str]) -> pa.Table:
        """As `read_rows`."""
        found = []
        for part, start, stop in zip(self._parts, self._starts, self._starts[1:], strict=False):
            if rows.start < stop and start < rows.stop:
                found += _rows_of_part(part, range(rows.start - start, rows.stop - start), columns)
        if not found:
            raise IndexError(f"{self._folder} holds {self._starts[-1]} rows, none of {rows}")
        return pa.concat_tables(found)


def _rows_of_part(part: Path, rows: range, columns: Sequence[str]) -> list[pa.Table]:
    found, begin = [], 0
    with open_part(part) as file:
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            first, last = max(rows.start, begin), min(rows.stop, end)
            if first < last:
                held = file.read_row_group(group, columns=list(columns))
                found.append(held.slice(first - begin, last - first))
            begin = end
    return found


class Steps:
    """A table read in steps of any length, a bounded number of rows in memory."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """Begin at the first row.

        Args:
            folder: of the table; where there is none, it has no rows.
            schema: the columns to read.
        """
        self._batches = iterate_table(folder, schema.names)
        self._ahead: pa.Table = schema.empty_table()

    def peek(self, rows: int) -> pa.Table:
        """The next rows, fewer only at the table's end."""
        while len(self._ahead) < rows and (batch := next(self._batches, None)) is not None:
            self._ahead = pa.concat_tables([self._ahead, pa.Table.from_batches([batch]).cast(self._ahead.schema)])
        return self._ahead.slice(0, rows)

    def drop(self, rows: int) -> None:
        """Pass over the next rows."""
        self._ahead = self._ahead.slice(rows)


def iterate_table(folder: Path, columns: Sequence[str] | None = None, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The table's rows in order, at most `rows` at a time: memory does not grow with the table."""
    for part in part_paths(folder):
        yield from iterate_part(part, columns, rows)


def iterate_part(path: Path, columns: Sequence[str] | None = None, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """One part's rows in order, at most `rows` at a time, every page's checksum verified."""
    with open_part(path) as file:
        yield from file.iter_batches(batch_size=rows, columns=list(columns) if columns is not None else None)
