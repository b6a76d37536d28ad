"""Tables of evidence put together: those of the fitted crawls and those of each later one; see `standing`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine import Workers, map_shards
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.stages.standing import FITTED_ON, Standing
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import RowReader, count_rows, part_path, write_table

CODE_VERSION: Final = "1"
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
        The tables; among the facts, `fitted_on` names the fitted crawls.

    Raises:
        ValueError: a table was made of other images than the crawls hold now.
    """
    listings = [store.current("listing", crawl) for crawl in standing.crawls]
    images = [store.current("images", crawl) for crawl in standing.crawls]
    source_of = [0 if crawl in standing.fitted else 1 + standing.later.index(crawl) for crawl in standing.crawls]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        merging = _Merging.of(
            order, np.array(source_of, np.int32), [count_rows(one.table("listing")) for one in listings]
        )
        tasks = list(enumerate(merging.stretches))
        left = [task for task in tasks if draft.finished(task[0]) is None]
        held = {name: [RowReader(part.table(name)) for part in parts] for name in tables}
        for _ in map_shards(partial(_write, draft, merging, held, tables), left, workers):
            pass
        return finish(draft, len(tasks), order) | {FITTED_ON: list(standing.fitted)}

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
    ends: npt.NDArray[np.int64]  # (crawls,) of each in the population
    stretches: Sequence[slice]  # rows
    begins: npt.NDArray[np.int64]  # (stretches, s) rows of each table that are of stretches before

    @classmethod
    def of(cls, order: ClassOrder, source_of: npt.NDArray[np.int32], listed: Sequence[int]) -> Self:
        starts, ends = order.starts, np.cumsum(listed)
        rows = [slice(int(starts[own.start]), int(starts[own.stop])) for own in stretches(order.sizes)]
        found = cls(order, source_of, ends, rows, np.zeros((0, 0), np.int64))
        sources = int(source_of.max()) + 1
        counts = [np.bincount(found.source(own), minlength=sources) for own in rows]
        begins = np.cumsum([np.zeros(sources, np.int64), *counts], axis=0)[:-1]
        return cls(order, source_of, ends, rows, begins)

    def source(self, rows: slice) -> npt.NDArray[np.int32]:
        """The table of each of some rows."""
        return self.source_of[np.searchsorted(self.ends, self.order.members[rows], side="right")]


def _write(
    draft: Draft,
    merging: _Merging,
    parts: Mapping[str, Sequence[RowReader]],
    tables: Mapping[str, pa.Schema],
    task: tuple[int, slice],
) -> None:
    number, rows = task
    source = merging.source(rows)
    begins = merging.begins[number]
    counts = np.bincount(source, minlength=len(begins))
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
