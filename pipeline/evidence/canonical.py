"""The images of a class in an order of their own, whatever order they came in: that of a hash of their features.

Whoever measures a class in this order gives every image the same result however the class is permuted, to the last
bit: random choices and rounding follow the features. The order is as good as random: its first rows are a fair sample.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating[Any]]
_BLOCK_ROWS = 256  # so many rows at a time stay in the processor's cache
_FEW_NUMBERS = 65_536  # up to here numpy may convert them from float16; torch does it ten times as fast


@dataclass(frozen=True)
class Canonical:
    """The m images of a class whose features are finite, in the order of a hash of their features."""

    images: int  # of the class, m <= images
    points: npt.NDArray[np.float32]  # (m, d), not shared with the features they were made from
    rows: npt.NDArray[np.int64]  # (m,) where each stood in the class
    twin: npt.NDArray[np.int64]  # (m,) the first of the images with the same features; equal ones lie side by side

    def __len__(self) -> int:
        """Images with finite features."""
        return len(self.rows)

    @property
    def distinct(self) -> npt.NDArray[np.int64]:
        """One of each set of images with the same features."""
        return np.flatnonzero(self.twin == np.arange(len(self)))

    def restore(self, values: npt.NDArray[Any], otherwise: Any) -> npt.NDArray[Any]:
        """Values of this order (m,) in the class's own order (images,), `otherwise` where features are not finite.

        Images with the same features get the same value: that of the first of them.
        """
        restored = np.full(self.images, otherwise, values.dtype)
        restored[self.rows] = values[self.twin]
        return restored


def canonical(features: Features) -> Canonical:
    """Put the images of one class in an order that depends on their features alone.

    Args:
        features: (n, d), any n including 0; images with NaN or infinity are left out. float16 is the quickest.

    Raises:
        ValueError: features is not two-dimensional.
    """
    if features.ndim != 2:
        raise ValueError(f"features must be (images, dimensions), not of shape {features.shape}")
    if features.dtype != np.float16:
        features = features.astype(np.float32)
    finite, digest = _digest(features)
    rows = np.flatnonzero(finite)
    rows = rows[np.argsort(digest[rows], kind="stable")]
    digest = digest[rows]
    fresh = np.concatenate([[True], digest[1:] != digest[:-1]])[: len(rows)]
    twin = np.flatnonzero(fresh)[np.cumsum(fresh) - 1]
    return Canonical(len(features), _single(features[rows]), rows, twin)


def _digest(features: Features) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint64]]:
    """Whether each row is finite, and 64 bits that tell rows apart; -0.0 and 0.0 are the same number.

    A row's 64-bit words are folded, so that every bit of them reaches a low one, and summed with random odd factors
    modulo 2**64: two different rows share a sum with a chance of about 2**-60.
    """
    half = features.dtype == np.float16
    unsigned: Any = np.uint16 if half else np.uint32
    exponent, sign = (unsigned(0x7C00), unsigned(1 << 15)) if half else (unsigned(0x7F800000), unsigned(1 << 31))
    spare = -features.shape[1] % (8 // features.dtype.itemsize)
    words = (features.shape[1] + spare) * features.dtype.itemsize // 8
    factors = np.random.default_rng(0).integers(0, 2**64, words, np.uint64) | np.uint64(1)
    finite, digest = np.empty(len(features), np.bool_), np.empty(len(features), np.uint64)
    for start in range(0, len(features), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        bits: npt.NDArray[Any] = np.ascontiguousarray(features[block]).view(unsigned)
        finite[block] = bits.max(axis=1, initial=0) < exponent
        if not finite[block].all():  # there are negative numbers, or some that are not finite
            finite[block] = ((bits & exponent) != exponent).all(axis=1)
            bits = np.where(bits == sign, unsigned(0), bits)
        if spare:
            bits = np.pad(bits, ((0, 0), (0, spare)))
        word = bits.view(np.uint64)
        digest[block] = (word ^ (word >> np.uint64(29))) @ factors
    return finite, digest


def _single(features: Features) -> npt.NDArray[np.float32]:
    """The features as float32; where they are that already they are not copied."""
    if features.dtype != np.float16 or features.size < _FEW_NUMBERS:
        return np.asarray(features, np.float32)
    import torch  # noqa: PLC0415 - seconds that neither the command line nor a small class should pay

    single = np.empty(features.shape, np.float32)
    torch.from_numpy(single).copy_(torch.from_numpy(features))
    return single
