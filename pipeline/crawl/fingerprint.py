"""A picture's perceptual hash: equal or nearly equal for pictures that look alike."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

_SIDE = 32  # of the grey picture that is transformed
_LOW = 8  # lowest frequencies kept along each axis: 8 x 8 = 64 bits
#: Grey levels x 32. Transforming a flat picture in float32 leaves less than this where exact arithmetic has 0.
_ROUNDING = 0.01


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> int:
    """The 64-bit DCT hash ("pHash") of a picture.

    The picture is shrunk to 32 x 32 grey levels and cosine-transformed; a bit tells whether one of the 8 x 8 lowest
    frequencies lies above their median, the first row of frequencies in the highest bits. Re-encoding or rescaling
    changes few bits; two unrelated pictures differ in about 32. Follows `imagehash.phash` (Zauner, "Implementation and
    Benchmarking of Perceptual Image Hash Functions", 2010), from which only the way of shrinking differs.

    Args:
        pixels: uint8 [H, W, 3], RGB.

    Returns:
        An integer in [0, 2**64).
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low: npt.NDArray[Any] = cv2.dct(small.astype(np.float32))[:_LOW, :_LOW]
    middle = np.partition(low, (31, 32), axis=None)[
        31:33
    ].mean()  # the median of 64 numbers, without np.median's checks
    bits = low > middle + _ROUNDING
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
