"""The manifest as CSV for a spreadsheet: RFC 4180, UTF-8 with its mark, and no cell that could run.

A spreadsheet runs what begins like a formula. So an apostrophe stands before any text that does, and also within a
text wherever a comma, semicolon, tab or line end comes before such a beginning: in countries with a decimal comma, a
spreadsheet parts the line at semicolons, whatever is quoted. An image id has one too, because a spreadsheet rounds
whole numbers of more than 15 digits.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.export.source import ExportSource, Progress
from pipeline.storage.atomic import atomic_file
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.spreadsheet import FORMULA
from pipeline.storage.tables import table_schema

MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()  # tells spreadsheets that it is UTF-8
FILE_BATCHES: Final = 16  # of BATCH_ROWS: a million rows, and a spreadsheet takes 1,048,576
_BEGINNING: Final = re.escape("".join(FORMULA.split()))
_AT_START: Final = rf"\A('|[\"' ]*[{_BEGINNING}\t\r\n])"
_WITHIN: Final = rf"([,;\t\r\n][\"' ]*)([{_BEGINNING}])"

Cells = Mapping[str, pa.Array | pa.ChunkedArray]  # columns by name, of one length


def write_csv(draft: Draft, source: ExportSource, on_progress: Progress) -> Facts:
    """Every row of the manifest, with its crawl and the names of its classes, in files of at most a million rows."""
    columns = [name for name in table_schema(source.manifest.table("manifest")).names if name != "image_id"]
    rows = source.rows(columns, on_progress=on_progress)
    total = 0
    for number, part in groupby(enumerate(rows), lambda pair: pair[0] // FILE_BATCHES):
        path = draft.folder / f"manifest-{number:05d}.csv"
        done = draft.finished(number)
        if done is None:
            done = {"images": publish_csv(path, (_named(source, crawl, table) for _, (crawl, table) in part))}
            draft.finish(number, {path: done["images"]}, done)
        total += done["images"]
    return {"images": total, "left_out": 0, "notes": []}


def publish_csv(path: Path, tables: Iterable[Cells]) -> int:
    """Write tables of the same columns, one below the other, as one file, whole or not at all; gives its rows."""
    rows = 0
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        stream.write(MARK)
        for number, cells in enumerate(tables):
            if not number:
                stream.write((",".join(f'"{name}"' for name in cells) + "\r\n").encode())
            lines = pc.binary_join_element_wise(*(cell(name, column) for name, column in cells.items()), ",")
            stream.write(joined(lines, "\r\n"))
            rows += len(lines)
    return rows


def cell(name: str, column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Values as they stand between the commas; a null is empty."""
    text = pc.cast(column, pa.string())
    if name == "image_id":
        text = pc.binary_join_element_wise("'", text, "")
    elif pa.types.is_string(column.type):
        text = guarded(text)
    else:
        return _whole(pc.fill_null(text, ""))
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return _whole(pc.fill_null(quoted, ""))


def guarded(text: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Texts with an apostrophe before whatever a spreadsheet would run."""
    text = pc.replace_substring_regex(text, r"\x00", " ")
    text = pc.replace_substring_regex(text, _WITHIN, r"\1'\2")
    return pc.replace_substring_regex(text, _AT_START, r"'\0")


def joined(lines: pa.Array, end: str) -> bytes:
    """Lines as UTF-8, `end` after each."""
    if not len(lines):
        return b""
    every = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    text: str = pc.binary_join(every, end)[0].as_py()
    return (text + end).encode()


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _named(source: ExportSource, crawl: int, rows: pa.Table) -> Cells:
    """The manifest's columns with the crawl's name before the path, and class names beside the numbers."""
    cells: dict[str, Any] = {}
    for name in rows.column_names:
        if name == "path":
            cells["crawl"] = pa.repeat(source.listings[crawl].partition, len(rows))
        cells[name] = rows[name]
        if name in ("class_index", "suggested_class"):
            cells[f"{name}_name"] = source.classes["name"].take(rows[name])
    return cells
