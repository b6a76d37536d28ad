"""What a network is trained for. The loop knows only `Task.loss`, whatever the goal."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from models.augment import crop_and_flip
from models.batches import Batch
from models.losses import taught_divergence, weighted_cross_entropy
from models.margins import margins_of
from models.networks import normalise
from models.settings import TrainingSettings
from models.teachers import Teachers


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


class Claim(NamedTuple):
    """What pictures are said to show; a mixed picture shows two things, each by its share."""

    rows: slice  # of the batch, b of them
    class_index: Tensor  # int64 [b]
    weight: Tensor  # float32 [b]


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Learning the manifest's labels from augmented images."""

    settings: TrainingSettings
    device: torch.device
    autocast: bool  # bfloat16 where the hardware has it

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Weighted cross-entropy of the batch's augmented images."""
        logits = self.logits(network, self.pictures(batch))
        claims = list(self.claims(batch))
        return Loss(self.label_loss(logits, claims, batch.images), margins_of(logits, claims[0].class_index))

    def pictures(self, batch: Batch) -> Tensor:
        """What the network sees, float [b, 3, S, S]: normalised, cropped, mirrored, mixed."""
        images = crop_and_flip(
            normalise(self._here(batch.pixels)),
            self._here(batch.draws),
            area=self.settings.crop_area,
            aspect=self.settings.crop_aspect,
            flip=self.settings.flip,
        )
        if batch.mix is None:
            return images
        mixed = torch.lerp(images[1:], images[:-1], self._here(batch.mix).view(-1, 1, 1, 1))
        return mixed.contiguous(memory_format=torch.channels_last)

    def logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """The network's float32 logits [b, C]."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            logits: Tensor = network(images).float()
        return logits

    def claims(self, batch: Batch) -> Iterator[Claim]:
        """Each picture's own label, and that of what it is mixed with."""
        class_index, weight = self._here(batch.class_index), self._here(batch.weight)
        if batch.mix is None:
            yield Claim(slice(None), class_index, weight)
            return
        mix, own, other = self._here(batch.mix), slice(None, -1), slice(1, None)
        yield Claim(own, class_index[own], weight[own] * mix)
        yield Claim(other, class_index[other], weight[other] * (1 - mix))

    def label_loss(self, logits: Tensor, claims: list[Claim], images: int) -> Tensor:
        """The claims' cross-entropies, a scalar; `images` are those of the global batch."""
        smoothing = self.settings.label_smoothing
        losses = [
            weighted_cross_entropy(logits, claim.class_index, claim.weight, label_smoothing=smoothing, images=images)
            for claim in claims
        ]
        return torch.stack(losses).sum() if len(losses) > 1 else losses[0]

    def _here(self, values: Tensor) -> Tensor:
        return values.to(self.device, non_blocking=True)


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Learning from labels and teachers.

    label_share x cross-entropy + (1 - label_share) x T^2 x KL(teacher || student) at temperature T (Hinton, Vinyals &
    Dean, 2015). An image's weight is a factor of both parts.
    """

    labels: Classification
    teachers: Teachers

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Both parts, of the batch's augmented images."""
        labels, settings = self.labels, self.labels.settings
        images, claims = labels.pictures(batch), list(labels.claims(batch))
        logits = labels.logits(network, images)
        share = settings.label_share * labels.label_loss(logits, claims, batch.images)
        for claim, taught in zip(claims, self._taught(images, batch, claims), strict=True):
            divergence = taught_divergence(
                logits, taught, claim.weight, temperature=settings.temperature, images=batch.images
            )
            share = share + (1 - settings.label_share) * divergence
        return Loss(share, margins_of(logits, claims[0].class_index))

    def _taught(self, images: Tensor, batch: Batch, claims: list[Claim]) -> list[Tensor]:
        """What the teachers say to each claim: of the very pictures, or stored, of what the claim is about."""
        temperature = self.labels.settings.temperature
        if batch.taught:
            stored = self.teachers.agreed([each.to(images.device) for each in batch.taught], temperature)
            return [stored[claim.rows] for claim in claims]
        with torch.no_grad():
            asked = [self.labels.logits(network, images) for network in self.teachers.networks]
        return [self.teachers.agreed(asked, temperature)] * len(claims)
