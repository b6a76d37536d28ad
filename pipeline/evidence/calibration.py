"""One number that makes a classifier's probabilities honest: the temperature of Guo et al. (ICML 2017)."""

from typing import Any

import numpy as np
import numpy.typing as npt

RANGE = (1e-2, 1e2)  # of the factor on the logits
_ABSENT = -1e9  # stands for a logit of minus infinity: its probability is 0 at every factor, and 0 times it is a number


def calibrate(logits: npt.NDArray[np.floating[Any]], label: npt.NDArray[np.integer[Any]]) -> tuple[float, float]:
    """The factor on the logits under which the given labels are most likely.

    The likelihood is concave in the factor, so that its slope is zero once at most.

    Args:
        logits: (m, C) of images that the classifier was not trained on; minus infinity is allowed but for the label.
        label: (m,) what they are called.

    Returns:
        The factor (1 / temperature), within RANGE, and the mean negative log likelihood under it in nats. 1 and NaN
        where there is no image.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 - a fifth of a second that the command line should not pay

    if not len(logits):
        return 1.0, float("nan")
    own = logits[np.arange(len(label)), label].astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    below = np.maximum(logits - top, _ABSENT)  # (m, C), 0 at the largest
    distance = own - top[:, 0]

    def slope(log_factor: float) -> float:
        chance = np.exp(below * np.float32(np.exp(log_factor)))
        expected = np.einsum("mc,mc->m", chance, below) / chance.sum(axis=1)
        return float(np.mean(expected - distance))

    low, high = np.log(RANGE)
    if slope(low) >= 0:
        factor = RANGE[0]
    elif slope(high) <= 0:
        factor = RANGE[1]
    else:
        factor = float(np.exp(brentq(slope, low, high, xtol=1e-4)))
    logsum = np.log(np.exp(below * np.float32(factor)).sum(axis=1, dtype=np.float64))
    return factor, float(np.mean(logsum - factor * distance))
