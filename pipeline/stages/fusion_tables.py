"""What fusion reads: tables of evidence a stretch of classes at a time, and people's verdicts."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.fusion_classes import NO_CLASS
from pipeline.evidence.fusion_views import SOURCES, margins
from pipeline.stages.classes import ClassOrder, part_sums, read_stretch
from pipeline.stages.settled import rows_of
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import read_table

Task = tuple[int, slice]  # number and rows of a stretch of classes


@dataclass(frozen=True)
class Verified:
    """Labels that a person looked at."""

    image_id: npt.NDArray[np.int64]  # (m,) distinct
    right: npt.NDArray[np.bool_]  # (m,)
    found: npt.NDArray[np.int32]  # (m,) class it is of; NO_CLASS where it is wrong and nobody said what it is instead
    weight: npt.NDArray[np.float32]  # (m,) what each counts: those that one verdict speaks for count as one together

    @classmethod
    def of(cls, image_id: npt.NDArray[np.int64], right: npt.NDArray[np.bool_]) -> Self:
        """One verdict an image, that only says whether the label is right."""
        return cls(image_id, right, np.full(len(right), NO_CLASS, np.int32), np.ones(len(right), np.float32))

    @classmethod
    def read(cls, settled: Artifact) -> Self | None:
        """What a `settled` holds; None where that is nothing."""
        table = read_table(settled.table("settled"))
        if not len(table):
            return None
        _, which, images = np.unique(table["told_on"].to_numpy(), return_inverse=True, return_counts=True)
        found = table["class_index"].fill_null(NO_CLASS).to_numpy()
        right = table["right"].to_numpy()
        return cls(table["image_id"].to_numpy(), right, found, (1 / images[which]).astype(np.float32))

    @property
    def digest(self) -> str:
        """What they are, whatever their order."""
        order = np.argsort(self.image_id)
        columns = (self.image_id.astype("<i8"), self.right, self.found.astype("<i4"), self.weight.astype("<f4"))
        return hashlib.blake2b(b"".join(column[order].tobytes() for column in columns), digest_size=16).hexdigest()

    @classmethod
    def nothing(cls) -> Self:
        """Nobody looked at anything."""
        return cls.of(np.empty(0, np.int64), np.empty(0, np.bool_))

    def in_order(self, order: ClassOrder) -> tuple[npt.NDArray[np.int64], Self]:
        """Rows of an order that a person looked at, ascending, and what was found of each."""
        told = self._only(np.argsort(self.image_id))
        rows, which = rows_of(told.image_id, order)
        return rows, told._only(which)

    def _only(self, chosen: npt.NDArray[np.integer[Any]]) -> Self:
        return replace(self, **{item.name: getattr(self, item.name)[chosen] for item in fields(self)})


@dataclass(frozen=True)
class Tables:
    """The tables, a stretch of classes at a time."""

    order: ClassOrder
    tables: Mapping[str, Artifact]
    duplicates: Artifact

    @property
    def sources(self) -> tuple[str, ...]:
        """The witnesses, as `SOURCES` names them."""
        return tuple(self.tables)

    @property
    def tasks(self) -> list[Task]:
        """Number and rows of each stretch."""
        return list(enumerate(self.order.runs))

    @property
    def parts(self) -> list[list[str]]:
        """What stands for the parts that are read of each stretch.

        Raises:
            ValueError: a table was made of other images.
        """
        found: list[list[str]] = [[] for _ in self.order.runs]
        for artifact in (*self.tables.values(), self.duplicates):
            for own, part in zip(found, part_sums(artifact, self.order), strict=True):
                own.append(part)
        return found

    def columns(self, task: Task, also: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, npt.NDArray[Any]]:
        """What the sources say of a stretch, in the columns of SOURCES and some others; NaN for a null."""
        number, rows = task
        found: dict[str, npt.NDArray[Any]] = {"class_index": self.order.class_index[rows]}
        for name, artifact in self.tables.items():
            wanted = tuple(dict.fromkeys((*SOURCES[name].columns, *(also or {}).get(name, ()))))
            table = read_stretch(artifact, number, self.order, rows, wanted)
            found |= {column: _floats(table[column]) for column in wanted}
        return found

    def margins(self, task: Task) -> npt.NDArray[np.float32]:
        """(rows, sources) what each says of a stretch."""
        return margins(self.columns(task), self.sources)

    def of_rows(
        self, rows: npt.NDArray[np.int64], read: Callable[[Task], npt.NDArray[Any]], empty: tuple[int, ...]
    ) -> npt.NDArray[Any]:
        """What `read` has of some rows, ascending; only the stretches that hold one are read."""
        found = []
        for task in self.tasks:
            first, last = np.searchsorted(rows, (task[1].start, task[1].stop))
            if last > first:
                found.append(read(task)[rows[first:last] - task[1].start])
        return np.concatenate(found) if found else np.empty(empty)

    def groups(self, task: Task) -> npt.NDArray[np.int64]:
        """(rows,) duplicate groups of a stretch."""
        number, rows = task
        return np.asarray(self._doubles(number, rows, "duplicate_group"), np.int64)

    def counts(self, task: Task) -> npt.NDArray[np.float32]:
        """What each image counts: those that are one picture count as one together."""
        number, rows = task
        return np.asarray(1 / np.maximum(self._doubles(number, rows, "training_copies"), 1), np.float32)

    def _doubles(self, number: int, rows: slice, column: str) -> npt.NDArray[Any]:
        return np.asarray(read_stretch(self.duplicates, number, self.order, rows, (column,))[column].to_numpy())


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
