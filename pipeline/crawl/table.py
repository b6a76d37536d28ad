"""Crawls delivered as tables: Parquet, CSV or JSONL with a path or the picture's bytes in each row."""

import base64
import binascii
import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crawl.bounded import bounded
from pipeline.crawl.files import CrawlFiles, DefectError
from pipeline.crawl.metadata import DOCUMENT_LIMIT, column, described, label_of, open_text, parse_json, split_of
from pipeline.crawl.rows import Contents, CrawlError, Row
from pipeline.crawl.settings import Columns
from pipeline.crawl.spool import Spool

Record = dict[str, Any]
_ROWS_WITH_PICTURES: Final = 64
_ROWS_WITHOUT: Final = 8_192
EXPANDED: Final = 4 * 2**30  # bytes that so many rows may take in memory
_SPLIT_REMEDY: Final = "Write train, val or test, or map another column as split."


def read(files: CrawlFiles, tables: Sequence[str], columns: Columns, spool: Spool) -> Contents:
    """The rows of several tables, in the order of their names.

    Args:
        files: the folder that the tables and the pictures' paths are relative to.
        tables: paths of the tables, by suffix .parquet, .csv or .jsonl.
        columns: which column tells what.
        spool: takes the pictures' bytes where `columns.image` is set.

    Raises:
        CrawlError: while the rows are read, where a table is damaged or a row lacks its path or label.
    """
    odd: Counter[str] = Counter()
    return Contents(rows=_rows(files, tables, columns, spool, odd), odd=odd)


def _rows(files: CrawlFiles, tables: Sequence[str], columns: Columns, spool: Spool, odd: Counter[str]) -> Iterator[Row]:
    for table in tables:
        for line, record in RECORDS[PurePosixPath(table).suffix.lower()](files, table, columns):
            label, split = label_of(column(record, columns.label)), split_of(column(record, columns.split))
            if label is None:
                raise CrawlError(table, f"no label in column {columns.label!r}", "Every picture needs a class.", line)
            if split is None:
                raise CrawlError(table, f"unknown split {column(record, columns.split)!r:.60}", _SPLIT_REMEDY, line)
            path = column(record, columns.path)
            if columns.image is None and not (isinstance(path, str) and path):
                raise CrawlError(table, f"no path in column {columns.path!r}", "Every row needs one.", line)
            row = Row(path if isinstance(path, str) and path else f"{table}/{line}", label, split, table, line)
            row = row._replace(**described(record, columns, odd))
            if columns.image is not None:
                row = row._replace(**spool.append(_image(column(record, columns.image)))._asdict())
            yield row


def _image(value: Any) -> bytes:
    """The bytes in a cell. What is no picture is copied as it is, and the decoder will say so of this one row."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        return b""
    written = value.encode("utf-8", "replace")
    try:
        return base64.b64decode(written, validate=True)
    except binascii.Error:
        return written


def _parquet(files: CrawlFiles, table: str, columns: Columns) -> Iterator[tuple[int, Record]]:
    number = 0
    try:
        with files.open(table) as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
            wanted = _wanted(table, file.schema_arrow.names, columns)
            rows = _ROWS_WITH_PICTURES if columns.image else _ROWS_WITHOUT
            batches = file.iter_batches(batch_size=rows, columns=wanted, use_threads=False)
            while (records := _expanded(batches)) is not None:
                for record in records:
                    number += 1
                    yield number, record
    except MemoryError:
        remedy = "Is it a crawl? Write it with fewer bytes in a cell."
        raise CrawlError(table, f"{rows} rows take more than {EXPANDED:,} bytes", remedy, number + 1) from None
    except (pa.ArrowException, OSError, UnicodeDecodeError, DefectError) as error:
        raise CrawlError(table, f"not readable as Parquet ({error})", "Write the file again.", number + 1) from None


def _expanded(batches: Iterator[pa.RecordBatch]) -> list[Record] | None:
    """The next rows, or None; a small file may hold one long cell a million times."""
    with bounded(EXPANDED):
        batch = next(batches, None)
        return None if batch is None else batch.to_pylist()


def _csv(files: CrawlFiles, table: str, columns: Columns) -> Iterator[tuple[int, Record]]:
    with open_text(files, table) as stream:
        csv.field_size_limit(DOCUMENT_LIMIT)  # the module's own limit would refuse pictures
        reader = csv.DictReader(stream, strict=True)
        try:
            _wanted(table, reader.fieldnames or (), columns)
            for record in reader:
                if None in record:
                    raise CrawlError(table, "more cells than the header", "Quote cells with commas.", reader.line_num)
                yield reader.line_num, {name: value or None for name, value in record.items()}
        except csv.Error as error:
            raise CrawlError(table, f"broken CSV: {error}", "Repair the row.", reader.line_num + 1) from None


def _jsonl(files: CrawlFiles, table: str, columns: Columns) -> Iterator[tuple[int, Record]]:  # noqa: ARG001
    try:
        stream = files.open(table)
    except DefectError as defect:
        raise CrawlError(table, str(defect), "Put the table there.") from None
    with stream:
        number = 0
        while line := stream.readline(DOCUMENT_LIMIT + 1):
            number += 1
            if len(line) > DOCUMENT_LIMIT:
                raise CrawlError(table, f"a line of more than {DOCUMENT_LIMIT} bytes", "Is it JSONL?", number)
            if not line.strip():
                continue
            record = parse_json(line, table, number)
            if not isinstance(record, dict):
                raise CrawlError(table, "no object", "Each line must be one {...} that names no key twice.", number)
            yield number, record


RECORDS: Final[dict[str, Callable[[CrawlFiles, str, Columns], Iterator[tuple[int, Record]]]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
}


def _wanted(table: str, present: Sequence[str], columns: Columns) -> list[str]:
    """The columns to read. One that was mapped by hand, and the label, must be there."""
    wanted = []
    for one in fields(columns):
        name = getattr(columns, one.name)
        if name in present or (name and name.partition(".")[0] in present):
            wanted.append(name)
        elif one.name == "label" or name != one.default or (one.name == "path" and columns.image is None):
            raise CrawlError(
                table,
                f"no column {name!r} for the {one.name}; it has {', '.join(present)}",
                "Map the columns in the crawl's settings, or set its layout.",
                1,
            )
    return wanted
