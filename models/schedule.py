"""The learning rate as a function of the step: linear warm-up, then a cosine to zero or three steps down.

Goyal et al., 2017 (scaling and warm-up); Loshchilov & Hutter, 2017 (cosine). The steps are those of WebVision's own
code, a tenth after 30, 60 and 90 of its 100 epochs, told as shares so that a shorter training takes them too.
"""

import math

from models.settings import Schedule

REFERENCE_BATCH = 256  # images that a base learning rate is told for
STEPS_AT = (30, 60, 90)  # percent of the training


def peak_rate(base: float, batch_size: int) -> float:
    """The peak for a batch of that many images over all processes: linear scaling."""
    return base * batch_size / REFERENCE_BATCH


def learning_rate(step: int, *, steps: int, warmup_steps: int, peak: float, schedule: Schedule = "cosine") -> float:
    """The rate of one step.

    Args:
        step: from 0, below `steps`.
        steps: of the whole training.
        warmup_steps: the last of them reaches `peak`; at most `steps`.
        peak: the largest rate.
        schedule: what follows the warm-up.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "step":
        return float(peak * 0.1 ** sum(100 * step >= percent * steps for percent in STEPS_AT))
    return peak * (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps))) / 2
