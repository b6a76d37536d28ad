"""Stage `evidence`: everything known of each usable training image side by side, one wide table."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from pipeline.engine import Workers, map_shards
from pipeline.evidence_tables import EVIDENCE
from pipeline.stages.classes import ClassOrder, part_sums
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.parts import EarlierParts, keyed
from pipeline.storage.pieces import digest_of
from pipeline.storage.tables import part_path, read_part, write_table

STAGE = "evidence"
CODE_VERSION = "2"


def make_evidence(
    store: Store,
    crawls: Sequence[str],
    names: Sequence[str],
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Join evidence tables. They hold the same rows in the same order, so nothing is searched.

    Args:
        store: where listing and images of the crawls and the evidence are current.
        crawls: the crawls to read.
        names: of the evidence.
        workers: threads, or a cluster; each holds a stretch of classes.
        on_progress: called with the number of images just done.

    Raises:
        NotMadeError: one of them has not been made.
        ValueError: a table was made of other images than the crawls hold now.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    tables = {name: store.current(f"evidence-{name}") for name in names}

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        keys = _keys(order, tables)
        left = EarlierParts(store, STAGE).left(draft, keys)
        tasks = [(k, order.runs[k], keys[k]) for k in left]
        on_progress(len(order) - sum(rows.stop - rows.start for _, rows, _ in tasks))
        for rows in map_shards(partial(_write, draft, order, tables), tasks, workers):
            on_progress(rows)
        return {"images": len(order), "tables": list(names)}

    wanted = identity(STAGE, CODE_VERSION, list(names), inputs_of([*listings, *images, *tables.values()]))
    return store.make(STAGE, WHOLE, wanted, build)


def evidence_schema(names: Sequence[str]) -> pa.Schema:
    """image_id, class_index, and the columns of the named tables."""
    own = [field for name in names for field in EVIDENCE[name] if field.name != "image_id"]
    first = [pa.field("image_id", pa.int64(), nullable=False), pa.field("class_index", pa.int32(), nullable=False)]
    return pa.schema([*first, *own])


def _keys(order: ClassOrder, tables: Mapping[str, Artifact]) -> list[str]:
    """What each part is made of: images, their classes, and the tables' parts, as checksums tell them.

    Raises:
        ValueError: a table was made of other images.
    """
    rules, runs = identity(STAGE, CODE_VERSION, list(tables), []), order.runs
    read: list[list[str]] = [[digest_of(order.image_id[rows], order.class_index[rows])] for rows in runs]
    for artifact in tables.values():
        for own, part in zip(read, part_sums(artifact, order), strict=True):
            own.append(part)
    return [identity(rules, "", [], own) for own in read]


def _write(draft: Draft, order: ClassOrder, tables: Mapping[str, Artifact], task: tuple[int, slice, str]) -> int:
    number, rows, key = task
    columns = {"image_id": pa.array(order.image_id[rows]), "class_index": pa.array(order.class_index[rows])}
    for name, artifact in tables.items():
        part = read_part(part_path(artifact.table("evidence"), number))
        if not np.array_equal(part["image_id"].to_numpy(), order.image_id[rows]):
            raise ValueError(f"evidence-{name} was made of other images than the crawls hold now: make it again")
        columns |= {column: part[column] for column in part.column_names if column != "image_id"}
    schema = evidence_schema(list(tables))
    path = part_path(draft.table("evidence"), number)
    written = write_table(path, schema, [pa.table(columns).select(schema.names)])
    draft.finish(number, {path: written}, keyed(key))
    return written
