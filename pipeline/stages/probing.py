"""The training images as a probe reads them, fold by fold: training, storing and applying a probe for each fold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.probe import FoldProbes, Moments, OpinionSettings, Probe, Sample, Scale, fit_folds
from pipeline.evidence.sampling import hashed_sample
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.storage.arrays import ArrayShards, open_array, write_array
from pipeline.storage.draft import Draft

SAMPLE_IMAGES = 8192  # scale, shrinkage and temperature are settled by so many
LEAST_SAMPLE_IMAGES = 2048  # with very many classes
BLOCK_IMAGES = 8192  # widened to float32 at a time
SAMPLE_LOGITS = 2**22  # of the sample, held at once
BLOCK_LOGITS = 2**20  # of a thread, held at once


@dataclass(frozen=True)
class FoldedImages:
    """The t usable training images, their features and folds."""

    order: ClassOrder
    shards: ArrayShards
    fold: npt.NDArray[np.int32]  # (t,)

    @property
    def classes(self) -> int:
        """Of the catalogue."""
        return len(self.order.sizes)

    def stretch(self, classes: range) -> slice:
        """The rows of some classes that follow one another."""
        return slice(int(self.order.starts[classes[0]]), int(self.order.starts[classes[-1] + 1]))

    def of_fold(self, fold: int, rows: slice, step: int) -> Iterator[tuple[npt.NDArray[np.intp], Any]]:
        """Rows of a fold whose features are finite, and those, float16 (n, D), at most `step` at a time."""
        own = rows.start + np.flatnonzero(self.fold[rows] == fold)
        for start in range(0, len(own), step):
            block = own[start : start + step]
            found = self.order.gather(self.shards, block)
            finite = _finite(found)
            yield block[finite], found[finite]


def _finite(features: npt.NDArray[np.float16]) -> npt.NDArray[np.bool_]:
    """Rows (n, D) without NaN or infinity, whose exponents are all ones; numpy's own test takes 15 times as long."""
    finite: npt.NDArray[np.bool_] = (features.view(np.uint16) & 0x7C00).max(axis=1, initial=0) < 0x7C00
    return finite


def train_probes(images: FoldedImages, settings: OpinionSettings, workers: Workers) -> FoldProbes:
    """Train a probe for each fold, on threads in one pass over the features; on a cluster each fold passes over them.

    A fold is one worker's, so that its sums grow in one order however many workers there are.
    """
    order, dimensions = images.order, images.shards.row_shape[0]
    count = int(np.clip(SAMPLE_LOGITS // max(images.classes, 1), LEAST_SAMPLE_IMAGES, SAMPLE_IMAGES))
    chosen = hashed_sample(order.image_id, count, settings.seed)
    found = images.order.gather(images.shards, chosen)
    finite = _finite(found)
    chosen, found = chosen[finite], found[finite]
    scale = Scale.of(found)
    sample = Sample(scale.apply(found), order.class_index[chosen], images.fold[chosen])
    moments = [Moments.none(images.classes, dimensions) for _ in range(settings.folds)]
    every = [images.stretch(classes) for classes in stretches(order.sizes)]
    # Threads share the sums, and read a stretch while it is in memory; to other machines the sums would have to travel.
    for together in [[rows] for rows in every] if isinstance(workers, int) else [every]:
        moments = list(map_shards(partial(_added, images, scale, together), list(enumerate(moments)), workers))
    return fit_folds(moments, scale, sample, workers)


def _added(images: FoldedImages, scale: Scale, stretched: Sequence[slice], task: tuple[int, Moments]) -> Moments:
    """The moments of a fold, to which its images of some stretches have been added in place."""
    fold, moments = task
    for rows in stretched:
        for block, own in images.of_fold(fold, rows, BLOCK_IMAGES):
            moments.add(scale.apply(own), images.order.class_index[block])
    return moments


def write_probes(draft: Draft, shard: int, fitted: FoldProbes) -> None:
    """Keep the probes: `probe/part-k.npy`, float32 (D + 1, C), weights and, last, bias of the one for fold k."""
    files = {}
    for fold, probe in enumerate(fitted.probes):
        path = _probe_path(draft.table("probe"), fold)
        with write_array(path, (len(probe.weights) + 1, len(probe.bias)), np.float32) as out:
            out[:-1], out[-1] = probe.weights, probe.bias
        files[path] = len(probe.weights) + 1
    loss = None if np.isnan(fitted.loss) else fitted.loss
    draft.finish(shard, files, {"shrinkage": fitted.shrinkage, "temperature": fitted.temperature, "loss": loss})


def read_probes(folder: Path, folds: int) -> list[Probe]:
    """What `write_probes` wrote to the folder `probe`, memory-mapped."""
    stored = [open_array(_probe_path(folder, fold)) for fold in range(folds)]
    return [Probe(own[:-1], own[-1]) for own in stored]


def _probe_path(folder: Path, fold: int) -> Path:
    return folder / f"part-{fold:05d}.npy"


def probabilities(
    images: FoldedImages, probes: Sequence[Probe], rows: slice
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]]:
    """Rows that there is an opinion of, and the out-of-fold probabilities of all classes, a block at a time."""
    step = min(BLOCK_IMAGES, max(64, BLOCK_LOGITS // max(images.classes, 1)))
    for fold, probe in enumerate(probes):
        for block, found in images.of_fold(fold, rows, step):
            seen = probe.seen[images.order.class_index[block]]
            if seen.any():
                yield block[seen], probe.probabilities(found[seen].astype(np.float32))
