"""Linear probes of many recipes at once, on the CPU or a GPU: what a recipe is worth, minutes before any training.

Every recipe sees the same images in the same order, so that what differs between two of them is their weights and not
the luck of the draw; and all of them are one matrix product.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from models.sampler import ORDER, batch_bounds, batches_in, generator, stage_of_epoch

_POWER_ROUNDS: Final = 30  # enough for the first digit of the largest eigenvalue, which is all a rate needs


@dataclass(frozen=True, kw_only=True)
class ProbesSettings:
    """How the probes are trained."""

    #: times the images are gone through
    epochs: int = 20
    #: images of a step
    batch_size: int = 256
    #: Nesterov momentum, [0, 1)
    momentum: float = 0.9
    #: L2 penalties that every recipe is trained with; which serves it best is for clean images to say
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1)

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError("search.epochs and search.batch_size must be at least 1")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"search.momentum must be in [0, 1), not {self.momentum}")
        if not self.penalties or min(self.penalties) < 0 or not math.isfinite(sum(self.penalties)):
            raise ValueError(f"search.penalties must be finite and at least 0, not {self.penalties}")


@dataclass(frozen=True)
class Trials:
    """What r recipes make of the same n images."""

    label: Tensor  # int64 (n, r) the class each is trained on as
    weight: Tensor  # float32 (n, r) weight x repeats, 0 for images that a recipe leaves out
    stage: Tensor  # int64 (n, r) the curriculum stage each enters at


def standardised(features: Tensor, like: Tensor) -> Tensor:
    """Features (m, d) with the means and deviations of `like` (n, d); a constant column becomes 0."""
    scale, mean = torch.std_mean(like.float(), dim=0)
    return (features.float() - mean) / torch.where(scale > 0, scale, math.inf)


def train_probes(features: Tensor, trials: Trials, classes: int, settings: ProbesSettings, *, seed: int) -> Tensor:
    """Softmax regression of every recipe with every penalty, by mini-batch descent.

    A recipe's weights are brought to mean 1 over all n images, so that none takes longer steps than another.

    Args:
        features: float32 (n, d), standardised.
        trials: of the same images.
        classes: C of the catalogue.
        settings: of the descent.
        seed: decides the order of the images.

    Returns:
        float32 (r, penalties, d + 1, C): weights and, last, the bias, which is not penalised.

    Raises:
        ValueError: a recipe leaves nothing to train on.
    """
    n, r = trials.weight.shape
    penalty = torch.tensor(settings.penalties, device=features.device).view(1, 1, -1, 1)
    inputs = torch.cat([features, torch.ones(n, 1, device=features.device)], dim=1)
    rate = 1 / _curvature(inputs)
    solution = torch.zeros(inputs.shape[1], r, len(settings.penalties), classes, device=features.device)
    momentum = torch.zeros_like(solution)
    steps, step = settings.epochs * batches_in(n, settings.batch_size), 0
    for epoch in range(settings.epochs):
        weight = _open_weight(trials, epoch, settings.epochs)
        order = torch.from_numpy(generator(seed, ORDER, epoch).permutation(n)).to(features.device)
        for number in range(batches_in(n, settings.batch_size)):
            first, last = batch_bounds(n, settings.batch_size, number)
            own = order[first:last]
            gradient = _gradient(inputs[own], solution, trials.label[own], weight[own])
            gradient[:-1] += penalty * solution[:-1]
            momentum.mul_(settings.momentum).add_(gradient)
            now = rate * (1 + math.cos(math.pi * step / steps)) / 2
            solution -= now * (gradient + settings.momentum * momentum)
            step += 1
    return solution.permute(1, 2, 0, 3).contiguous()


def _open_weight(trials: Trials, epoch: int, epochs: int) -> Tensor:
    """(n, r) what each image counts in an epoch, mean 1; the stages of a recipe share the epochs evenly."""
    opened = [stage_of_epoch(epoch, epochs, stages) for stages in (trials.stage.amax(dim=0) + 1).tolist()]
    weight = torch.where(trials.stage <= torch.tensor(opened, device=trials.stage.device), trials.weight, 0.0)
    mean = weight.mean(dim=0)
    if (mean <= 0).any():
        raise ValueError(f"recipe number {int(mean.argmin())} leaves nothing to train on")
    return weight / mean


def _gradient(inputs: Tensor, solution: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Of the mean weighted cross-entropy of a batch; in shape the solution."""
    d, r, penalties, classes = solution.shape
    error = (inputs @ solution.view(d, -1)).view(len(inputs), r, penalties, classes).softmax(dim=-1)
    wanted = label.view(-1, r, 1, 1).expand(-1, -1, penalties, 1)
    error.scatter_add_(-1, wanted, torch.full((1, 1, 1, 1), -1.0, device=error.device).expand(wanted.shape))
    error *= weight.view(-1, r, 1, 1)
    return (inputs.T @ error.view(len(inputs), -1)).view_as(solution) / len(inputs)


def _curvature(inputs: Tensor) -> float:
    """An upper bound of the loss's largest curvature: half the largest eigenvalue of the inputs' second moments."""
    vector = torch.ones(inputs.shape[1], device=inputs.device)
    for _ in range(_POWER_ROUNDS):
        product = inputs.T @ (inputs @ vector) / len(inputs)
        vector = product / product.norm()
    return float(product.norm()) / 2


def probe_logits(features: Tensor, probes: Tensor) -> Tensor:
    """Logits (r, penalties, m, C) of standardised features (m, d)."""
    return features @ probes[..., :-1, :] + probes[..., -1:, :]
