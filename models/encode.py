"""A network over stored pixels: features and logits, part by part, each finished part kept by the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from models.checkpoint import load_model
from models.data import EvaluationSet, load_splits, read_ahead
from models.extractor import SPECIFICATION as EXTRACTOR
from models.extractor import Extractor, load_extractor
from models.features import ExtractorSpecification
from models.gang import Gang, has_bfloat16
from models.networks import Classifier, normalise
from models.specification import EncodingJob, ModelSpecification, Output
from pipeline.records import Split
from pipeline.result_tables import predictions
from pipeline.storage.arrays import Array, ArrayShards, write_array
from pipeline.storage.artifacts import Draft
from pipeline.storage.tables import write_table

BATCH_IMAGES = 256
BATCH_PIXELS = 2**21  # of a batch that a network is fed: large pictures come in smaller batches
Float16s = npt.NDArray[np.float16]
Report = Callable[[int], None]


@dataclass(frozen=True)
class Encoder:
    """A network in the form it is applied in: a trained one with its classes, or an extractor without any."""

    network: Classifier | Extractor
    specification: ModelSpecification | ExtractorSpecification
    gang: Gang

    def apply(
        self, part: Array, rows: npt.NDArray[np.integer[Any]], outputs: Sequence[Output], report: Report
    ) -> dict[Output, Float16s]:
        """Features (n, D) and logits (n, C), those asked for, of n rows of a pixel part.

        Args:
            part: uint8 [images, S, S, 3].
            rows: of the part.
            outputs: what to make.
            report: told the rows done after every batch.

        Raises:
            ValueError: the part's images are not of the size the network was trained on, or a number is not finite.
        """
        told = self.specification
        if isinstance(told, ModelSpecification) and part.shape[1:] != (told.image_size, told.image_size, 3):
            raise ValueError(f"pixels are {part.shape[1:]}, the network was trained on {told.image_size} pixels a side")
        made = {name: np.empty((len(rows), self._width(name)), np.float16) for name in outputs}
        size = min(BATCH_IMAGES, max(1, BATCH_PIXELS // told.image_size**2))
        starts = range(0, len(rows), size)
        batches = read_ahead(lambda start: torch.from_numpy(part[rows[start : start + size]]), starts)
        for start, pixels in zip(starts, batches, strict=True):
            stop = start + len(pixels)
            for name, values in self._forward(pixels, outputs).items():
                made[name][start:stop] = values
            report(stop)
        if not all(np.isfinite(values).all() for values in made.values()):
            raise ValueError("the network gives numbers that float16 cannot hold: its weights are spoilt")
        return made

    def _width(self, output: Output) -> int:
        told = self.specification
        if output == "features":
            return told.features
        if isinstance(told, ExtractorSpecification):
            raise ValueError(f"{told.network} with weights of its own knows none of the crawl's classes: no logits")
        return told.classes

    def _forward(self, pixels: Tensor, outputs: Sequence[Output]) -> dict[Output, Float16s]:
        device, told = self.gang.device, self.specification
        images = normalise(pixels.to(device), told.mean, told.std)
        if images.shape[-1] != told.image_size:
            images = F.interpolate(images, (told.image_size,) * 2, mode="bilinear", antialias=True)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            found: dict[Output, Tensor] = {"features": self.network.features(images)}
            if isinstance(self.network, Classifier) and "logits" in outputs:
                found["logits"] = self.network.head(found["features"])
        return {name: found[name].half().cpu().numpy() for name in outputs}


def load_encoder(folder: Path, gang: Gang) -> Encoder:
    """A published model or extractor on this process's device.

    Raises:
        ValueError: the weights do not fit the specification beside them.
    """
    if (folder / EXTRACTOR).exists():
        extractor, told = load_extractor(folder)
        return Encoder(extractor.to(gang.device), told, gang)
    network, specification = load_model(folder)
    return Encoder(network.to(gang.device), specification, gang)


def encode(job: EncodingJob, encoder: Encoder, report: Callable[[int, int], None]) -> None:
    """Make the parts that are this process's: every n-th part that no earlier attempt finished.

    Part k belongs to pixel part k, counted over the crawls one after another.

    Args:
        job: what to make of which crawls.
        encoder: the network.
        report: told (images done by all processes, images in all) after every batch.
    """
    draft = Draft(job.out)
    told = encoder.specification
    seed = told.seed if isinstance(told, ModelSpecification) else 0
    pixels = ArrayShards([crawl.pixels for crawl in job.crawls])
    tabled = "logits" in job.outputs and not job.every_image
    labelled = load_splits(job.crawls, job.splits if tabled else ())
    in_part = np.searchsorted(labelled.shard, np.arange(len(pixels.shards) + 1))  # where each part's images begin
    whole = "features" in job.outputs or job.every_image
    sizes = [len(shard) for shard in pixels.shards] if whole else np.diff(in_part).tolist()
    for part in range(encoder.gang.rank, len(sizes), encoder.gang.processes):
        if draft.finished(part) is not None:
            continue
        chosen = slice(in_part[part], in_part[part + 1])
        rows = np.arange(sizes[part]) if whole else labelled.row[chosen]
        before = sum(size for other, size in enumerate(sizes) if draft.finished(other) is not None)
        tell = partial(_report_part, report, before, sum(sizes))
        made = encoder.apply(pixels.shards[part], rows, job.outputs, tell)
        files: dict[Path, int] = {}
        for name, values in made.items():
            if name == "features" or job.every_image:
                files |= _write_array(draft, name, part, values)
        if tabled:
            logits = made["logits"][np.searchsorted(rows, labelled.row[chosen])]
            files |= _write_predictions(draft, part, _labels(labelled, chosen, job.splits), seed, logits)
        draft.finish(part, files)


def _report_part(report: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    report(before + done, total)


def _write_array(draft: Draft, output: Output, part: int, values: Float16s) -> dict[Path, int]:
    path = draft.table(output) / f"part-{part:05d}.npy"
    with write_array(path, values.shape, np.float16) as stored:
        stored[:] = values
    return {path: len(values)}


def _labels(images: EvaluationSet, chosen: slice, splits: Sequence[Split]) -> dict[str, pa.Array]:
    return {
        "image_id": pa.array(images.image_id[chosen]),
        "split": pa.array(splits, pa.string()).take(pa.array(images.split[chosen])),
        "class_index": pa.array(images.class_index[chosen]),
    }


def _write_predictions(
    draft: Draft, part: int, labels: dict[str, pa.Array], seed: int, logits: Float16s
) -> dict[Path, int]:
    schema = predictions(logits.shape[1])
    columns = labels | {
        "seed": pa.array(np.full(len(logits), seed, np.int32)),
        "logits": pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1)), logits.shape[1]),
    }
    path = draft.table("predictions") / f"part-{part:05d}.parquet"
    return {path: write_table(path, schema, [pa.table(columns).select(schema.names)])}
