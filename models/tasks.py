"""What a network is trained for. The loop knows only `Task.loss`, whatever the goal."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from models.augment import crop_and_flip
from models.data import Batch
from models.losses import weighted_cross_entropy
from models.networks import normalise
from models.specification import TrainingSettings


class Task(Protocol):
    """A goal of training."""

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """This process's share of the global batch's loss: the shares of all processes add up to it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Learning the manifest's labels from augmented images."""

    settings: TrainingSettings
    device: torch.device
    autocast: bool  # bfloat16 where the hardware has it

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Weighted cross-entropy of the batch's augmented images."""
        images = crop_and_flip(
            normalise(batch.pixels.to(self.device, non_blocking=True)),
            batch.draws.to(self.device, non_blocking=True),
            area=self.settings.crop_area,
            aspect=self.settings.crop_aspect,
            flip=self.settings.flip,
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            logits = network(images)
        return weighted_cross_entropy(
            logits.float(),
            batch.class_index.to(self.device, non_blocking=True),
            batch.weight.to(self.device, non_blocking=True),
            label_smoothing=self.settings.label_smoothing,
            images=batch.images,
        )
