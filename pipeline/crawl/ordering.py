"""A crawl's rows brought into the listing's order, however many there are: sorted and joined on the disk by DuckDB."""

import glob
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipeline.crawl.rows import (
    BATCH_ROWS,
    STAGED_ROWS,
    TEXTS,
    Contents,
    CrawlError,
    NothingListedError,
    record_batches,
    text_batches,
)
from pipeline.records import QUERIES, SPLITS
from pipeline.storage.tables import ROW_GROUP_ROWS, write_table

#: DuckDB's; what goes past it is spilled into the scratch folder.
MEMORY_LIMIT: Final = "1GB"
_THREADS: Final = 2

_LISTING: Final = """
    SELECT image_id, $crawl AS crawl, path, labels.class_index, coalesce(rows.query_id, queries.query_id) AS query_id,
        source, rank, coalesce(rows.title, texts.title) AS title,
        coalesce(rows.description, texts.description) AS description, coalesce(rows.tags, texts.tags) AS tags, split
    FROM rows JOIN labels ON labels.label = rows.label LEFT JOIN texts ON texts.entry = rows.entry
        LEFT JOIN queries ON queries.class_index = labels.class_index AND queries.text = rows.query
    ORDER BY list_position($splits, split), labels.class_index, rank NULLS LAST, image_id
"""
_LOCATIONS: Final = """
    SELECT image_id, container, "offset", size FROM rows JOIN labels ON labels.label = rows.label
    ORDER BY list_position($splits, split), labels.class_index, rank NULLS LAST, image_id
"""
_QUERIES: Final = """
    SELECT (row_number() OVER (ORDER BY class_index, query))::INT AS query_id, class_index, query AS text
    FROM (SELECT DISTINCT class_index, query FROM rows JOIN labels ON labels.label = rows.label WHERE query IS NOT NULL)
    ORDER BY query_id
"""
_COUNTS: Final = """
    SELECT split, source, count(*), count(*) FILTER (WHERE
        trim(coalesce(rows.title, texts.title, '')) <> ''
        OR trim(coalesce(rows.description, texts.description, '')) <> ''
        OR trim(array_to_string(coalesce(rows.tags, texts.tags, []), '')) <> '')
    FROM rows LEFT JOIN texts ON texts.entry = rows.entry GROUP BY ALL ORDER BY ALL
"""
_TWICE: Final = """
    SELECT path, origin, line FROM rows
    WHERE image_id = (SELECT min(image_id) FROM (SELECT image_id FROM rows GROUP BY image_id HAVING count(*) > 1))
    ORDER BY origin, line LIMIT 2
"""


class Ordering:
    """Rows and texts on their way to the listing: taken in any order, given back in the listing's.

    Call `take`, then `name`, then the rest. Memory is bounded by MEMORY_LIMIT and one batch.
    """

    def __init__(self, scratch: Path) -> None:
        """`scratch` is emptied now, and removed at the end of the `with` block."""
        self._scratch = scratch
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        spill = str(scratch / "spill")
        self._duck = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "threads": _THREADS, "temp_directory": spill})

    def __enter__(self) -> "Ordering":
        """Ready to take rows."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database and remove everything."""
        self._duck.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def take(self, contents: Contents, crawl: str, on_progress: Callable[[int], None]) -> None:
        """Read everything; `on_progress` learns the number of rows of each batch.

        Raises:
            CrawlError: a picture listed twice, two paths with one image_id, no training picture, or the reader's own.
        """

        def reported() -> Iterator[pa.RecordBatch]:
            for batch in record_batches(contents.rows, crawl):
                yield batch
                on_progress(batch.num_rows)

        self._stage("texts", TEXTS, text_batches(contents.texts))
        self._stage("rows", STAGED_ROWS, reported())
        self._check_ids()
        if not self._duck.sql("SELECT 1 FROM rows WHERE split = 'train' LIMIT 1").fetchall():
            raise NothingListedError(
                "the crawl", "no training picture is listed", "Is its layout the one that was detected?"
            )

    def labels(self) -> list[str]:
        """The labels that the rows name, sorted."""
        return [label for (label,) in self._duck.sql("SELECT DISTINCT label FROM rows ORDER BY label").fetchall()]

    def name(self, classes: Mapping[str, int], queries: pa.Table | None) -> pa.Table:
        """Fix label -> class_index, and the queries (schema QUERIES), numbered here from 1 where None is given."""
        labels = pa.table({"label": list(classes), "class_index": pa.array(classes.values(), pa.int32())})
        self._duck.register("labels", labels)
        if queries is None:
            queries = self._duck.sql(_QUERIES).to_arrow_table().cast(QUERIES)
        self._duck.register("queries", queries)
        return queries

    def listing(self, crawl: str) -> Iterator[pa.Table]:
        """The rows of LISTING in order, ROW_GROUP_ROWS at a time."""
        return self._stream(_LISTING, {"crawl": crawl, "splits": SPLITS})

    def locations(self) -> Iterator[pa.Table]:
        """The rows of LOCATIONS in the listing's order, ROW_GROUP_ROWS at a time."""
        return self._stream(_LOCATIONS, {"splits": SPLITS})

    def counts(self) -> list[tuple[str, str | None, int, int]]:
        """(split, source, pictures, pictures with any text) of each split and source, sorted."""
        return self._duck.sql(_COUNTS).fetchall()

    def _stage(self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        path = self._scratch / f"{name}.parquet"
        write_table(path, schema, batches)
        self._duck.read_parquet(glob.escape(str(path))).create_view(name)

    def _stream(self, query: str, parameters: dict[str, Any]) -> Iterator[pa.Table]:
        reader = self._duck.sql(query, params=parameters).to_arrow_reader(BATCH_ROWS)
        return _of_equal_size(reader, ROW_GROUP_ROWS)

    def _check_ids(self) -> None:
        found = self._duck.sql(_TWICE).fetchall()
        if not found:
            return
        (first, origin, line), (second, other_origin, other_line) = found
        if first != second:
            raise CrawlError(
                other_origin, f"{second!r} and {first!r} have one image_id", "Rename the crawl.", other_line
            )
        where = origin if line is None else f"{origin}, line {line}"
        raise CrawlError(other_origin, f"{second!r} is listed already ({where})", "Remove one of the two.", other_line)


def _of_equal_size(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `rows` but the last: where a batch ends is the database's whim."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        waiting.append(batch)
        held += batch.num_rows
        while held >= rows:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, rows)
            waiting = table.slice(rows).to_batches()
            held -= rows
    if held:
        yield pa.Table.from_batches(waiting)
