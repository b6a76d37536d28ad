"""Every listed image of every crawl as a few numeric columns: what the stages after decoding work on.

About 30 bytes an image, so that 16 million images take half a gigabyte; `crawl_order` says where they lie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import SPLITS
from pipeline.storage.arrays import blocks, scratch_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.buckets import Buckets, shared_out
from pipeline.storage.tables import count_rows, iterate_table, read_table

TRAIN = SPLITS.index("train")
NO_QUERY: Final = np.iinfo(np.int32).max  # where a listing names no query: after those it names


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


def by_class(population: Population, classes: int) -> Buckets:
    """Group the usable training images by their class: positions in the population, ascending within a class.

    Args:
        population: n images.
        classes: size of the catalogue.
    """
    return shared_out(len(population.split), classes, partial(_class_of_trainable, population))


def _class_of_trainable(population: Population, block: slice) -> npt.NDArray[np.int32]:
    """The class of each usable training image of a block, -1 for all others."""
    trainable = population.usable[block] & (population.split[block] == TRAIN)
    return np.where(trainable, population.class_index[block], -1).astype(np.int32)


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


def listed_numbers(listings: Sequence[Artifact], name: str, missing: int) -> npt.NDArray[np.int32]:
    """(n,) a column of numbers of all crawls' listings in the population's order, on the disk; `missing` for a null."""
    found, start = scratch_array((sum(count_rows(one.table("listing")) for one in listings),), np.int32), 0
    for listing in listings:
        for batch in iterate_table(listing.table("listing"), (name,)):
            rows = slice(start, start + batch.num_rows)
            found[rows] = pc.fill_null(batch[name], missing).to_numpy()
            start = rows.stop
    return found


def listed_paths(listings: Sequence[Artifact], rows: int) -> Iterator[pa.Array]:
    """The `path` column of all crawls in the population's order, at most `rows` at a time."""
    for listing in listings:
        for batch in iterate_table(listing.table("listing"), ("path",), rows):
            yield batch.column("path")
