"""What a layout reader gives: one `Row` per listed picture, or a refusal that names file, line and remedy."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pandas.util import hash_array

from pipeline.records import Split
from pipeline.visible import visible

_QUOTED: Final = 1_000  # characters of each part of a refusal
#: Rows in one batch on the way from a reader to the disk.
BATCH_ROWS: Final = 16_384

#: Characters of a path, label, query or source. Texts are cut by their readers; of these no part is enough.
WORD_LIMIT: Final = 16_384

#: What a folder, a shard's name or a table's cell may call the splits.
SPLIT_NAMES: Final[dict[str, Split]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


class CrawlError(ValueError):
    """The crawl as a whole cannot be read. The message says where, what, and what to do about it."""

    def __init__(
        self, file: str, problem: str, remedy: str, line: int | None = None, column: int | None = None
    ) -> None:
        """`line` and `column` count from 1; `remedy` is a whole sentence."""
        at = "".join(
            f", {name} {number}" for name, number in (("line", line), ("column", column)) if number is not None
        )
        # All three may quote the crawl, and end in a terminal or a log: one line of bounded length.
        super().__init__(f"{visible(file, _QUOTED)}{at}: {visible(problem, _QUOTED)}. {visible(remedy, _QUOTED)}")


class NothingListedError(CrawlError):
    """The crawl can be read, and lists no picture to train on."""


class Row(NamedTuple):
    """One listed picture, as its layout tells it. Strings may hold anything; `record_batches` makes them UTF-8."""

    path: str  # inside the crawl
    label: str  # the class's wnid or name
    split: Split
    origin: str  # the file that lists it
    line: int | None = None  # there, from 1; in a tar the member's number
    source: str | None = None
    rank: int | None = None  # from 1
    query_id: int | None = None  # where the crawl numbers its queries
    query: str | None = None  # the search term, where it does not
    entry: int | None = None  # the `Text` that belongs to it
    title: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    container: str | None = None  # where packed bytes lie; "" is a member that must not be followed
    offset: int | None = None
    size: int | None = None


class Text(NamedTuple):
    """The text around one search result, for layouts that keep it apart from the list."""

    entry: int
    title: str | None
    description: str | None
    tags: list[str] | None


class Synset(NamedTuple):
    """One class as the crawl names it."""

    wnid: str
    lemmas: list[str]


class Query(NamedTuple):
    """One search term as the crawl numbers it."""

    query_id: int
    label: str
    text: str


@dataclass(frozen=True)
class Contents:
    """All that a layout holds. The iterators read the crawl while they run: exhaust `texts` first, then `rows`."""

    rows: Iterator[Row]
    texts: Iterator[Text] = field(default_factory=lambda: iter(()))
    synsets: Sequence[Synset] | None = None  # None: the classes are the labels that the rows name
    queries: Sequence[Query] | None = None  # None: the queries are the terms that the rows name
    odd: Counter[str] = field(default_factory=Counter)  # metadata of a wrong type or length; complete after the rows
    notes: list[str] = field(default_factory=list)  # what was left out and why, in words


_TEXT_FIELDS: Final = [
    pa.field("entry", pa.int64()),
    pa.field("title", pa.string()),
    pa.field("description", pa.string()),
    pa.field("tags", pa.list_(pa.string())),
]
TEXTS: Final = pa.schema(_TEXT_FIELDS)
ROWS: Final = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("split", pa.string()),
        pa.field("origin", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("source", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("query_id", pa.int32()),
        pa.field("query", pa.string()),
        *_TEXT_FIELDS,
        pa.field("container", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("size", pa.int64()),
    ]
)
STAGED_ROWS: Final = ROWS.append(pa.field("image_id", pa.int64()))


def record_batches(rows: Iterable[Row], crawl: str) -> Iterator[pa.RecordBatch]:
    """The rows as batches of `STAGED_ROWS`, at most BATCH_ROWS each, with their image_id; every string valid UTF-8.

    Raises:
        CrawlError: a path, label, query or source of more than WORD_LIMIT characters.
    """
    for batch in _batches(map(_checked, rows), ROWS):
        paths = batch.column("path").to_numpy(zero_copy_only=False)
        yield batch.append_column("image_id", pa.array(image_ids(paths, crawl)))


def _checked(row: Row) -> Row:
    for word in (row.path, row.label, row.query, row.source):
        if word is not None and len(word) > WORD_LIMIT:
            told = f"{word[:40]!r}... has {len(word)} characters"
            raise CrawlError(row.origin, told, f"{WORD_LIMIT} must do for a path or a name.", row.line)
    return row


def text_batches(texts: Iterable[Text]) -> Iterator[pa.RecordBatch]:
    """The texts as batches of `TEXTS`, at most BATCH_ROWS each; every string valid UTF-8."""
    return _batches(texts, TEXTS)


def image_ids(paths: npt.NDArray[np.object_], crawl: str) -> npt.NDArray[np.int64]:
    """SipHash of each path, keyed by the crawl's name: int64 [len(paths)], stable over machines and runs."""
    key = hashlib.blake2b(crawl.encode(), digest_size=8).hexdigest()  # 16 characters, as the hash wants
    ids: npt.NDArray[np.int64] = hash_array(paths, hash_key=key, categorize=False).view(np.int64)
    return ids


def _batches(rows: Iterable[Row] | Iterable[Text], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    waiting = iter(rows)
    while chunk := list(islice(waiting, BATCH_ROWS)):
        columns = [
            _array(values, schema_field) for values, schema_field in zip(zip(*chunk, strict=True), schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _array(values: tuple[Any, ...], schema_field: pa.Field) -> pa.Array:
    try:
        return pa.array(values, schema_field.type)
    except UnicodeEncodeError:  # a lone surrogate, which no UTF-8 can hold
        # Paths keep theirs apart, or two names would become one.
        how = "backslashreplace" if schema_field.name == "path" else "replace"
        return pa.array([_encodable(value, how) for value in values], schema_field.type)


def _encodable(value: Any, how: str) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", how).decode()
    return [_encodable(one, how) for one in value] if isinstance(value, list) else value
