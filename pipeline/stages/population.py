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
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import iterate_table, part_paths, read_table

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

    @property
    def trainable(self) -> npt.NDArray[np.int64]:
        """Positions of the usable training images, in order."""
        return np.flatnonzero(self.usable & (self.split == TRAIN))


def read_population(listings: Sequence[Artifact], images: Sequence[Artifact]) -> Population:
    """Join each crawl's `listing` and `images` tables, which hold the same images in the same order.

    Raises:
        ValueError: they do not.
    """
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in Population.__annotations__}
    shards = 0
    for listing, decoded in zip(listings, images, strict=True):
        listed: list[npt.NDArray[np.int64]] = []
        # Batch by batch: whole tables with their strings would be most of what a stage holds.
        for batch in iterate_table(listing.table("listing"), ("image_id", "class_index", "split")):
            listed.append(batch["image_id"].to_numpy())
            columns["class_index"].append(batch["class_index"].to_numpy())
            columns["split"].append(_numpy(pc.index_in(batch["split"], pa.array(SPLITS)), -1).astype(np.int8))
        found: list[npt.NDArray[np.int64]] = []
        for batch in iterate_table(decoded.table("images"), ("image_id", "reason", "shard", "row")):
            found.append(batch["image_id"].to_numpy())
            shard = _numpy(batch["shard"], -1)
            columns["usable"].append(shard >= 0)
            columns["defect"].append(_numpy(pc.index_in(batch["reason"], pa.array(DEFECTS)), -1).astype(np.int8))
            columns["shard"].append(np.where(shard >= 0, shard + shards, -1).astype(np.int32))
            columns["row"].append(_numpy(batch["row"], -1).astype(np.int32))
        columns["image_id"].append(_joined(listed, np.int64))
        if not np.array_equal(columns["image_id"][-1], _joined(found, np.int64)):
            raise ValueError(f"images of {decoded.partition} do not belong to its listing: make them again")
        shards += len(part_paths(decoded.table("images")))
    kinds = {"image_id": np.int64, "split": np.int8, "defect": np.int8, "usable": np.bool_}
    return Population(**{name: _joined(columns.pop(name), kinds.get(name, np.int32)) for name in list(columns)})


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
    # Sorted, because numpy's own `unique` hashes: 30 times slower at a million.
    repeated = int((np.diff(np.sort(population.image_id)) == 0).sum())
    if repeated:
        raise ValueError(f"{repeated} images of different crawls share an image_id: deliver one under another name")


def listed_paths(listings: Sequence[Artifact], rows: int) -> Iterator[pa.Array]:
    """The `path` column of all crawls in the population's order, at most `rows` at a time."""
    for listing in listings:
        for batch in iterate_table(listing.table("listing"), ("path",), rows):
            yield batch.column("path")


def align(table: pa.Table, image_id: npt.NDArray[np.int64], columns: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The columns of an evidence table in the order of `image_id`.

    Raises:
        ValueError: the table lacks one of the images.
    """
    own = table["image_id"].to_numpy()
    order = np.argsort(own, kind="stable")
    at = order[np.searchsorted(own, image_id, sorter=order).clip(max=max(len(own) - 1, 0))] if len(own) else order
    if len(at) != len(image_id) or not np.array_equal(own[at], image_id):
        raise ValueError("an evidence table lacks images of the listing: make it again")
    return {name: table[name].to_numpy()[at] for name in columns}


def _joined(pieces: list[npt.NDArray[Any]], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *pieces])


def _numpy(column: pa.Array, missing: int) -> npt.NDArray[Any]:
    return np.asarray(pc.fill_null(column, missing).to_numpy())
