"""What a network is trained for. The loop knows only `Task.loss`, whatever the goal."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from models.augment import crop_and_flip
from models.data import Batch
from models.losses import weighted_cross_entropy
from models.margins import margins_of
from models.networks import normalise
from models.specification import TrainingSettings


@dataclass(frozen=True)
class Loss:
    """What a task says of one process's part of a batch, b images of it."""

    share: Tensor  # scalar: the shares of all processes add up to the global batch's loss
    margins: Tensor  # float [b], no gradient: how far each image's label leads, see `models.margins`


class Task(Protocol):
    """A goal of training."""

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """The loss of this process's part of a global batch."""
        ...


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Learning the manifest's labels from augmented images."""

    settings: TrainingSettings
    device: torch.device
    autocast: bool  # bfloat16 where the hardware has it

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Weighted cross-entropy of the batch's augmented images."""
        images = crop_and_flip(
            normalise(batch.pixels.to(self.device, non_blocking=True)),
            batch.draws.to(self.device, non_blocking=True),
            area=self.settings.crop_area,
            aspect=self.settings.crop_aspect,
            flip=self.settings.flip,
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            logits = network(images).float()
        class_index = batch.class_index.to(self.device, non_blocking=True)
        share = weighted_cross_entropy(
            logits,
            class_index,
            batch.weight.to(self.device, non_blocking=True),
            label_smoothing=self.settings.label_smoothing,
            images=batch.images,
        )
        return Loss(share, margins_of(logits, class_index))
