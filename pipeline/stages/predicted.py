"""Stored predictions, of one model or of several side by side."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import iterate_part, part_paths, table_schema

_NUMBERS = 2**21  # logits of all models read at a time
_KEYS = ("image_id", "split", "class_index")
Logits = npt.NDArray[np.floating[Any]]


def classes_of(predictions: Artifact) -> int:
    """How many logits an image has."""
    return int(table_schema(predictions.table("predictions")).field("logits").type.list_size)


def logits_of(batch: pa.RecordBatch) -> Logits:
    """(rows, C) the float16 logits of some rows of `predictions`."""
    stored = batch.column("logits")
    return np.asarray(stored.flatten().to_numpy(zero_copy_only=False).reshape(len(stored), -1))


def same_parts(members: Sequence[Artifact]) -> list[tuple[Path, ...]]:
    """The parts of several models' predictions: one tuple for each part, with a file of each model.

    Raises:
        ValueError: they have other classes, or other parts.
    """
    classes = [classes_of(member) for member in members]
    parts = [part_paths(member.table("predictions")) for member in members]
    for member, own, found in zip(members, classes, parts, strict=True):
        if own != classes[0] or len(found) != len(parts[0]):
            raise _other(members[0].partition, member.partition)
    return list(zip(*parts, strict=True))


def side_by_side(parts: Sequence[Path], members: Sequence[Artifact]) -> Iterator[tuple[pa.RecordBatch, Logits]]:
    """Some rows at a time of one part: the first member's columns but its logits, and the logits (M, rows, C) of all.

    Raises:
        ValueError: the members predict other images, or call them otherwise.
    """
    rows = max(1, _NUMBERS // (len(members) * classes_of(members[0])))
    streams = [iterate_part(part, (*_KEYS, "logits"), rows) for part in parts]
    for batches in zip_longest(*streams):
        for member, batch in zip(members, batches, strict=True):
            if batch is None or batches[0] is None or not _keys(batch).equals(_keys(batches[0])):
                raise _other(members[0].partition, member.partition)
        yield _keys(batches[0]), np.stack([logits_of(batch) for batch in batches])


def _keys(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(list(_KEYS))


def _other(first: str, other: str) -> ValueError:
    return ValueError(f"{other} predicts other images than {first}: make both predictions again with `winnow run`")
