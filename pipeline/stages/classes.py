"""The usable training images class by class: the order of every evidence table, and how a class is read."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.stages.population import Population, read_population
from pipeline.storage.arrays import Array, ArrayShards
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import part_path, read_part, read_table

SHARD_IMAGES = 50_000  # classes are gathered until a shard has about so many images; a larger class is a shard alone


@dataclass(frozen=True)
class ClassOrder:
    """t usable training images of C classes, grouped by class."""

    population: Population
    members: npt.NDArray[np.int64]  # (t,) positions in the population
    starts: npt.NDArray[np.int64]  # (C + 1,) where each class begins in `members`

    @classmethod
    def of(cls, population: Population, classes: int) -> Self:
        """Group the population's usable training images; within a class they keep their order.

        Args:
            population: all images of all crawls.
            classes: size of the catalogue.
        """
        members = population.trainable
        label = population.class_index[members]
        counts = np.bincount(label, minlength=classes)
        return cls(population, members[np.argsort(label, kind="stable")], np.concatenate([[0], np.cumsum(counts)]))

    @classmethod
    def read(cls, listings: Sequence[Artifact], images: Sequence[Artifact]) -> Self:
        """The order of some crawls' images, in the crawls' order."""
        classes = listings[0].facts["classes"] if listings else 0
        return cls.of(read_population(listings, images), classes)

    def __len__(self) -> int:
        """Usable training images."""
        return len(self.members)

    @cached_property
    def image_id(self) -> npt.NDArray[np.int64]:
        """(t,) ids in this order."""
        return self.population.image_id[self.members]

    @cached_property
    def class_index(self) -> npt.NDArray[np.int32]:
        """(t,) labels in this order: ascending."""
        return self.population.class_index[self.members]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(C,) images of each class."""
        return np.diff(self.starts)

    def rows(self, class_index: int) -> slice:
        """The rows of one class in this order."""
        return slice(int(self.starts[class_index]), int(self.starts[class_index + 1]))

    def gather(self, shards: ArrayShards, rows: slice | npt.NDArray[np.integer[Any]]) -> Array:
        """Features or pixels of some rows of this order: a copy (rows, *row shape)."""
        own = self.members[rows]
        return shards.gather(self.population.shard[own], self.population.row[own])


def stretches(sizes: npt.NDArray[np.integer[Any]]) -> list[range]:
    """Cut the classes, given their sizes, into runs of about SHARD_IMAGES images; no class is cut."""
    shard = (np.cumsum(sizes) - sizes) // SHARD_IMAGES
    edges = [0, *(np.flatnonzero(np.diff(shard)) + 1).tolist(), len(sizes)]
    return [range(first, last) for first, last in itertools.pairwise(edges) if last > first]


def read_evidence(artifact: Artifact, order: ClassOrder, columns: Sequence[str]) -> pa.Table:
    """Some columns of an evidence table, row beside row with `order`.

    Raises:
        ValueError: the table was made of other images.
    """
    table = read_table(artifact.table("evidence"), ("image_id", *columns))
    if not np.array_equal(table["image_id"].to_numpy(), order.image_id):
        raise ValueError(f"{artifact.stage} was made of other images than the crawls hold now: make it again")
    return table.select(list(columns))


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
