"""Contact sheets: which images stand for a class, and one JPEG that shows them side by side."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class SheetSettings:
    """What is pictured, and how finely."""

    #: classes that get contact sheets, at least 1; those with the most light images are taken
    classes: int = 100
    #: pictures on a sheet of the heaviest, and as many on one of the lightest, 1 to 64
    ends: int = 24
    #: clusters pictured per class, largest first, at least 1
    clusters: int = 8
    #: pictures per cluster, 1 to 64
    per_cluster: int = 8
    #: longest side of a shown picture in pixels, 8 to 256; larger ones are reduced, smaller ones stay as they are
    size: int = 64
    #: of the JPEG, 1 to 100
    quality: int = 80

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        limits = {"ends": (1, 64), "per_cluster": (1, 64), "size": (8, 256), "quality": (1, 100)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"sheets.{name} must be {low} to {high}, not {getattr(self, name)}")
        for name in ("classes", "clusters"):
            if getattr(self, name) < 1:
                raise ValueError(f"sheets.{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Caption:
    """What is known of one pictured image; path and title are a crawl's words and untrusted."""

    path: str
    title: str
    rank: int | None
    weight: float | None


@dataclass(frozen=True)
class Sheet:
    """Pictures in rows of `columns`, as one image, and a caption for each in reading order."""

    name: str
    note: str
    uri: str
    columns: int
    captions: tuple[Caption, ...]

    @property
    def blanks(self) -> int:
        """Empty places in the last row."""
        return -len(self.captions) % self.columns


def extremes(
    weight: npt.NDArray[np.floating[Any]], image_id: npt.NDArray[np.int64], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of the heaviest images, heaviest first, and of the lightest, lightest first; no image is in both.

    Equal weights are told apart by image id, which is a hash: a fair sample rather than the first ranks.

    Args:
        weight: (n,) of one class's images.
        image_id: (n,) of the same images.
        count: at most so many of each.
    """
    order = np.lexsort((image_id, -weight))
    n = len(weight)
    return order[: min(count, n - n // 2)], order[::-1][: min(count, n // 2)]


def sample(members: npt.NDArray[np.int64], image_id: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """At most `count` of `members`, by ascending image id: a fair sample, the same on every run.

    Args:
        members: (m,) positions in `image_id`.
        image_id: (n,) hashes.
        count: at least 1.
    """
    return members[np.argsort(image_id[members], kind="stable")[:count]]


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


def make_sheet(
    name: str, note: str, pictures: Pixels, captions: Sequence[Caption], columns: int, settings: SheetSettings
) -> Sheet:
    """A sheet of pictures with a caption each, at most `columns` in a row.

    Raises:
        ValueError: there are no pictures, or not one caption for each.
    """
    if len(captions) != len(pictures):
        raise ValueError(f"{len(captions)} captions for {len(pictures)} pictures")
    across = min(columns, len(pictures))
    return Sheet(name, note, data_uri(contact_sheet(pictures, across, settings), "image/jpeg"), across, tuple(captions))


def data_uri(data: bytes, mime: str) -> str:
    """The bytes as an address that needs no network."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
