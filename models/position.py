"""Where a training stands."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Position:
    """With weights and momentum, all that a resume needs: draws depend on nothing else."""

    epoch: int = 0  # finished epochs
    batch: int = 0  # finished batches of the epoch under way
    step: int = 0  # optimiser steps since the start
    images: int = 0  # seen since the start, repeats counted
    loss: float = 0.0  # sum over the epoch's images so far, of all processes
    seconds: float = 0.0  # wall time of the epoch so far
    curve: list[dict[str, Any]] = field(default_factory=list)  # rows of `CURVE`
