"""A network over stored pixels: features and logits, part by part, each finished part kept by the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

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
from models.gang import Gang, has_bfloat16, join_gang
from models.networks import Classifier, normalise
from models.room import Room
from models.specification import EncodingJob, ModelSpecification, Output
from pipeline.engine import Cluster
from pipeline.records import Split
from pipeline.result_tables import predictions
from pipeline.storage.arrays import Array, ArrayShards, write_array
from pipeline.storage.draft import Draft
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
    room: Room = field(default_factory=Room)

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
            OutOfMemoryError: the device has no room for one image.
        """
        told = self.specification
        if isinstance(told, ModelSpecification) and part.shape[1:] != (told.image_size, told.image_size, 3):
            raise ValueError(f"pixels are {part.shape[1:]}, the network was trained on {told.image_size} pixels a side")
        made = {name: np.empty((len(rows), self._width(name)), np.float16) for name in outputs}
        size = min(BATCH_IMAGES, max(1, BATCH_PIXELS // told.image_size**2))
        starts = range(0, len(rows), size)
        batches = read_ahead(lambda start: torch.from_numpy(part[rows[start : start + size]]), starts)
        for start, pixels in zip(starts, batches, strict=True):
            done = 0
            while done < len(pixels):
                piece = pixels[done:][: self.room.images]
                try:
                    found = self._forward(piece, outputs)
                except torch.OutOfMemoryError as error:
                    self.room.halve(len(piece), error)
                    continue
                for name, values in found.items():
                    made[name][start + done : start + done + len(piece)] = values
                done += len(piece)
            report(start + done)
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


def load_encoder(folder: Path, gang: Gang, room: Room | None = None) -> Encoder:
    """A published model or extractor on this process's device, which has room for so much.

    Raises:
        ValueError: the weights do not fit the specification beside them.
    """
    if (folder / EXTRACTOR).exists():
        extractor, told = load_extractor(folder)
        return Encoder(extractor.to(gang.device), told, gang, room or Room())
    network, specification = load_model(folder)
    return Encoder(network.to(gang.device), specification, gang, room or Room())


def encode(job: EncodingJob, encoder: Encoder, report: Callable[[int, int], None]) -> None:
    """Make the parts that are this process's: every n-th part that no earlier attempt finished.

    Part k belongs to pixel part k, counted over the crawls one after another.

    Args:
        job: what to make of which crawls.
        encoder: the network.
        report: told (images done by all processes, images in all) after every batch.
    """
    parts = _Parts.of(job)
    for part in range(encoder.gang.rank, len(parts.sizes), encoder.gang.processes):
        if parts.draft.finished(part) is None:
            parts.make(part, encoder, partial(_report_part, report, parts.done, sum(parts.sizes)))


def encode_apart(job: EncodingJob, cluster: Cluster, report: Callable[[int, int], None]) -> None:
    """Make the parts that no earlier attempt finished on a cluster, each on a GPU of its own where it has any.

    Args:
        job: what to make of which crawls.
        cluster: whose machines see its files.
        report: told (images done, images in all) after every part.
    """
    parts = _Parts.of(job)
    done, total = parts.done, sum(parts.sizes)
    left = [part for part in range(len(parts.sizes)) if parts.draft.finished(part) is None]
    for size in cluster.accelerated().map(_Alone(job), left):
        done += size
        report(done, total)


@dataclass(frozen=True)
class _Alone:
    """Makes one part after another in a process that is sent them; the network is loaded once."""

    job: EncodingJob

    @cached_property
    def _parts(self) -> "_Parts":
        return _Parts.of(self.job)

    @cached_property
    def _encoder(self) -> Encoder:
        gang = join_gang()
        torch.set_num_threads(1)  # every core has a process like this one
        return load_encoder(self.job.model, gang)

    def __call__(self, part: int) -> int:
        """Returns its images."""
        self._parts.make(part, self._encoder, lambda _: None)
        return self._parts.sizes[part]


@dataclass(frozen=True)
class _Parts:
    """The parts that a job makes, one for each pixel part."""

    job: EncodingJob
    draft: Draft
    pixels: ArrayShards
    labelled: EvaluationSet  # of the splits that are told of in tables
    in_part: npt.NDArray[np.intp]  # (parts + 1,) where each part's images begin in `labelled`
    sizes: list[int]  # images of each

    @classmethod
    def of(cls, job: EncodingJob) -> Self:
        pixels = ArrayShards([crawl.pixels for crawl in job.crawls])
        labelled = load_splits(job.crawls, job.splits if job.tabled else ())
        in_part = np.searchsorted(labelled.shard, np.arange(len(pixels.shards) + 1))
        sizes = [len(shard) for shard in pixels.shards] if job.whole else np.diff(in_part).tolist()
        return cls(job, Draft(job.out), pixels, labelled, in_part, sizes)

    @property
    def done(self) -> int:
        """Images of the parts that are finished."""
        return sum(size for part, size in enumerate(self.sizes) if self.draft.finished(part) is not None)

    def make(self, part: int, encoder: Encoder, report: Report) -> None:
        """Apply the network to a part, write what it says and record it."""
        job, labelled, draft = self.job, self.labelled, self.draft
        chosen = slice(self.in_part[part], self.in_part[part + 1])
        rows = np.arange(self.sizes[part]) if job.whole else labelled.row[chosen]
        made = encoder.apply(self.pixels.shards[part], rows, job.outputs, report)
        files: dict[Path, int] = {}
        for name, values in made.items():
            if name == "features" or job.every_image:
                files |= _write_array(draft, name, part, values)
        if job.tabled:
            told = encoder.specification
            seed = told.seed if isinstance(told, ModelSpecification) else 0
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
