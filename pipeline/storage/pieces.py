"""Pieces of tables under keys of what they were made from: what an earlier artifact holds is taken over, not computed.

A stage over classes names each class's rows by a hash of everything they depend on, and records the names with the
shard. When a crawl is added, the classes that it does not touch have the names they had.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, read_part

LOOKED_AT: Final = 3  # artifacts of a stage, the current one and the latest others
_NAMES: Final = "pieces"  # among a shard's facts


def digest_of(*columns: npt.NDArray[Any]) -> str:
    """What stands for some values in the key of a piece, which is an `identity`: types, shapes and every byte."""
    total = hashlib.sha256()
    for column in columns:
        total.update(f"{column.dtype.str}{column.shape}".encode())
        total.update(np.ascontiguousarray(column).data)
    return total.hexdigest()


def named(pieces: Iterable[tuple[str, pa.Table]]) -> Facts:
    """What to record of a shard whose one part of the table consists of these pieces, in their order."""
    return {_NAMES: [[key, table.num_rows] for key, table in pieces]}


def latest(store: Store, stage: str, partition: str = WHOLE) -> list[Artifact]:
    """What was made of a stage and partition and may be taken over: the current artifact, if any, and a few before."""
    try:
        return store.versions(stage, partition)[:LOOKED_AT]
    except NotMadeError:
        return []


def finished_shards(artifact: Artifact) -> Iterator[tuple[int, Facts]]:
    """Number and facts of each shard of an artifact, in order."""
    yield from ((number, facts) for number, _, facts in Draft(artifact.folder).shards())


class _Place(NamedTuple):
    part: Path
    start: int
    rows: int


class EarlierPieces:
    """The pieces that the latest artifacts of a stage hold, by key; threads may ask at once."""

    def __init__(self, store: Store, stage: str, table: str, schema: pa.Schema) -> None:
        """Learn where each lies. Of an artifact made before pieces were named there are none."""
        self._schema = schema
        self._places: dict[str, _Place] = {}
        for artifact in latest(store, stage):
            for shard, facts in finished_shards(artifact):
                self._learn(part_path(artifact.table(table), shard), facts.get(_NAMES, ()))
        self._remember()

    def _remember(self) -> None:
        self._part = functools.lru_cache(maxsize=2)(read_part)  # pieces are asked for in the order of their parts

    def __getstate__(self) -> dict[str, Any]:
        """For another machine: the places without what has been read there."""
        return {name: value for name, value in vars(self).items() if name != "_part"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read the places on this machine."""
        vars(self).update(state)
        self._remember()

    def _learn(self, part: Path, pieces: Sequence[tuple[str, int]]) -> None:
        start = 0
        for key, rows in pieces:
            self._places.setdefault(key, _Place(part, start, rows))
            start += rows

    def take(self, key: str) -> pa.Table | None:
        """The piece of that key, or None where it has to be computed."""
        place = self._places.get(key)
        if place is None:
            return None
        return self._part(place.part, tuple(self._schema.names)).slice(place.start, place.rows).cast(self._schema)
