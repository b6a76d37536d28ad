"""Batches of a training: which images, with which weight, drawn how; the same for any number of processes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.augment import draw, mixing_share
from models.data import TrainingSet, read_ahead
from models.sampler import batch_bounds, drawn_repeats, epoch_order, rank_bounds, sightings, stage_of_epoch
from models.settings import TrainingSettings
from pipeline.storage.arrays import ArrayShards


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One process's part of a global batch, b images of it.

    Where images are mixed, each with the next of the global batch (the last with the first), the pictures have a row
    more than b: what the part's last image is mixed with.
    """

    pixels: Tensor  # uint8 [b or b + 1, S, S, 3]
    class_index: Tensor  # int64 [b or b + 1]
    weight: Tensor  # float32 [b or b + 1], factors of the loss
    draws: Tensor  # float32 [b or b + 1, DRAWS], for the augmentation
    image_id: npt.NDArray[np.int64]  # (b,)
    whole: npt.NDArray[np.int64]  # (images,) the global batch, as rows of the training set
    first: int  # where in it this part begins
    mix: Tensor | None = None  # float32 [b], each image's own share; None: nothing is mixed
    taught: tuple[Tensor, ...] = ()  # float16 [b or b + 1, C] of each teacher whose outputs are stored

    @property
    def images(self) -> int:
        """Images of the whole global batch."""
        return len(self.whole)

    def cut(self, parts: int) -> Iterator["Batch"]:
        """The batch in `parts` that differ by one image at most, or in single images where it has fewer."""
        own = len(self.image_id)
        parts = min(parts, own)
        extra = len(self.class_index) - own
        for part in range(parts):
            images = slice(own * part // parts, own * (part + 1) // parts)
            rows = slice(images.start, images.stop + extra)
            yield replace(
                self,
                pixels=self.pixels[rows],
                class_index=self.class_index[rows],
                weight=self.weight[rows],
                draws=self.draws[rows],
                image_id=self.image_id[images],
                first=self.first + images.start,
                mix=None if self.mix is None else self.mix[images],
                taught=tuple(each[rows] for each in self.taught),
            )


@dataclass(frozen=True, kw_only=True)
class TrainingBatches:
    """A training's batches by epoch and number, as one of several processes sees them."""

    source: TrainingSet
    settings: TrainingSettings
    seed: int
    rank: int = 0
    processes: int = 1
    taught: tuple[ArrayShards, ...] = ()  # stored outputs of each teacher, beside the pixels

    def images(self, epoch: int) -> int:
        """Images an epoch sees over all processes, repeats counted."""
        return sightings(self.source.repeats, self.source.stage, self._stage(epoch))

    def read(self, epoch: int, numbers: range) -> Iterator[Batch]:
        """The epoch's batches of those numbers, read ahead."""
        source, stage = self.source, self._stage(epoch)
        repeats = source.repeats
        if self.settings.weighting == "sampling":
            repeats = drawn_repeats(repeats, source.weight, source.stage, stage, seed=self.seed, epoch=epoch)
        order = epoch_order(repeats, source.stage, stage, seed=self.seed, epoch=epoch)
        return read_ahead(lambda number: self._batch(order, epoch, number), numbers)

    def _batch(self, order: npt.NDArray[np.int64], epoch: int, number: int) -> Batch:
        start, stop = batch_bounds(len(order), self.settings.batch_size, number)
        first, last = rank_bounds(start, stop, self.rank, self.processes)
        draws = draw(self.seed, epoch, first, last - first)
        chosen, mix = order[first:last], None
        if self.settings.mixup > 0:
            mix = torch.from_numpy(mixing_share(draws, self.settings.mixup))
            following = last if last < stop else start
            chosen = np.append(chosen, order[following])
            draws = np.append(draws, draw(self.seed, epoch, following, 1), axis=0)
        source = self.source
        shard, row, weight = source.shard[chosen], source.row[chosen], source.weight[chosen]
        if self.settings.weighting == "sampling":
            weight = np.ones_like(weight)
        return Batch(
            pixels=torch.from_numpy(source.pixels.gather(shard, row)),
            class_index=torch.from_numpy(source.class_index[chosen].astype(np.int64)),
            weight=torch.from_numpy(weight),
            draws=torch.from_numpy(draws),
            image_id=source.image_id[order[first:last]],
            whole=order[start:stop],
            first=first - start,
            mix=mix,
            taught=tuple(torch.from_numpy(stored.gather(shard, row)) for stored in self.taught),
        )

    def _stage(self, epoch: int) -> int:
        stages = int(self.source.stage.max()) + 1
        return stage_of_epoch(epoch, self.settings.epochs, stages, self.settings.stage_starts)
