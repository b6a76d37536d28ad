"""The one decoder: untrusted bytes to square pixels with two fingerprints, or a named defect.

Everything that ever looks at a picture (training, features, prediction) takes its pixels from here, by the rules of
`pipeline.crawl.pixels`.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.crawl.files import DefectError

#: The formats that may be allowed: what the web shows, read by code that is fuzzed in public. The many other formats
#: Pillow knows are old parsers in Python (FLI, PSD, DDS), call other programs (EPS) or are no photographs (ICO, CUR).
FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
#: Past this many Pillow takes any image for a decompression bomb.
_MOST_PIXELS: Final = 89_478_485


@dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """What is decoded, to which size, and at what cost at most."""

    #: side of the square the pixels are fitted to, pixels, 32 to 1024
    image_size: int = 64
    #: width x height that a header may state, 1 to 89,478,485
    max_pixels: int = 40_000_000
    #: delivered bytes of one image, 1 to 2**40
    max_bytes: int = 64 * 2**20
    #: processor seconds one image may take, 0.1 to 3600; ten times as many of wall time, reading included
    timeout_s: float = 10.0
    #: address space one decode may take beyond the idle decoder's, MiB, 64 to 1,048,576
    memory_mb: int = 1024
    #: formats accepted, by Pillow's names, at least one of JPEG, PNG, GIF, WEBP, BMP, TIFF
    formats: tuple[str, ...] = FORMATS
    #: pixels of one stored shard at most, MiB, 1 to 65,536
    shard_mb: int = 256

    def __post_init__(self) -> None:
        """Check the ranges."""
        ranges = {
            "image_size": (32, 1024),
            "max_pixels": (1, _MOST_PIXELS),
            "max_bytes": (1, 2**40),
            "timeout_s": (0.1, 3600),
            "memory_mb": (64, 2**20),
            "shard_mb": (1, 65_536),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)}")
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ValueError(f"formats must be some of {', '.join(FORMATS)}, not {self.formats}")


@dataclass(frozen=True)
class Decoded:
    """One usable picture."""

    pixels: npt.NDArray[np.uint8]  # [S, S, 3], RGB, upright
    width: int  # as delivered, upright
    height: int
    sha256: str  # of the delivered bytes, hexadecimal
    perceptual_hash: int  # of the pixels, [0, 2**64)


def decode(data: bytes, settings: DecodeSettings) -> Decoded:
    """Decode one image in this process; bytes of a crawl belong in a `DecodePool`, which survives what they may do.

    Raises:
        DefectError: empty, too-many-bytes, unknown-format, format-not-allowed, too-many-pixels, broken or memory.
    """
    # Here, so that the settings can be read and shown without the image libraries.
    from pipeline.crawl.fingerprint import perceptual_hash  # noqa: PLC0415
    from pipeline.crawl.pixels import read_pixels  # noqa: PLC0415

    if not data:
        raise DefectError("empty")
    if len(data) > settings.max_bytes:
        raise DefectError("too-many-bytes", f"{len(data)} bytes, the limit is {settings.max_bytes}")
    pixels, width, height = read_pixels(data, settings.image_size, settings.max_pixels, settings.formats)
    return Decoded(pixels, width, height, hashlib.sha256(data).hexdigest(), perceptual_hash(pixels))
