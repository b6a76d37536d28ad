"""The trained models that a student learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoint import load_model
from models.networks import Classifier
from models.specification import Teacher
from pipeline.storage.arrays import ArrayShards


@dataclass(frozen=True)
class Teachers:
    """One model, or an ensemble that speaks with one voice: the mean of its members' probabilities."""

    shares: tuple[float, ...]  # of each, sum 1
    networks: tuple[Classifier, ...]  # asked about every picture; none where their outputs are stored

    def agreed(self, logits: Sequence[Tensor], temperature: float) -> Tensor:
        """Their mean probabilities, float32 [b, C], each softened by the temperature first.

        Args:
            logits: float [b, C] of each.
            temperature: above 0.
        """
        told = zip(self.shares, logits, strict=True)
        return torch.stack([share * torch.softmax(each.float() / temperature, dim=1) for share, each in told]).sum(0)


def load_teachers(
    told: Sequence[Teacher], device: torch.device, classes: int, image_size: int
) -> tuple[Teachers, tuple[ArrayShards, ...]]:
    """The teachers of a job, and their stored outputs where it says that there are some.

    Args:
        told: of the job.
        device: of the student.
        classes: of the student.
        image_size: pixels of a side of the pictures.

    Raises:
        ValueError: a teacher was trained for other classes or pictures.
    """
    total = sum(teacher.share for teacher in told)
    shares = tuple(teacher.share / total for teacher in told)
    networks, stored = [], []
    for teacher in told:
        if teacher.logits is None:
            networks.append(_load(teacher.model, classes, image_size).to(device))
        else:
            stored.append(ArrayShards([teacher.logits]))
    return Teachers(shares, tuple(networks)), tuple(stored)


def _load(folder: Path, classes: int, image_size: int) -> Classifier:
    network, told = load_model(folder)
    if (told.classes, told.image_size) != (classes, image_size):
        raise ValueError(
            f"{folder} knows {told.classes} classes and pictures of {told.image_size} pixels a side: no teacher for "
            f"{classes} classes and {image_size} pixels"
        )
    return network.requires_grad_(False)
