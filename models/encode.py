"""A trained network over stored pixels: features and logits, part by part, each finished part kept by the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from models.data import EvaluationSet, load_splits, read_ahead
from models.gang import Gang, has_bfloat16
from models.networks import Classifier, normalise
from models.specification import EncodingJob, ModelSpecification
from pipeline.records import Split, predictions
from pipeline.storage.arrays import Array, ArrayShards, write_array
from pipeline.storage.artifacts import Draft
from pipeline.storage.tables import write_table

BATCH_IMAGES = 256
Float16s = npt.NDArray[np.float16]
Report = Callable[[int], None]


@dataclass(frozen=True)
class Encoder:
    """A trained network in the form it is applied in."""

    network: Classifier
    specification: ModelSpecification
    gang: Gang

    def apply(self, part: Array, rows: npt.NDArray[np.integer[Any]], report: Report) -> tuple[Float16s, Float16s]:
        """Features (n, D) and logits (n, C) of n rows of a pixel part; `report` is told the rows done.

        Raises:
            ValueError: the part's images are not of the size the network was trained on, or a number is not finite.
        """
        told = self.specification
        if part.shape[1:] != (told.image_size, told.image_size, 3):
            raise ValueError(f"pixels are {part.shape[1:]}, the network was trained on {told.image_size} pixels a side")
        features = np.empty((len(rows), told.features), np.float16)
        logits = np.empty((len(rows), told.classes), np.float16)
        starts = range(0, len(rows), BATCH_IMAGES)
        for start, pixels in zip(starts, read_ahead(lambda start: _read(part, rows, start), starts), strict=True):
            stop = start + len(pixels)
            features[start:stop], logits[start:stop] = self._forward(pixels)
            report(stop)
        if not (np.isfinite(features).all() and np.isfinite(logits).all()):
            raise ValueError("the network gives numbers that float16 cannot hold: its training went wrong")
        return features, logits

    def _forward(self, pixels: torch.Tensor) -> tuple[Float16s, Float16s]:
        device, told = self.gang.device, self.specification
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            features = self.network.features(normalise(pixels.to(device), told.mean, told.std))
            logits = self.network.head(features)
        return features.half().cpu().numpy(), logits.half().cpu().numpy()


def encode(job: EncodingJob, encoder: Encoder, report: Callable[[int, int], None]) -> None:
    """Make the parts that are this process's: every n-th part that no earlier attempt finished.

    Part k belongs to pixel part k, counted over the crawls one after another.

    Args:
        job: what to make of which crawls.
        encoder: the trained network.
        report: told (images done by all processes, images in all) after every batch.
    """
    draft = Draft(job.out)
    pixels = ArrayShards([crawl.pixels for crawl in job.crawls])
    labelled = load_splits(job.crawls, job.splits if "logits" in job.outputs else ())
    in_part = np.searchsorted(labelled.shard, np.arange(len(pixels.shards) + 1))  # where each part's images begin
    whole = "features" in job.outputs
    sizes = [len(shard) for shard in pixels.shards] if whole else np.diff(in_part).tolist()
    for part in range(encoder.gang.rank, len(sizes), encoder.gang.processes):
        if draft.finished(part) is not None:
            continue
        chosen = slice(in_part[part], in_part[part + 1])
        rows = np.arange(sizes[part]) if whole else labelled.row[chosen]
        before = sum(size for other, size in enumerate(sizes) if draft.finished(other) is not None)
        tell = partial(_report_part, report, before, sum(sizes))
        features, logits = encoder.apply(pixels.shards[part], rows, tell)
        files: dict[Path, int] = {}
        if "features" in job.outputs:
            files |= _write_features(draft, part, features)
        if "logits" in job.outputs:
            logits = logits[np.searchsorted(rows, labelled.row[chosen])]
            files |= _write_predictions(draft, part, _labels(labelled, chosen, job.splits), encoder, logits)
        draft.finish(part, files)


def _report_part(report: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    report(before + done, total)


def _read(part: Array, rows: npt.NDArray[np.integer[Any]], start: int) -> torch.Tensor:
    return torch.from_numpy(part[rows[start : start + BATCH_IMAGES]])


def _write_features(draft: Draft, part: int, features: Float16s) -> dict[Path, int]:
    path = draft.table("features") / f"part-{part:05d}.npy"
    with write_array(path, features.shape, np.float16) as stored:
        stored[:] = features
    return {path: len(features)}


def _labels(images: EvaluationSet, chosen: slice, splits: Sequence[Split]) -> dict[str, pa.Array]:
    return {
        "image_id": pa.array(images.image_id[chosen]),
        "split": pa.array(splits, pa.string()).take(pa.array(images.split[chosen])),
        "class_index": pa.array(images.class_index[chosen]),
    }


def _write_predictions(
    draft: Draft, part: int, labels: dict[str, pa.Array], encoder: Encoder, logits: Float16s
) -> dict[Path, int]:
    schema = predictions(logits.shape[1])
    columns = labels | {
        "seed": pa.array(np.full(len(logits), encoder.specification.seed, np.int32)),
        "logits": pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1)), logits.shape[1]),
    }
    path = draft.table("predictions") / f"part-{part:05d}.parquet"
    return {path: write_table(path, schema, [pa.table(columns).select(schema.names)])}
