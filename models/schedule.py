"""The learning rate as a function of the step: linear warm-up, then a cosine to zero.

Goyal et al., 2017 (scaling and warm-up); Loshchilov & Hutter, 2017 (cosine).
"""

import math

REFERENCE_BATCH = 256  # images that a base learning rate is told for


def peak_rate(base: float, batch_size: int) -> float:
    """The peak for a batch of that many images over all processes: linear scaling."""
    return base * batch_size / REFERENCE_BATCH


def learning_rate(step: int, *, steps: int, warmup_steps: int, peak: float) -> float:
    """The rate of one step.

    Args:
        step: from 0, below `steps`.
        steps: of the whole training.
        warmup_steps: the last of them reaches `peak`; at most `steps`.
        peak: the largest rate.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps))) / 2
