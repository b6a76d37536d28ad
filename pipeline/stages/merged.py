"""Tables of evidence put together: those of the fitted crawls and those of each later one; see `standing`.

A stretch of classes that no later crawl has come to is a part of the fitted crawls' table: linked, not copied.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine import Workers, map_shards
from pipeline.stages.classes import ClassOrder
from pipeline.stages.standing import FITTED, FITTED_ON, Standing
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts, Records
from pipeline.storage.parts import link_parts, part_records
from pipeline.storage.tables import RowReader, part_path, write_table

CODE_VERSION: Final = "3"
Finish = Callable[[Draft, int, ClassOrder], Facts]  # writes what else there is as shards from a number on; tells facts


def make_merged(
    store: Store,
    standing: Standing,
    parts: Sequence[Artifact],
    tables: Mapping[str, pa.Schema],
    finish: Finish,
    workers: Workers,
) -> Artifact:
    """Put tables together, which hold the usable training images of the fitted crawls, and of each later crawl.

    Args:
        store: where listing and images of the crawls are current.
        standing: which crawls are fitted on.
        parts: the artifact of the fitted crawls, whose stage this is, then one of each later crawl.
        tables: by the name of their folder, each in the order of the evidence tables.
        finish: what to do at the end.
        workers: threads, or a cluster; each holds a stretch of classes.

    Returns:
        The tables; among the facts, `fitted_on` names the fitted crawls, `fitted` is the identity of the first part.

    Raises:
        ValueError: a table was made of other images than the crawls hold now.
    """
    listings = [store.current("listing", crawl) for crawl in standing.crawls]
    images = [store.current("images", crawl) for crawl in standing.crawls]
    source_of = [0 if crawl in standing.fitted else 1 + standing.later.index(crawl) for crawl in standing.crawls]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        merging = _Merging.of(order, np.array(source_of, np.int32))
        whole = [_Parts.of(part, list(tables)) for part in parts]
        left = [number for number in range(len(merging.counts)) if draft.finished(number) is None]
        left = [number for number in left if not _linked(draft, merging, whole, number)]
        held = {name: [RowReader(part.table(name)) for part in parts] for name in tables}
        for _ in map_shards(partial(_write, draft, merging, held, tables), left, workers):
            pass
        told = {FITTED_ON: list(standing.fitted), FITTED: parts[0].identity}
        return finish(draft, len(merging.counts), order) | told

    stage = parts[0].stage
    wanted = identity(stage, f"merged {CODE_VERSION}", {}, inputs_of([*listings, *images, *parts]))
    return store.make(stage, WHOLE, wanted, build)


def summed(parts: Sequence[Artifact], *names: str) -> Facts:
    """The sums of the facts that are named."""
    return {name: sum(part.facts[name] for part in parts) for name in names}


@dataclass(frozen=True)
class _Merging:
    """Which of s tables holds each row of an order, and where; each holds its rows in that order."""

    order: ClassOrder
    source_of: npt.NDArray[np.int32]  # (crawls,)
    counts: npt.NDArray[np.int64]  # (stretches, s) rows of each table in each stretch of the order

    @classmethod
    def of(cls, order: ClassOrder, source_of: npt.NDArray[np.int32]) -> Self:
        sources = int(source_of.max()) + 1
        counts = [np.bincount(source_of[order.crawl(rows)], minlength=sources) for rows in order.runs]
        return cls(order, source_of, np.array(counts, np.int64).reshape(-1, sources))

    @cached_property
    def begins(self) -> npt.NDArray[np.int64]:
        """(stretches, s) rows of each table that are of stretches before."""
        return np.cumsum(self.counts, axis=0) - self.counts

    def source(self, rows: slice) -> npt.NDArray[np.int32]:
        """The table of each of some rows."""
        return self.source_of[self.order.crawl(rows)]


@dataclass(frozen=True)
class _Parts:
    """The parts of one of the tables that are put together, by the rows that they hold."""

    artifact: Artifact
    found: Mapping[tuple[int, int], tuple[int, Records]]  # first row and rows -> number, records of its files

    @classmethod
    def of(cls, artifact: Artifact, tables: Sequence[str]) -> Self:
        records = part_records(artifact, tables)
        rows = [own[tables[0]]["rows"] for own in records]
        starts = itertools.accumulate(rows, initial=0)
        return cls(artifact, dict(zip(zip(starts, rows, strict=False), enumerate(records), strict=True)))


def _linked(draft: Draft, merging: _Merging, parts: Sequence[_Parts], number: int) -> bool:
    """Whether a stretch of the order is a part of one of the tables, which is then linked."""
    sources = np.flatnonzero(merging.counts[number])
    if len(sources) != 1:
        return False
    own = parts[sources[0]]
    found = own.found.get((int(merging.begins[number, sources[0]]), int(merging.counts[number, sources[0]])))
    if found is None:
        return False
    link_parts(draft, number, (own.artifact, found[0]), found[1])
    return True


def _write(
    draft: Draft,
    merging: _Merging,
    parts: Mapping[str, Sequence[RowReader]],
    tables: Mapping[str, pa.Schema],
    number: int,
) -> None:
    rows = merging.order.runs[number]
    source = merging.source(rows)
    begins, counts = merging.begins[number], merging.counts[number]
    place = np.empty(len(source), np.int64)  # of each row among those of the first table, the second ...
    place[np.argsort(source, kind="stable")] = np.arange(len(source))
    files = {}
    for name, schema in tables.items():
        held = [
            part.read(range(begin, begin + count), schema.names)
            for part, begin, count in zip(parts[name], begins.tolist(), counts.tolist(), strict=True)
            if count
        ]
        table = pa.concat_tables([schema.empty_table(), *held])
        if len(held) > 1:
            table = table.take(pa.array(place))
        if not np.array_equal(table["image_id"].to_numpy(), merging.order.image_id[rows]):
            raise ValueError(
                f"{draft.folder.parents[1].name} was made of other images than the crawls hold now: make it again"
            )
        path = part_path(draft.table(name), number)
        files[path] = write_table(path, schema, [table.cast(schema)])
    draft.finish(number, files)
