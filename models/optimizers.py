"""What turns gradients into steps: SGD with Nesterov momentum, and LARS for batches of many thousand images."""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

from models.settings import TrainingSettings


def make_optimizer(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimiser of a training. Weight decay acts on matrices and kernels, not on biases and normalisation."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    if settings.optimizer == "lars":
        groups[1]["adapted"] = False
        return Lars(groups, momentum=settings.momentum)
    # Not fused: on the CPU that pairs the numbers of weight and gradient wrongly where their memory formats differ.
    return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, nesterov=settings.momentum > 0, foreach=True)


class Lars(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling.

    You, Gitman & Ginsburg, 2017, "Large Batch Training of Convolutional Networks", algorithm 1. Each layer's rate is
    the global one times trust * |w| / (|g| + decay * |w|), so that no layer's step is long beside its weights, however
    large the batch makes the global rate; then v = momentum * v + rate * (g + decay * w) and w = w - v. Biases and
    normalisation parameters take the global rate.
    """

    TRUST = 0.001  # eta of the paper

    def __init__(self, params: Iterable[dict[str, Any]], momentum: float) -> None:
        """Groups of parameters, each with its `weight_decay` and whether its rates are `adapted` (they are)."""
        super().__init__(params, {"lr": 0.0, "momentum": momentum, "weight_decay": 0.0, "adapted": True})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient.

        Raises:
            ValueError: a closure is given: nothing here evaluates a loss again.
        """
        if closure is not None:
            raise ValueError("Lars takes no closure")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.sub_(self._velocity(weight, weight.grad, group))
        return None

    def _velocity(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        rate, decay = group["lr"], group["weight_decay"]
        push = gradient + decay * weight
        if group["adapted"]:
            length, slope = weight.norm(), gradient.norm()
            trust = self.TRUST * length / (slope + decay * length)
            # A layer of zeros, or one without a gradient, would stand still or leap: it takes the global rate.
            push = push * torch.where((length > 0) & (slope > 0), trust, 1.0)
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity: Tensor = state["momentum_buffer"].mul_(group["momentum"]).add_(push * rate)
        return velocity
