"""Whether a run can fit on the disk, told once its crawls are listed and before anything large is written."""

from typing import Final

from assets.settings import Settings
from pipeline.storage.artifacts import Store
from pipeline.storage.room import require

#: Bytes an image. Of features: float16 of the widest networks that are offered. Of tables and text vectors, and of the
#: manifest of one recipe: as measured on a real crawl of 11,335 images (733 and 26), rounded up.
FEATURES: Final = 2 * 2048
TABLES: Final = 800
MANIFEST: Final = 30


def needed_bytes(images: int, settings: Settings) -> int:
    """What a run writes of so many listed images, about: pixels, features, evidence and manifests; no models."""
    pixels = 3 * settings.images.image_size**2
    return images * (pixels + FEATURES + TABLES + MANIFEST * len(settings.recipes))


def require_room(store: Store, settings: Settings) -> None:
    """Refuse a run whose pictures cannot fit.

    Raises:
        NoRoomError: the disk has fewer bytes free than the crawls that are not decoded yet need.
    """
    images = sum(store.current("listing", crawl).facts["listed"] for crawl in undecoded(store))
    if images:
        require(store.root, needed_bytes(images, settings), f"what this run writes of {images:,} new images")


def undecoded(store: Store) -> list[str]:
    """The crawls of which there are no pictures yet, or those of another listing."""
    decoded = set(store.partitions("images"))
    return [
        crawl
        for crawl in store.partitions("listing")
        if crawl not in decoded
        or store.current("images", crawl).facts["listed"] != store.current("listing", crawl).facts["listed"]
    ]
