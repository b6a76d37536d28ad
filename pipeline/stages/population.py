"""Every listed image of every crawl as a few numeric columns: what the stages after decoding work on.

About 30 bytes an image, so that 16 million images take half a gigabyte; texts and pixels stay on the disk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import DEFECTS, SPLITS
from pipeline.storage.arrays import blocks, finished, scratch_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import count_rows, iterate_table, part_paths, read_table

TRAIN = SPLITS.index("train")


@dataclass(frozen=True)
class Population:
    """All listed images, crawl after crawl, each in its listing's order; n images."""

    image_id: npt.NDArray[np.int64]  # (n,)
    class_index: npt.NDArray[np.int32]  # (n,)
    split: npt.NDArray[np.int8]  # (n,) position in SPLITS
    usable: npt.NDArray[np.bool_]  # (n,)
    defect: npt.NDArray[np.int8]  # (n,) position in DEFECTS; -1 if usable
    shard: npt.NDArray[np.int32]  # (n,) counted on from crawl to crawl, as ArrayShards counts; -1 if quarantined
    row: npt.NDArray[np.int32]  # (n,) position in the shard; -1 if quarantined


def read_population(listings: Sequence[Artifact], images: Sequence[Artifact]) -> Population:
    """Join each crawl's `listing` and `images` tables, which hold the same images in the same order.

    The columns lie in scratch files and are written batch by batch, so that memory does not grow with the crawls.

    Raises:
        ValueError: the tables do not hold the same images.
    """
    total = sum(count_rows(listing.table("listing")) for listing in listings)
    kinds = {"image_id": np.int64, "split": np.int8, "defect": np.int8, "usable": np.bool_}
    columns = {name: scratch_array((total,), kinds.get(name, np.int32)) for name in Population.__annotations__}
    start = shards = 0
    for listing, decoded in zip(listings, images, strict=True):
        stop = start
        for batch in iterate_table(listing.table("listing"), ("image_id", "class_index", "split")):
            rows = slice(stop, stop + batch.num_rows)
            columns["image_id"][rows] = batch["image_id"].to_numpy()
            columns["class_index"][rows] = batch["class_index"].to_numpy()
            columns["split"][rows] = _numpy(pc.index_in(batch["split"], pa.array(SPLITS)), -1)
            stop = rows.stop
        if _read_decoded(columns, decoded, start, shards) != stop:
            raise ValueError(f"images of {decoded.partition} do not belong to its listing: make them again")
        start, shards = stop, shards + len(part_paths(decoded.table("images")))
    return Population(**{name: finished(column) for name, column in columns.items()})


def _read_decoded(columns: dict[str, npt.NDArray[Any]], decoded: Artifact, start: int, shards: int) -> int:
    """Fill in what `images` tells of the listed images from `start` on; returns where it ends, -1 for other images."""
    for batch in iterate_table(decoded.table("images"), ("image_id", "reason", "shard", "row")):
        rows = slice(start, start + batch.num_rows)
        if not np.array_equal(columns["image_id"][rows], batch["image_id"].to_numpy()):
            return -1
        shard = _numpy(batch["shard"], -1)
        columns["usable"][rows] = shard >= 0
        columns["defect"][rows] = _numpy(pc.index_in(batch["reason"], pa.array(DEFECTS)), -1)
        columns["shard"][rows] = np.where(shard >= 0, shard + shards, -1)
        columns["row"][rows] = _numpy(batch["row"], -1)
        start = rows.stop
    return start


def check_one_catalogue(listings: Sequence[Artifact]) -> None:
    """Raises ValueError where two crawls of a store number their classes differently."""
    first, *others = listings
    names = read_table(first.table("classes"), ("wnid",))
    for other in others:
        if not read_table(other.table("classes"), ("wnid",)).equals(names):
            raise ValueError(
                f"crawls {first.partition} and {other.partition} have different classes: give both the same list with "
                "crawl.catalogue in winnow.toml, or keep them in different stores"
            )


def check_ids(population: Population) -> None:
    """Raises ValueError where two images of different crawls share an id: everything is joined by it."""
    ids = scratch_array(population.image_id.shape, np.int64)
    for rows in blocks(len(ids)):
        ids[rows] = population.image_id[rows]
    ids.sort()  # a quicksort runs through its file from end to end; numpy's own `unique` hashes: 30 times slower
    repeated = sum(int((np.diff(ids[max(rows.start - 1, 0) : rows.stop]) == 0).sum()) for rows in blocks(len(ids)))
    if repeated:
        raise ValueError(f"{repeated} images of different crawls share an image_id: deliver one under another name")


def listed_paths(listings: Sequence[Artifact], rows: int) -> Iterator[pa.Array]:
    """The `path` column of all crawls in the population's order, at most `rows` at a time."""
    for listing in listings:
        for batch in iterate_table(listing.table("listing"), ("path",), rows):
            yield batch.column("path")


def _numpy(column: pa.Array, missing: int) -> npt.NDArray[Any]:
    return np.asarray(pc.fill_null(column, missing).to_numpy())
