"""Manifest and images joined into columns; their pixels stay on the disk, and are read ahead of the network."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.specification import CrawlFolders
from pipeline.records import IMAGES, LISTING, MANIFEST, Split
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.tables import iterate_table, part_paths

READ_AHEAD = 3  # batches held ready, so that a slow read does not keep the network waiting
_Item = TypeVar("_Item")
Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Labelled images of several crawls by column, n of them; their pixels stay on the disk."""

    pixels: ArrayShards
    image_id: npt.NDArray[np.int64]
    shard: npt.NDArray[np.int32]  # position among the shards of all crawls
    row: npt.NDArray[np.int32]
    class_index: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """Images in the set."""
        return len(self.image_id)


@dataclass(frozen=True, kw_only=True)
class TrainingSet(ImageSet):
    """The kept images of a manifest."""

    weight: npt.NDArray[np.float32]
    repeats: npt.NDArray[np.int32]
    stage: npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class EvaluationSet(ImageSet):
    """The usable images of some splits, ordered by shard and row."""

    split: npt.NDArray[np.int8]  # position among the splits asked for


def load_training_set(manifest: Path, crawls: Sequence[CrawlFolders], classes: int) -> TrainingSet:
    """The images a manifest trains on: kept, seen at least once, and of a weight above 0.

    A weight of 0 leaves an image out altogether: in a batch it would still move the batch's normalisation.

    Raises:
        ValueError: nothing is left, a class or weight out of range, an image that is not usable or not of the
            training split.
    """
    columns = ["image_id", "class_index", "weight", "repeats", "stage"]
    rows = _columns(_filtered(manifest, MANIFEST, [*columns, "kept"], _is_trained_on).drop_columns("kept"))
    if len(rows["image_id"]) == 0:
        raise ValueError(f"{manifest} keeps no image: there is nothing to train on")
    if rows["class_index"].min() < 0 or rows["class_index"].max() >= classes or rows["stage"].min() < 0:
        raise ValueError(f"{manifest}: class_index must be in [0, {classes}) and stage at least 0")
    if not np.isfinite(rows["weight"]).all() or rows["weight"].min() < 0 or rows["stage"].min() > 0:
        raise ValueError(f"{manifest}: weights must be finite and at least 0, and some image must enter at stage 0")
    held_out = np.concatenate([_listed(crawl.listing, ("val", "test"))["image_id"] for crawl in crawls])
    mixed = np.isin(rows["image_id"], held_out)
    if mixed.any():
        raise ValueError(f"{manifest} keeps {mixed.sum()} images of val or test, {rows['image_id'][mixed][0]} for one")
    pixels = ArrayShards([crawl.pixels for crawl in crawls])
    shard, row, found = _locate(rows["image_id"], crawls, pixels)
    if not found.all():
        raise ValueError(f"{manifest} keeps {(~found).sum()} unusable images, {rows['image_id'][~found][0]} for one")
    return TrainingSet(pixels=pixels, shard=shard, row=row, **rows)


def load_splits(crawls: Sequence[CrawlFolders], splits: Sequence[Split]) -> EvaluationSet:
    """The usable images of those splits; there may be none."""
    parts = [_listed(crawl.listing, splits) for crawl in crawls]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    pixels = ArrayShards([crawl.pixels for crawl in crawls])
    shard, row, found = _locate(rows["image_id"], crawls, pixels)
    order = np.lexsort((row, shard))
    order = order[found[order]]
    stored = {name: column[order] for name, column in rows.items()}
    return EvaluationSet(pixels=pixels, shard=shard[order], row=row[order], **stored)


def read_ahead(load: Callable[[int], _Item], numbers: range) -> Iterator[_Item]:
    """`load(number)` for each number in order, the next few made by another thread while this one works."""
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(load, number) for number in numbers[:READ_AHEAD])
        for number in numbers[READ_AHEAD:]:
            yield waiting.popleft().result()
            waiting.append(thread.submit(load, number))
        while waiting:
            yield waiting.popleft().result()


def _listed(listing: Path, splits: Sequence[Split]) -> Columns:
    """image_id, class_index and split (its position in `splits`) of a listing's images of those splits."""
    wanted = pa.array(splits, pa.string())
    columns = ["image_id", "class_index", "split"]
    rows = _filtered(listing, LISTING, columns, lambda batch: pc.is_in(batch["split"], value_set=wanted))
    position = pc.index_in(rows["split"], value_set=wanted).cast(pa.int8())
    return _columns(rows.set_column(2, "split", position))


def _is_trained_on(batch: pa.RecordBatch) -> pa.BooleanArray:
    seen = pc.and_(pc.greater(batch["repeats"], 0), pc.not_equal(batch["weight"], 0.0))
    return pc.and_(batch["kept"], seen)


def _is_usable(batch: pa.RecordBatch) -> pa.BooleanArray:
    return pc.equal(batch["status"], "usable")


def _locate(
    image_id: npt.NDArray[np.int64], crawls: Sequence[CrawlFolders], pixels: ArrayShards
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Where the pixels of each image lie (shard, row), and whether it has any."""
    columns = ["image_id", "shard", "row", "status"]
    parts = [_columns(_filtered(crawl.images, IMAGES, columns, _is_usable).drop_columns("status")) for crawl in crawls]
    ids, row = (np.concatenate([part[name] for part in parts]) for name in ("image_id", "row"))
    shard = np.concatenate([part["shard"] + offset for part, offset in zip(parts, pixels.offsets, strict=True)])
    if len(ids) == 0:
        nowhere = np.zeros(len(image_id), np.int32)
        return nowhere, nowhere, nowhere.astype(np.bool_)
    order = np.argsort(ids)
    place = order[np.searchsorted(ids, image_id, sorter=order).clip(max=len(ids) - 1)]
    return shard[place].astype(np.int32), row[place].astype(np.int32), ids[place] == image_id


def _filtered(
    folder: Path, schema: pa.Schema, columns: list[str], keep: Callable[[pa.RecordBatch], pa.BooleanArray]
) -> pa.Table:
    """Some columns of the rows of a table that are kept, read a stretch at a time."""
    if not part_paths(folder):
        raise FileNotFoundError(f"{folder} holds no table: no part-*.parquet in it")
    kept = [batch.filter(keep(batch)) for batch in iterate_table(folder, columns)]
    return pa.Table.from_batches(kept, kept[0].schema if kept else pa.schema([schema.field(name) for name in columns]))


def _columns(table: pa.Table) -> Columns:
    return {name: table[name].to_numpy() for name in table.column_names}
