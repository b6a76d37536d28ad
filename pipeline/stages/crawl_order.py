"""What is known of a crawl's images in numbers, and their order by class: read from its tables once, and then mapped.

Every stage after decoding asks for it. It lies in the folder of the crawl's `images` as memory-mapped columns
(`pipeline.storage.derived`); of several crawls it is put together in scratch files, without a table being read or
anything sorted. Memory grows with neither.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import DEFECTS, SPLITS
from pipeline.stages.population import Population, by_class
from pipeline.storage.arrays import Array, blocks, finished, open_array, scratch_array, write_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.buckets import Spill
from pipeline.storage.derived import Built, derived
from pipeline.storage.draft import Draft
from pipeline.storage.tables import count_rows, iterate_table, part_paths

CODE_VERSION: Final = "1"
_KINDS: Final = {
    "image_id": np.int64,
    "class_index": np.int32,
    "split": np.int8,
    "usable": np.bool_,
    "defect": np.int8,
    "shard": np.int32,
    "row": np.int32,
}


@dataclass(frozen=True)
class CrawlOrder:
    """The n listed images of a crawl, and its t usable training images by class."""

    population: Population
    members: npt.NDArray[np.int64]  # (t,) positions in the population, grouped by class, ascending within one
    starts: npt.NDArray[np.int64]  # (C + 1,) where each class begins in `members`
    shards: int  # of the crawl's images


def crawl_orders(listings: Sequence[Artifact], images: Sequence[Artifact]) -> list[CrawlOrder]:
    """The order of each crawl, made first where nobody has asked for it before.

    Raises:
        ValueError: a crawl's `images` do not hold the images of its listing.
    """
    return [_crawl_order(*one) for one in zip(listings, images, strict=True)]


def read_population(listings: Sequence[Artifact], images: Sequence[Artifact]) -> Population:
    """All listed images of some crawls, whose `listing` and `images` hold the same ones in the same order.

    Raises:
        ValueError: they do not.
    """
    return joined_population(crawl_orders(listings, images))


def joined_population(crawls: Sequence[CrawlOrder]) -> Population:
    """One crawl's images after the other's; of a single crawl the mapped columns themselves."""
    if len(crawls) == 1:
        return crawls[0].population
    columns = {name: Spill((), kind) for name, kind in _KINDS.items()}
    shards = 0
    for crawl in crawls:
        for name, spill in columns.items():
            column: Array = getattr(crawl.population, name)
            for rows in blocks(len(column)):
                own = column[rows]
                spill.add(np.where(own >= 0, own + shards, -1) if name == "shard" and shards else own)
        shards += crawl.shards
    return Population(**{name: finished(spill.array()) for name, spill in columns.items()})


def joined_members(crawls: Sequence[CrawlOrder]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The usable training images by class, in each class one crawl's after the other's.

    Returns:
        (t,) positions in the joined population, and (C + 1,) where each class of the largest catalogue begins.
    """
    if len(crawls) == 1:
        return crawls[0].members, crawls[0].starts
    length = max((len(crawl.starts) for crawl in crawls), default=1)
    starts = np.zeros(length, np.int64)
    for crawl in crawls:
        starts += _padded(crawl.starts, length)
    members, free, offset = scratch_array((int(starts[-1]),), np.int64), starts[:-1].copy(), 0
    for crawl in crawls:
        begin = _padded(crawl.starts, length)
        shift = free - begin[:-1]  # from where a class's images lie in the crawl's order to where in this one
        for rows in blocks(len(crawl.members)):
            within = np.diff(begin.clip(rows.start, rows.stop))
            members[np.repeat(shift, within) + np.arange(rows.start, rows.stop)] = crawl.members[rows] + offset
        free += np.diff(begin)
        offset += len(crawl.population.image_id)
    return finished(members), starts


def _padded(starts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Where classes begin, those among them that a smaller catalogue lacks: they have no image."""
    return np.pad(starts, (0, length - len(starts)), mode="edge")


def _crawl_order(listing: Artifact, images: Artifact) -> CrawlOrder:
    origin = {"version": CODE_VERSION, "listing": listing.identity}
    folder, facts = derived(images, "order", origin, partial(_build, listing, images))

    def column(name: str) -> Array:
        return np.asarray(open_array(folder / f"{name}.npy"))  # of a `memmap` every piece cut out costs more

    population = Population(**{name: column(name) for name in _KINDS})
    return CrawlOrder(population, column("members"), column("starts"), facts["shards"])


def _build(listing: Artifact, images: Artifact, draft: Draft) -> Built:
    total = count_rows(listing.table("listing"))
    files = {draft.folder / f"{name}.npy": total for name in _KINDS}
    with ExitStack() as written:
        columns = {path.stem: written.enter_context(write_array(path, (total,), _KINDS[path.stem])) for path in files}
        _read_listed(columns, listing)
        _read_decoded(columns, images)
        grouped = by_class(Population(**columns), listing.facts["classes"])
    for name, values in (("members", grouped.rows), ("starts", grouped.starts)):
        path = draft.folder / f"{name}.npy"
        with write_array(path, values.shape, np.int64) as column:
            column[:] = values
        files[path] = len(values)
    return files, {"shards": len(part_paths(images.table("images")))}


def _read_listed(columns: dict[str, npt.NDArray[Any]], listing: Artifact) -> None:
    names = ("image_id", "class_index", "split")
    for rows, batch in _numbered(listing.table("listing"), names):
        columns["image_id"][rows] = batch["image_id"].to_numpy()
        columns["class_index"][rows] = batch["class_index"].to_numpy()
        columns["split"][rows] = _numpy(pc.index_in(batch["split"], pa.array(SPLITS)), -1)


def _read_decoded(columns: dict[str, npt.NDArray[Any]], images: Artifact) -> None:
    """Fill in what `images` tells of the listed images.

    Raises:
        ValueError: it tells of others.
    """
    stop, ids = 0, columns["image_id"]
    for rows, batch in _numbered(images.table("images"), ("image_id", "reason", "shard", "row")):
        if not np.array_equal(ids[rows], batch["image_id"].to_numpy()):
            stop = -1
            break
        shard = _numpy(batch["shard"], -1)
        columns["usable"][rows] = shard >= 0
        columns["defect"][rows] = _numpy(pc.index_in(batch["reason"], pa.array(DEFECTS)), -1)
        columns["shard"][rows] = shard
        columns["row"][rows] = _numpy(batch["row"], -1)
        stop = rows.stop
    if stop != len(ids):
        raise ValueError(f"images of {images.partition} do not belong to its listing: make them again")


def _numbered(table: Path, names: Sequence[str]) -> Iterator[tuple[slice, pa.RecordBatch]]:
    """A table's batches, each with the rows that it holds."""
    start = 0
    for batch in iterate_table(table, names):
        yield slice(start, start + batch.num_rows), batch
        start += batch.num_rows


def _numpy(column: pa.Array, missing: int) -> npt.NDArray[Any]:
    return np.asarray(pc.fill_null(column, missing).to_numpy())
