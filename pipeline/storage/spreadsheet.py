"""Lines of a table that a person filled in: CSV as spreadsheets write it, or Parquet."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

#: What a spreadsheet takes for the beginning of a formula, the full-width forms too.
FORMULA: Final = (
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
LONGEST_LINE: Final = 2**24  # characters
_DELIMITERS: Final = ",;\t"  # a spreadsheet writes what its country's decimal point leaves free


@dataclass(frozen=True)
class Line:
    """One line of a table, or why the table ends there."""

    number: int  # of a CSV file, where the row begins, from 1 for the header; of Parquet, the row from 1
    cells: Mapping[str, str]  # of the columns asked for; empty where there is nothing
    defect: str = ""


def unguarded(text: str) -> str:
    """The text without the apostrophe that keeps a spreadsheet from taking it for a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] and text[1] in f"'{FORMULA}" else text


def read_lines(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    """The lines of a CSV or Parquet file, one in memory at a time; cells come unguarded and without space around.

    Where a CSV file is broken, the last line tells so: nothing after it can be read.

    Args:
        path: of the file; one called .parquet is read as that, any other as CSV.
        columns: which to read, by names without regard to case. One that is not there is empty in every line.

    Raises:
        ValueError: the file is not readable as such, or has a column twice.
        OSError: it cannot be opened.
    """
    return _parquet_lines(path, columns) if path.suffix.lower() == ".parquet" else _csv_lines(path, columns)


def _parquet_lines(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            named = _named(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(columns=[file.schema_arrow.names[at] for at in named.values()]):
                values = {name: batch[file.schema_arrow.names[at]].to_pylist() for name, at in named.items()}
                for row in range(batch.num_rows):
                    number += 1
                    told = {name: own[row] for name, own in values.items()}
                    yield Line(number, _cells({name: "" if v is None else str(v) for name, v in told.items()}, columns))
    except pa.ArrowException as error:
        raise ValueError(f"{path}: not readable as Parquet: {error}") from None


def _csv_lines(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    csv.field_size_limit(LONGEST_LINE)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        head = stream.readline(LONGEST_LINE)
        stream.seek(0)
        reader = csv.reader(_lines(stream), delimiter=max(_DELIMITERS, key=head.count), strict=True)
        number = 1
        try:
            header = next(reader, [])
            named = _named(path, header, columns)
            number = reader.line_num + 1
            for row in reader:
                if len(row) > len(header):
                    yield Line(number, {}, "it has more cells than the header: quote cells that hold a delimiter")
                elif row:
                    yield Line(number, _cells({name: row[at] for name, at in named.items() if at < len(row)}, columns))
                number = reader.line_num + 1
        except csv.Error as error:
            yield Line(number, {}, f"broken CSV ({error}): nothing from here on was read; repair it and give it again")


def _lines(stream: TextIO) -> Iterator[str]:
    while line := stream.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise csv.Error(f"a line of more than {LONGEST_LINE:,} characters")
        yield line


def _named(path: Path, header: Sequence[str], columns: Sequence[str]) -> dict[str, int]:
    """Column -> where it stands; of those that are there."""
    bare = [name.strip().casefold() for name in header]
    twice = [name for name in columns if bare.count(name) > 1]
    if twice:
        raise ValueError(f"{path}: more than one column {twice[0]!r}: keep one")
    return {name: bare.index(name) for name in columns if name in bare}


def _cells(told: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    return {name: unguarded(told.get(name, "").strip()) for name in columns}
