"""EXIF orientation: found in hostile metadata without ever failing, and undone."""

import struct

import numpy as np
import numpy.typing as npt

_TAG = 0x0112
_SHORT = 3
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}  # JPEG markers that stand alone
_LAST = {0xDA, 0xD9}  # start of scan, end of image: metadata that counts comes before


def jpeg_exif(data: bytes) -> bytes:
    """The first EXIF block of a JPEG, or nothing where there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding before a marker
            at += 1
        elif marker in _NO_LENGTH:
            at += 2
        elif marker in _LAST:
            break
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
                return data[at + 10 : end]
            at = max(end, at + 4)
    return b""


def exif_orientation(exif: bytes) -> int:
    """The orientation an EXIF block states, 1 to 8; 1 (upright) where it is absent, out of range or damaged.

    Args:
        exif: the block as a file holds it, with or without its leading "Exif\\0\\0" (untrusted).
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, entry)
            if tag == _TAG:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:  # it points outside itself
        pass
    return 1


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn and mirror a stored picture [H, W, 3] as its orientation (1 to 8, EXIF 2.32 table 6) asks for."""
    if orientation >= 5:  # 5 to 8: stored by columns
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
