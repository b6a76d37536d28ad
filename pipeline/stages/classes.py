"""The usable training images class by class: the order of every evidence table, and how a class is read."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stages.crawl_order import crawl_orders, joined_members, joined_population
from pipeline.stages.population import Population, by_class
from pipeline.storage.arrays import Array, ArrayShards, blocks, finished, scratch_array
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.parts import part_records
from pipeline.storage.tables import iterate_table, part_path, read_part

SHARD_IMAGES = 2**16  # of a stretch of classes, at most; a larger class is a stretch alone


@dataclass(frozen=True)
class ClassOrder:
    """t usable training images of C classes, grouped by class."""

    population: Population
    members: npt.NDArray[np.int64]  # (t,) positions in the population
    starts: npt.NDArray[np.int64]  # (C + 1,) where each class begins in `members`
    ends: npt.NDArray[np.int64]  # (crawls,) where each crawl ends in the population

    @classmethod
    def of(cls, population: Population, classes: int) -> Self:
        """Group the population's usable training images; within a class they keep their order.

        Args:
            population: all images of a crawl.
            classes: size of the catalogue.
        """
        grouped = by_class(population, classes)
        return cls(population, finished(grouped.rows), grouped.starts, np.array([len(population.split)]))

    @classmethod
    def read(cls, listings: Sequence[Artifact], images: Sequence[Artifact]) -> Self:
        """The order of some crawls' images: a class holds those of one crawl after those of the other."""
        crawls = crawl_orders(listings, images)
        ends = np.cumsum([len(crawl.population.split) for crawl in crawls], dtype=np.int64)
        return cls(joined_population(crawls), *joined_members(crawls), ends)

    def __len__(self) -> int:
        """Usable training images."""
        return len(self.members)

    @cached_property
    def image_id(self) -> npt.NDArray[np.int64]:
        """(t,) ids in this order."""
        return self._in_order(self.population.image_id)

    @cached_property
    def class_index(self) -> npt.NDArray[np.int32]:
        """(t,) labels in this order: ascending."""
        return self._in_order(self.population.class_index)

    def _in_order(self, column: Array) -> Array:
        """A column of the population, on the disk as that is."""
        found = scratch_array(self.members.shape, column.dtype)
        for block in blocks(len(found)):
            found[block] = column[self.members[block]]
        return finished(found)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(C,) images of each class."""
        return np.diff(self.starts)

    def rows(self, class_index: int) -> slice:
        """The rows of one class in this order."""
        return slice(int(self.starts[class_index]), int(self.starts[class_index + 1]))

    @cached_property
    def runs(self) -> list[slice]:
        """The rows of each of the `stretches` of classes: those of a part of every table of evidence."""
        starts = self.starts.tolist()
        return [slice(starts[own.start], starts[own.stop]) for own in stretches(self.sizes)]

    def crawl(self, rows: slice) -> npt.NDArray[np.int64]:
        """(rows,) position of each image's crawl among the crawls."""
        return np.searchsorted(self.ends, self.members[rows], side="right")

    def gather(self, shards: ArrayShards, rows: slice | npt.NDArray[np.integer[Any]]) -> Array:
        """Features or pixels of some rows of this order: a copy (rows, *row shape)."""
        own = self.members[rows]
        return shards.gather(self.population.shard[own], self.population.row[own])


def current_features(store: Store, crawls: Sequence[str]) -> list[Artifact]:
    """The features of some crawls, of which all vectors must lie in one space.

    Raises:
        NotMadeError: those of one of them have not been made.
        ValueError: they come from different networks, or from other images than the crawl has now.
    """
    found = [store.current("features", crawl) for crawl in crawls]
    first = found[0] if found else None
    for other in found:
        if first is not None and other.facts.get("networks") != first.facts.get("networks"):
            raise ValueError(
                f"features of {first.partition} and {other.partition} come from different networks: make them anew for "
                "all crawls, with `winnow run` or by materialising all partitions of features"
            )
        pixels = other.facts.get("pixels")
        if pixels is not None and pixels != store.current("images", other.partition).identity:
            raise ValueError(
                f"features of {other.partition} were made of other images than it has now: make them anew, with "
                "`winnow run` or by materialising that partition of features"
            )
    return found


def stretches(sizes: npt.NDArray[np.integer[Any]]) -> list[range]:
    """Cut the classes, given their sizes, into runs of at most SHARD_IMAGES images; no class is cut.

    Runs are halves of halves of the numbers of classes. So where a class grows its own run may be cut in two, and all
    others stay: what was made of their images stands (`pipeline.storage.parts`). Classes without images go with those
    before them, or with those behind.
    """
    ends = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    left, edges = [range(1 << (len(sizes) - 1).bit_length())] if len(sizes) else [], []
    while left:
        run = left.pop()
        first, last = run.start, min(run.stop, len(sizes))
        if ends[last] - ends[first] <= SHARD_IMAGES or len(run) == 1:
            edges += [first] if ends[last] > ends[first] else []
        else:
            middle = run.start + len(run) // 2
            left += [half for half in (range(middle, run.stop), range(run.start, middle)) if half.start < len(sizes)]
    return [range(first, last) for first, last in itertools.pairwise([0, *edges[1:], len(sizes)]) if last > first]


def read_column(
    artifact: Artifact, order: ClassOrder, name: str, missing: int = -1, dtype: npt.DTypeLike = np.int64
) -> npt.NDArray[Any]:
    """(t,) one column of numbers of an evidence table, row beside row with `order`, on the disk as that is.

    Args:
        artifact: of the table.
        order: of the evidence tables.
        name: of the column.
        missing: what stands for a null.
        dtype: of what comes back.

    Raises:
        ValueError: the table was made of other images.
    """
    found, start = scratch_array((len(order),), dtype), 0
    for batch in iterate_table(artifact.table("evidence"), ("image_id", name)):
        rows = slice(start, start + batch.num_rows)
        if not np.array_equal(batch["image_id"].to_numpy(), order.image_id[rows]):
            break
        found[rows] = pc.fill_null(batch[name], missing).to_numpy()
        start = rows.stop
    if start != len(order):
        raise ValueError(f"{artifact.stage} was made of other images than the crawls hold now: make it again")
    return found


def part_sums(artifact: Artifact, order: ClassOrder) -> list[str]:
    """What stands for the part of an evidence table of each stretch: its checksum, as the ledger tells it.

    Raises:
        ValueError: the table was made of other images.
    """
    found = [str(record["evidence"]["sha256"]) for record in part_records(artifact, ("evidence",))]
    if len(found) != len(order.runs):
        raise ValueError(f"{artifact.stage} was made of other images than the crawls hold now: make it again")
    return found


def read_stretch(artifact: Artifact, number: int, order: ClassOrder, rows: slice, columns: Sequence[str]) -> pa.Table:
    """Some columns of one part of an evidence table.

    Args:
        artifact: of the table.
        number: of the part, which is that of the stretch of classes.
        order: of the evidence tables.
        rows: of the stretch in it.
        columns: beside `image_id`, which is only checked.

    Raises:
        ValueError: the table was made of other images.
    """
    table = read_part(part_path(artifact.table("evidence"), number), ("image_id", *columns))
    own = order.population.image_id[order.members[rows]]  # `order.image_id` would hold all of them
    if not np.array_equal(table["image_id"].to_numpy(), own):
        raise ValueError(f"{artifact.stage} was made of other images than the crawls hold now: make it again")
    return table.select(list(columns))
