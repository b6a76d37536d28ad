"""Pictures for the tests of decoding."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def photo(seed: int, height: int, width: int) -> Pixels:
    """Smooth noise from coarse to fine, as photographs have it: uint8 [height, width, 3]."""
    random = np.random.default_rng(seed)
    total = np.full((height, width, 3), 128.0)
    for cells, strength in ((3, 60.0), (8, 30.0), (20, 12.0)):
        noise = (random.normal(size=(cells, cells, 3)) * 60 + 128).clip(0, 255).astype(np.uint8)
        fine = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(fine) - 128.0) * strength / 60
    return total.clip(0, 255).astype(np.uint8)


def encoded(picture: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    """A file of Pillow's format `kind`."""
    stream = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, kind, **options)
    return stream.getvalue()
