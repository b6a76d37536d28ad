"""A crawl's own lists, JSON and words: read within limits, checked, and refused by file, line and column."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from pipeline.crawl.files import CrawlFiles, DefectError
from pipeline.crawl.rows import SPLIT_NAMES, CrawlError
from pipeline.crawl.settings import Columns
from pipeline.records import Split

#: Bytes of one JSON document, or one line of JSONL or CSV.
DOCUMENT_LIMIT: Final = 64 * 2**20
#: Characters of one line of a list.
LINE_LIMIT: Final = 65_536
#: Characters of one title or description, or of one image's tags together: a batch of them must fit into memory.
TEXT_LIMIT: Final = 16_384


def open_text(files: CrawlFiles, path: str) -> io.TextIOWrapper:
    """One of the crawl's own files as text; bytes that are not UTF-8 become backslash escapes.

    Raises:
        CrawlError: it cannot be opened.
    """
    try:
        stream = files.open(path)
    except DefectError as defect:
        raise CrawlError(path, str(defect), "The layout needs this file: put it there.") from None
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="backslashreplace", newline="")


def lines(files: CrawlFiles, path: str) -> Iterator[tuple[int, str]]:
    """The lines of a list that hold anything, each with its number from 1, without the line's end.

    Raises:
        CrawlError: the file cannot be opened, or a line is longer than LINE_LIMIT.
    """
    with open_text(files, path) as stream:
        number = 0
        while line := stream.readline(LINE_LIMIT + 1):
            number += 1
            if len(line) > LINE_LIMIT:
                raise CrawlError(path, f"a line of more than {LINE_LIMIT} characters", "Is it a list?", number)
            if line := line.rstrip("\r\n"):
                yield number, line


def parse_json(data: bytes, file: str, line: int = 1) -> Any:
    """The value of untrusted JSON. Numbers are floats; an object that names a key twice is None.

    Args:
        data: the document.
        file: its name, for the refusal.
        line: the file's line that the document begins on.

    Raises:
        CrawlError: it is no JSON, no UTF-8, or nested too deeply.
    """
    remedy = "Repair or replace the file."
    try:
        # float never fails, where int refuses more than 4,300 digits.
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_int=float)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = error.start - before.rfind(b"\n")
        raise CrawlError(file, "not UTF-8", remedy, line + before.count(b"\n"), column) from None
    except json.JSONDecodeError as error:
        raise CrawlError(file, f"broken JSON: {error.msg}", remedy, line - 1 + error.lineno, error.colno) from None
    except RecursionError:
        raise CrawlError(file, "JSON nested too deeply", remedy, line) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def text(value: Any, odd: Counter[str], name: str) -> str | None:
    """A string, cut at TEXT_LIMIT; None where unknown; anything else is None. What is cut or dropped counts as odd."""
    if value is None or (isinstance(value, str) and len(value) <= TEXT_LIMIT):
        return value
    odd[name] += 1
    return value[:TEXT_LIMIT] if isinstance(value, str) else None


def tags(value: Any, odd: Counter[str]) -> list[str] | None:
    """Tags from a list of strings, or from one string parted by commas, or else by blanks; None where unknown.

    The first ones, as far as they have TEXT_LIMIT characters together; what is left out counts as odd.
    """
    if value is None:
        return None
    if isinstance(value, str):
        told: list[Any] = [part for part in map(str.strip, value.split("," if "," in value else None)) if part]
    else:
        told = value if isinstance(value, list) else []
    strings = [one for one in told if isinstance(one, str)]
    ends = accumulate(map(len, strings))
    kept = [one for one, end in zip(strings, ends, strict=True) if end <= TEXT_LIMIT]
    if len(kept) < len(told) or not isinstance(value, str | list):
        odd["tags"] += 1
    return kept if isinstance(value, str | list) else None


def number(value: str, low: int, high: int) -> int | None:
    """The whole number that plain digits spell, or None where they do not or it lies outside [low, high]."""
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):
        return None
    found = int(value)
    return found if low <= found <= high else None


def label_of(value: Any) -> str | None:
    """A class's name from a table's or JSON's value; None where it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def split_of(value: Any) -> Split | None:
    """The split that a table's or JSON's value names; train where it says nothing, None where it is unknown."""
    return (
        "train" if value in (None, "") else SPLIT_NAMES.get(value.strip().lower()) if isinstance(value, str) else None
    )


def column(record: Mapping[str, Any], name: str) -> Any:
    """The record's value under `name`, where "a.b" also is field b of struct a; None where absent."""
    if name in record or "." not in name:
        return record.get(name)
    outer, _, inner = name.partition(".")
    within = record.get(outer)
    return column(within, inner) if isinstance(within, dict) else None


def described(record: Mapping[str, Any], columns: Columns, odd: Counter[str]) -> dict[str, Any]:
    """The fields of `Row` that say where a picture comes from and what was written around it."""
    rank = _word(column(record, columns.rank), odd, "rank")
    position = None if rank is None else number(rank, 1, 2**31 - 1)
    if rank is not None and position is None:
        odd["rank"] += 1
    return {
        "rank": position,
        "query": _word(column(record, columns.query), odd, "query"),
        "source": _word(column(record, columns.source), odd, "source"),
        "title": text(column(record, columns.title), odd, "title"),
        "description": text(column(record, columns.description), odd, "description"),
        "tags": tags(column(record, columns.tags), odd),
    }


def _word(value: Any, odd: Counter[str], name: str) -> str | None:
    found = label_of(value)
    if found is None and value not in (None, ""):
        odd[name] += 1
    return found
