"""Whether probabilities are honest: of what is called 80% likely, four in five should be so."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Reliability:
    """Probabilities in equally wide bins beside what happened."""

    images: npt.NDArray[np.int64]  # (bins,)
    said: npt.NDArray[np.float64]  # (bins,) mean probability; NaN for an empty bin
    found: npt.NDArray[np.float64]  # (bins,) share that was right; NaN for an empty bin

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., AAAI 2015): mean distance of the two over images; NaN for none."""
        if not self.images.sum():
            return float("nan")
        filled = self.images > 0
        return float(np.average(np.abs(self.said - self.found)[filled], weights=self.images[filled]))

    @property
    def by_chance(self) -> float:
        """The error to expect of honest probabilities on so few images: mean deviations of a normal; NaN for none."""
        if not self.images.sum():
            return float("nan")
        filled = self.images > 0
        images, said = self.images[filled], self.said[filled]
        return float(np.average(np.sqrt(2 / np.pi * said * (1 - said) / images), weights=images))


def reliability(
    probability: npt.NDArray[np.floating[Any]], right: npt.NDArray[np.bool_], bins: int = 10
) -> Reliability:
    """Compare probabilities with what happened.

    Args:
        probability: (n,) in [0, 1].
        right: (n,) what happened.
        bins: at least 1; the last holds a probability of 1 too.
    """
    if len(probability) != len(right):
        raise ValueError(f"right has {len(right)} entries, probability has {len(probability)}")
    at = np.minimum((probability * bins).astype(np.int64), bins - 1)
    images = np.bincount(at, minlength=bins)

    def mean(value: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        found = np.full(bins, np.nan)
        np.divide(np.bincount(at, value, bins), images, out=found, where=images > 0)
        return found

    return Reliability(images, mean(probability), mean(right))
