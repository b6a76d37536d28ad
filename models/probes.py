"""Linear probes of many recipes at once, on the CPU or a GPU: what a recipe is worth, minutes before any training.

Every recipe and every seed sees the same images in the same order, so that what differs between two of them is their
weights and not the luck of the draw; and all of them together are one matrix product a step.

Probes have one optimum, so another order would be no other result. A seed is another sample of the crawl instead: each
image counts as often as the Bayesian bootstrap says (Rubin, 1981), which costs nothing more and tells whether a recipe
would have won on other pictures of the same kind.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.sampler import ORDER, batch_bounds, batches_in, generator, stage_of_epoch
from models.search_settings import SearchSettings
from pipeline.evidence.sampling import exponential
from pipeline.storage.arrays import Array, blocks, scratch_array

SHRINKAGE: Final = 3.0  # times the mean variance, added to that along every axis
RATE: Final = 1.0  # the loss's largest curvature is at most half that of the bias and a whitened axis together
_SAMPLE_ROWS: Final = 32_768  # that the whitening is taken from, about


@dataclass(frozen=True)
class Inputs:
    """Features of n images and what makes them easy to learn from; they may lie on the disk."""

    features: Array  # float16 (n, d)
    mean: npt.NDArray[np.float32]  # (d,)
    whitening: npt.NDArray[np.float32]  # (d, d)

    @classmethod
    def of(cls, features: Array, shrinkage: float = SHRINKAGE) -> Self:
        """Whitened by a sample spread evenly over these very images.

        Along every principal axis the deviation becomes sqrt(v / (v + e)), v being the variance there and e `shrinkage`
        times the mean variance. Descent then takes tens of steps instead of thousands, and axes that hardly vary, which
        are mostly noise, stay small.
        """
        sample = features[:: max(1, len(features) // _SAMPLE_ROWS)].astype(np.float32)
        mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        sample -= mean
        variance, axes = np.linalg.eigh((sample.T @ sample / len(sample)).astype(np.float64))
        variance = np.maximum(variance, 0)
        scale = np.sqrt(variance + shrinkage * variance.mean())
        return cls(features, mean, (axes / np.where(scale > 0, scale, np.inf)).astype(np.float32))

    def like(self, features: Array) -> "Inputs":
        """Other images, whitened as these are."""
        return Inputs(features, self.mean, self.whitening)

    def read(self, rows: npt.NDArray[np.int64] | slice, device: torch.device) -> Tensor:
        """float32 (rows, d + 1): some images, and a one for the bias."""
        own = (self.features[rows].astype(np.float32) - self.mean) @ self.whitening
        return torch.from_numpy(np.pad(own, ((0, 0), (0, 1)), constant_values=1)).to(device)


@dataclass(frozen=True)
class Trials:
    """What r recipes make of the same n images, and how often each of s samples of the crawl holds them."""

    label: Array  # whole numbers (n, r): the class each is trained on as
    weight: Array  # float32 (n, r): weight x repeats, 0 for images that a recipe leaves out
    stage: Array  # whole numbers (n, r): the curriculum stage each enters at
    draw: Array  # float32 (n, s), mean about 1

    @staticmethod
    def draws(image_id: npt.NDArray[np.int64], seeds: int) -> Array:
        """(n, s) how often each image is in each sample; it hangs on the image's id alone. On the disk."""
        found = scratch_array((len(image_id), seeds), np.float32)
        for block in blocks(len(image_id)):
            found[block] = np.stack([exponential(image_id[block], seed) for seed in range(seeds)], axis=1)
        return found


def train_probes(
    inputs: Inputs, trials: Trials, classes: int, settings: SearchSettings, device: torch.device
) -> Tensor:
    """Softmax regression of every recipe and sample with every penalty, by mini-batch descent.

    The weights of each are brought to mean 1 over all n images, so that none takes longer steps than another.

    Args:
        inputs: of n images.
        trials: of the same images.
        classes: C of the catalogue.
        settings: of the descent.
        device: to work on.

    Returns:
        float32 (d + 1, r, s, penalties, C): weights and, last, the bias, which is not penalised.

    Raises:
        ValueError: a recipe leaves nothing to train on.
    """
    n, epochs = len(inputs.features), settings.epochs_of(len(inputs.features))
    penalty = torch.tensor(settings.penalties, device=device).view(-1, 1)
    shape = (inputs.features.shape[1] + 1, trials.weight.shape[1], trials.draw.shape[1], len(penalty), classes)
    solution, momentum = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    stages = trials.stage.max(axis=0) + 1
    steps, step = epochs * batches_in(n, settings.batch_size), 0
    for epoch in range(epochs):
        opened = np.array([stage_of_epoch(epoch, epochs, int(own)) for own in stages])
        unit = torch.from_numpy(1 / _means(trials, opened)).to(device, torch.float32)
        for own in _batches(n, settings.batch_size, epoch):
            weight = torch.from_numpy(np.where(trials.stage[own] <= opened, trials.weight[own], np.float32(0)))
            weight = (weight[:, :, None] * torch.from_numpy(trials.draw[own])[:, None]).to(device) * unit
            label = torch.from_numpy(trials.label[own].astype(np.int64)).to(device)
            gradient = _gradient(inputs.read(own, device), solution, label, weight)
            gradient[:-1] += penalty * solution[:-1]
            momentum.mul_(settings.momentum).add_(gradient)
            solution -= RATE * (1 + math.cos(math.pi * step / steps)) / 2 * (gradient + settings.momentum * momentum)
            step += 1
    return solution


def _batches(images: int, batch_size: int, epoch: int) -> Iterator[npt.NDArray[np.int64]]:
    order = generator(0, ORDER, epoch).permutation(images)
    for number in range(batches_in(images, batch_size)):
        first, last = batch_bounds(images, batch_size, number)
        yield order[first:last]


def _means(trials: Trials, opened: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(r, s) the mean of what images count while those stages are open."""
    total = np.zeros((trials.weight.shape[1], trials.draw.shape[1]))
    for block in blocks(len(trials.weight)):
        weight = np.where(trials.stage[block] <= opened, trials.weight[block], 0)
        total += weight.T.astype(np.float64) @ trials.draw[block]
    if (total <= 0).any():
        raise ValueError(f"recipe number {int(total.min(axis=1).argmin())} leaves nothing to train on")
    return total / len(trials.weight)


def _gradient(inputs: Tensor, solution: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Of the mean weighted cross-entropy of a batch of b images; in shape the solution."""
    rows = torch.arange(len(inputs), device=inputs.device).view(-1, 1)
    error = probe_logits(inputs, solution).softmax(dim=-1)
    error[rows, torch.arange(label.shape[1], device=inputs.device), :, :, label] -= 1
    error *= weight[..., None, None]
    return (inputs.T @ error.flatten(1)).view_as(solution) / len(inputs)


def probe_logits(inputs: Tensor, solution: Tensor) -> Tensor:
    """Logits (m, r, s, penalties, C) of inputs (m, d + 1)."""
    return (inputs @ solution.flatten(1)).view(-1, *solution.shape[1:])
