"""From the bytes of one image to upright square RGB pixels.

The rules:

- Formats: those allowed only, told by content, never by name. Of an animation or a file of several pages the first
  frame counts.
- Size: the header's size is checked before anything is decoded.
- Damage: what Pillow refuses to load is `broken`, so a file cut short is never filled up with grey; damage inside the
  compressed data of a whole JPEG that libjpeg mends by itself passes, as it does in every browser.
- Orientation: EXIF's is applied; width and height are those of the upright picture.
- Colour: palettes, CMYK (Adobe's inverted one too), YCbCr and LAB become RGB. Embedded colour profiles are ignored.
- Transparency: composited on white.
- Depth: 16-bit channels keep their upper 8 bits. 32-bit integers and floats state no range, so theirs is stretched
  from the smallest to the greatest finite value.
- Fit: the whole picture is squashed to a square, so that nothing of it is lost; training crops. Shrinking averages
  areas, enlarging is bilinear. A JPEG at least four times the goal is shrunk by 2, 4 or 8 while it is decoded, to no
  less than twice the goal, as Pillow's `reducing_gap=2.0` does.

Ordinary JPEGs are decoded by libjpeg-turbo directly (simplejpeg), everything else and every doubtful JPEG by Pillow.
"""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from pipeline.crawl.files import DefectError
from pipeline.crawl.orientation import exif_orientation, jpeg_exif, upright

#: What Pillow's plugins are seen to raise on damaged files. MemoryError is not here: that is a defect of its own.
_DAMAGE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Stored:
    """A picture as the file stores it."""

    picture: Pixels  # [h, w, 3] RGB or [h, w] grey; shrunk already, perhaps
    width: int  # as the header says
    height: int
    exif: bytes


def read_pixels(data: bytes, side: int, max_pixels: int, formats: tuple[str, ...]) -> tuple[Pixels, int, int]:
    """Decode and fit one image.

    Args:
        data: a whole image file (untrusted).
        side: of the square, pixels.
        max_pixels: width x height that a header may state.
        formats: Pillow's names of the formats allowed.

    Returns:
        The pixels [side, side, 3] and the width and height of the delivered picture, upright.

    Raises:
        DefectError: unknown-format, format-not-allowed, too-many-pixels, broken or memory.
    """
    try:
        stored = _decode_jpeg(data, side, max_pixels) if "JPEG" in formats else None
        stored = stored or _decode_any(data, max_pixels, formats)
        orientation = exif_orientation(stored.exif)
        pixels = upright(_squash(stored.picture, side), orientation)
    except MemoryError:
        raise DefectError("memory") from None
    except cv2.error as error:
        raise DefectError("memory" if error.code == cv2.Error.StsNoMem else "broken", error.err) from None
    turned = orientation >= 5
    return pixels, *((stored.height, stored.width) if turned else (stored.width, stored.height))


def _decode_jpeg(data: bytes, side: int, max_pixels: int) -> _Stored | None:
    """An ordinary JPEG; None where it is none, or where Pillow should judge it."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space in ("CMYK", "YCCK"):
            return None
        _check_size(width, height, max_pixels)
        factor = next((by for by in (8, 4, 2) if min(width, height) >= 2 * by * side), 1)
        # Only these factors have vector code; told the exact size, the library takes no other.
        picture = simplejpeg.decode_jpeg(data, min_height=-(-height // factor), min_width=-(-width // factor))
    except ValueError:  # it minds the least oddity; Pillow tells oddity from damage
        return None
    inside = picture[: round(height / factor), : round(width / factor)]  # the last row may be padding for its most part
    return _Stored(inside, width, height, jpeg_exif(data))


def _decode_any(data: bytes, max_pixels: int, formats: tuple[str, ...]) -> _Stored:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=formats) as image:
                _check_size(*image.size, max_pixels)
                image.load()
                exif = image.info.get("exif")
                return _Stored(_to_array(image), *image.size, exif if isinstance(exif, bytes) else b"")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DefectError("too-many-pixels", str(error)) from None
    except UnidentifiedImageError:
        raise _unidentified(data, formats) from None
    except _DAMAGE as error:
        raise DefectError("broken", f"{type(error).__name__}: {error}") from None


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise DefectError("too-many-pixels", f"{width} x {height}, the limit is {max_pixels} pixels")


def _unidentified(data: bytes, formats: tuple[str, ...]) -> DefectError:
    """Why no allowed format opens the data, told by its first bytes: nothing is parsed for this answer."""
    Image.init()
    prefix = data[:16].ljust(16, b"\0")  # the length Pillow's own tests of a beginning expect
    found = [name for name, (_, accept) in Image.OPEN.items() if accept and accept(prefix) is True]
    if not found:
        return DefectError("unknown-format")
    if not set(found) & set(formats):
        return DefectError("format-not-allowed", found[0])
    return DefectError("broken", f"begins like {found[0]}, but its header is damaged")


def _to_array(image: Image.Image) -> Pixels:
    """uint8 [H, W, 3] RGB, or [H, W] where the picture is grey, of a loaded image of any mode."""
    if image.mode.startswith("I;16"):
        return _upper_bits(np.asarray(image), image.info.get("transparency"))
    if image.mode in ("I", "F"):
        return _stretch(np.asarray(image))
    if not image.has_transparency_data:
        return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    layered = image.convert("RGBA")
    ground = Image.new("RGB", image.size, "white")
    ground.paste(layered, mask=layered.getchannel("A"))
    return np.asarray(ground)


def _upper_bits(grey: npt.NDArray[np.uint16], transparent: object) -> Pixels:
    pixels = (grey >> 8).astype(np.uint8)
    if isinstance(transparent, int):  # a PNG may declare one level transparent
        pixels[grey == transparent] = 255
    return pixels


def _stretch(values: npt.NDArray[Any]) -> Pixels:
    finite = np.nan_to_num(values.astype(np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    finite -= low
    finite *= 255.0 / (high - low or 1.0)
    return finite.astype(np.uint8)


def _squash(picture: Pixels, side: int) -> Pixels:
    """Fit [H, W] or [H, W, 3] to [side, side, 3]."""
    height, width = picture.shape[:2]
    # Two steps: cv2 averages areas only while neither axis grows, and would only sample a strip of 9,000 x 1.
    small = cv2.resize(picture, (min(width, side), min(height, side)), interpolation=cv2.INTER_AREA)
    square = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR) if min(height, width) < side else small
    return np.asarray(square if square.ndim == 3 else cv2.cvtColor(square, cv2.COLOR_GRAY2RGB), np.uint8)
