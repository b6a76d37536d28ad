"""A shard of images as it is written: pixels of the usable ones, a row of the table for each."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.crawl.worker import FIRST_DEFECT, ROW, USABLE
from pipeline.crawl.workers import Source
from pipeline.records import DEFECTS, IMAGES
from pipeline.stages.withdrawn import Withdrawn
from pipeline.storage.arrays import open_array, write_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, read_part, write_table

_DETAIL = 200  # characters of what the decoder said
_COPIED_ROWS = 1024  # at a time, from the workers' scratch to the published file
_WITHDRAWN = np.array((FIRST_DEFECT + DEFECTS.index("withdrawn"), 0, 0, b"", 0, b""), ROW)
_REASONS = np.array([None, None, *DEFECTS], object)  # by a row's state


@dataclass(frozen=True)
class AskedShard:
    """A shard to be made."""

    shard: int
    ids: pa.Array
    sources: list[Source]


@dataclass(frozen=True)
class DecodedShard:
    """What is known of n images, and where their pixels are read from."""

    rows: npt.NDArray[Any]  # (n,) of `worker.ROW`
    pixels: npt.NDArray[np.uint8]  # (m, S, S, 3)
    place: npt.NDArray[np.int64]  # (n,) of usable images: the row in `pixels`


def carried(earlier: Artifact, asked: AskedShard) -> DecodedShard:
    """A shard as it was decoded before."""
    table = read_part(part_path(earlier.table("images"), asked.shard))
    if table.num_rows != len(asked.sources):
        raise ValueError(f"{earlier.folder} is not of this listing")
    rows = np.zeros(len(asked.sources), ROW)
    reason = pc.index_in(table["reason"], pa.array(DEFECTS))
    rows["state"] = pc.fill_null(pc.add(reason, FIRST_DEFECT), USABLE).to_numpy()
    for name in ("width", "height", "perceptual_hash"):
        rows[name] = pc.fill_null(table[name], 0).to_numpy()
    for name in ("sha256", "detail"):
        rows[name] = [text.encode() for text in pc.fill_null(table[name], "").to_pylist()]
    pixels = open_array(earlier.table("pixels") / f"part-{asked.shard:05d}.npy")
    return DecodedShard(rows, pixels, pc.fill_null(table["row"], -1).to_numpy().astype(np.int64))


def write_shard(
    draft: Draft, read: Callable[[AskedShard], DecodedShard], withdrawn: Withdrawn, asked: AskedShard
) -> tuple[int, Facts]:
    """Read a shard, write it, and record it as finished; returns its number and facts."""
    found, shard, ids = read(asked), asked.shard, asked.ids
    rows = found.rows
    sha256 = pa.array(rows["sha256"].astype(str).astype(object), pa.string(), mask=rows["state"] != USABLE)
    rows[withdrawn.among(ids.to_numpy(), sha256)] = _WITHDRAWN
    kept = found.place[rows["state"] == USABLE]
    pixels_path = draft.table("pixels") / f"part-{shard:05d}.npy"
    images_path = draft.table("images") / f"part-{shard:05d}.parquet"
    with write_array(pixels_path, (len(kept), *found.pixels.shape[1:]), np.uint8) as pixels:
        for at in range(0, len(kept), _COPIED_ROWS):
            pixels[at : at + _COPIED_ROWS] = found.pixels[kept[at : at + _COPIED_ROWS]]
    table = _table(shard, ids, rows)
    write_table(images_path, IMAGES, [table])
    reasons = Counter(table["reason"].drop_null().to_pylist())
    facts = {"listed": len(ids), "usable": len(kept), "reasons": dict(reasons)}
    draft.finish(shard, {pixels_path: len(kept), images_path: len(ids)}, facts)
    return shard, facts


def _table(shard: int, ids: pa.Array, rows: npt.NDArray[Any]) -> pa.Table:
    bad = rows["state"] != USABLE
    details: npt.NDArray[np.object_] = np.full(len(rows), None, object)
    # Cut to bytes by the worker, perhaps within a character.
    details[bad] = [text.decode(errors="ignore")[:_DETAIL] for text in rows["detail"][bad].tolist()]
    columns = {
        "image_id": ids,
        "status": pa.array(np.where(bad, "quarantined", "usable")),
        "reason": pa.array(_REASONS[rows["state"]], pa.string()),
        "detail": pa.array(details, pa.string()),
        "width": pa.array(rows["width"], mask=bad),
        "height": pa.array(rows["height"], mask=bad),
        "sha256": pa.array(rows["sha256"].astype(str).astype(object), pa.string(), mask=bad),
        "perceptual_hash": pa.array(rows["perceptual_hash"], mask=bad),
        "shard": pa.array(np.full(len(rows), shard, np.int32), mask=bad),
        "row": pa.array((np.cumsum(~bad) - 1).astype(np.int32), mask=bad),
    }
    return pa.table([columns[name] for name in IMAGES.names], schema=IMAGES)
