"""A running mean of a network's weights over the steps of its training, which is often better than the last of them.

Polyak & Juditsky, 1992; exponentially weighted, as the field's code has it.
"""

import copy
from typing import Self

import torch
from torch import Tensor, nn

from models.networks import Classifier


class Average:
    """The mean's network: what is evaluated and published where a training keeps one."""

    def __init__(self, network: Classifier, decay: float) -> None:
        """Begin with the weights of now; `decay` in (0, 1) is the share of the mean that a step leaves."""
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._decay = decay
        self._pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))

    @classmethod
    def kept(cls, network: Classifier, decay: float) -> Self | None:
        """None where `decay` is 0."""
        return cls(network, decay) if decay > 0 else None

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the weights after the step of that number, counted from 0.

        Early on the mean is over fewer steps than `decay` tells, or the first weights would be in it for long. Running
        statistics of the normalisation are averaged as weights are; counters are copied.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        for mean, latest in self._pairs:
            if mean.is_floating_point():
                mean.lerp_(latest, 1 - decay)
            else:
                mean.copy_(latest)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
