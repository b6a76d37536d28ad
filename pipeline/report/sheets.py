"""Contact sheets: one JPEG that shows pictures side by side, and what is said of each of them."""

import base64
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

LABEL: Final = 40  # characters of a label where room is short


@dataclass(frozen=True, kw_only=True)
class SheetSettings:
    """What is pictured, and how finely: together these bound every page, however large the crawl."""

    #: pictures on a sheet of the heaviest, and as many on one of the lightest, 1 to 64
    ends: int = 16
    #: clusters pictured per class or confused group, largest first, at least 1
    clusters: int = 8
    #: pictures per cluster or density level, 1 to 64
    per_cluster: int = 8
    #: pictures of a class that its neighbours or a model doubt, of each 1 to 64
    doubted: int = 16
    #: of these, pictures shown with their neighbours, 1 to 64
    queries: int = 3
    #: texts quoted per class, best and worst each, 1 to 64
    texts: int = 5
    #: groups of doubles pictured, and as many that reach into val or test, at least 1
    doubles: int = 12
    #: images on a class's map, at least 1
    points: int = 800
    #: longest side of a shown picture in pixels, 8 to 256; larger ones are reduced, smaller ones stay as they are
    size: int = 64
    #: of the JPEG, 1 to 100
    quality: int = 80

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        limits = dict.fromkeys(("ends", "per_cluster", "doubted", "queries", "texts"), (1, 64))
        for name, (low, high) in (limits | {"size": (8, 256), "quality": (1, 100)}).items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"sheets.{name} must be {low} to {high}, not {getattr(self, name)}")
        for name in ("clusters", "doubles", "points"):
            if getattr(self, name) < 1:
                raise ValueError(f"sheets.{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Caption:
    """What is known of one pictured image; path and title are a crawl's words and untrusted, a label may be."""

    path: str
    title: str
    rank: int | None
    weight: float | None
    label: str = ""  # a word or two that stand on the picture
    facts: tuple[str, ...] = ()  # what the evidence says, in words


@dataclass(frozen=True)
class Sheet:
    """Pictures in rows of `columns`, as one image, and a caption for each in reading order."""

    name: str  # a class's name may be in it: untrusted
    note: str
    uri: str
    columns: int
    captions: tuple[Caption, ...]
    beside: bool = False  # one picture a row, its caption in words beside it

    def wordless(self) -> "Sheet":
        """The same, with the labels that stand on the pictures alone."""
        return replace(self, captions=tuple(Caption("", "", None, None, one.label[:LABEL]) for one in self.captions))

    @property
    def blanks(self) -> int:
        """Empty places in the last row."""
        return -len(self.captions) % self.columns


def contact_sheet(pictures: Pixels, columns: int, settings: SheetSettings) -> bytes:
    """One JPEG of all pictures in rows of `columns`.

    Args:
        pictures: uint8 (n, H, W, 3) RGB, n at least 1.
        columns: pictures in a row, at least 1.
        settings: size and quality.

    Raises:
        ValueError: there are no pictures, or they are not RGB bytes.
    """
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8 or not len(pictures):
        raise ValueError(f"pictures must be uint8 (n, H, W, 3) with n > 0, not {pictures.dtype} {pictures.shape}")
    small = _reduced(pictures, settings.size)
    n, height, width, _ = small.shape
    rows = -(-n // columns)
    tiles = np.full((rows * columns, height, width, 3), 127, np.uint8)
    tiles[:n] = small
    sheet = tiles.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(sheet[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, settings.quality])
    return data.tobytes()


def _reduced(pictures: Pixels, size: int) -> Pixels:
    longest = max(pictures.shape[1:3])
    if longest <= size:
        return pictures
    height, width = (max(1, round(side * size / longest)) for side in pictures.shape[1:3])
    small = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.stack(small).astype(np.uint8)


def data_uri(data: bytes, mime: str) -> str:
    """The bytes as an address that needs no network."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
