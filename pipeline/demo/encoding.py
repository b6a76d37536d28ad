"""The bytes of the demo's files: pictures in four formats, copies slightly changed, and files that hold no picture."""

import io

import cv2
import numpy as np
from PIL import Image

from pipeline.demo.brush import Picture
from pipeline.demo.noise import FILE, PICTURE, Shot, generator
from pipeline.demo.scenes import draw_scene

_FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP"}
_ERROR_PAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n"


def file_bytes(seed: int, shot: Shot) -> bytes | None:
    """What the crawl holds under the shot's path; None where it holds nothing."""
    if shot.damage == "missing":
        return None
    if shot.damage == "empty":
        return b""
    if shot.damage == "html":
        return _ERROR_PAGE
    rng = generator(seed, shot.number, FILE)
    if shot.copy_of is None:
        picture = draw_scene(shot.scene, generator(seed, shot.number, PICTURE))
    else:
        picture = _altered(rng, draw_scene(shot.scene, generator(seed, shot.copy_of, PICTURE)))
    data = _encoded(rng, picture, shot.extension)
    return data[: int(len(data) * rng.uniform(0.2, 0.6))] if shot.damage == "truncated" else data


def _encoded(rng: np.random.Generator, picture: Picture, extension: str) -> bytes:
    stream = io.BytesIO()
    lossy = {"quality": int(rng.integers(70, 96))} if extension in ("jpg", "webp") else {}
    Image.fromarray(picture).save(stream, _FORMATS[extension], **lossy)
    return stream.getvalue()


def _altered(rng: np.random.Generator, picture: Picture) -> Picture:
    """The picture as another site shows it: cropped by a pixel or two a side, or scaled; the encoder does the rest."""
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        left, top, right, bottom = rng.integers(0, 3, 4)
        return np.ascontiguousarray(picture[top : height - bottom, left : width - right])
    scale = rng.uniform(0.8, 1.25)
    size = (round(width * scale), round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
