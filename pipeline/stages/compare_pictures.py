"""The images that two manifests differ in most, in pictures, each with what both say of it."""

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.policy.comparison import Comparison
from pipeline.report.comparison import weights_of
from pipeline.report.sheets import Caption, Sheet, SheetSettings, contact_sheet, data_uri
from pipeline.stages.explain_find import find_ids
from pipeline.stages.explain_pictures import pixels_of, read_listed
from pipeline.stages.explain_place import Crawl
from pipeline.storage.artifacts import Store

SIZE: Final = 96  # side of a shown picture, pixels
Rows = list[dict[str, Any]]


def comparison_sheets(stores: Sequence[Store], found: Comparison, names: Sequence[str]) -> tuple[Sheet, ...]:
    """A sheet each of those that lose most, gain most, and are relabelled.

    Args:
        stores: where pictures are looked for, the first first.
        found: with the images to show.
        names: of all classes.
    """
    groups = (
        ("Lose most", "or are left out", found.most_lost),
        ("Gain most", "or are taken in", found.most_gained),
        ("Another class", "those that weigh most", found.most_relabelled),
    )
    ids = {row["image_id"] for _, _, rows in groups for row in rows}
    pictures: dict[int, npt.NDArray[np.uint8]] = {}
    for store in stores:
        pictures |= _pictures(store, sorted(ids - pictures.keys()))
    sheets = (_sheet(title, note, rows, pictures, names) for title, note, rows in groups)
    return tuple(sheet for sheet in sheets if sheet is not None)


def _pictures(store: Store, image_id: list[int]) -> dict[int, npt.NDArray[np.uint8]]:
    """Id -> pixels [SIZE, SIZE, 3] of those that the store has."""
    crawls = [
        Crawl(store.current("listing", name), store.current("images", name), None)
        for name in store.partitions("images")
    ]
    places = find_ids([crawl.listing for crawl in crawls], np.array(image_id, np.int64))
    there = [(own, place) for own, place in zip(image_id, places, strict=True) if place is not None]
    told = read_listed(crawls, [place for _, place in there])
    return {
        own: cv2.resize(pixels_of(crawls[place.crawl], one["shard"], one["row"])[0], (SIZE, SIZE)).astype(np.uint8)
        for (own, place), one in zip(there, told, strict=True)
        if one["shard"] is not None
    }


def _sheet(
    title: str, note: str, rows: Rows, pictures: dict[int, npt.NDArray[np.uint8]], names: Sequence[str]
) -> Sheet | None:
    shown = [row for row in rows if row["image_id"] in pictures]
    if not shown:
        return None
    tiles = np.stack([pictures[row["image_id"]] for row in shown])
    captions = tuple(
        Caption(row["path"], row["path"], None, None, facts=(weights_of(row, names), *_reasons(row))) for row in shown
    )
    uri = data_uri(contact_sheet(tiles, 1, SheetSettings(size=SIZE)), "image/jpeg")
    return Sheet(title, note, uri, 1, captions, beside=True)


def _reasons(row: dict[str, Any]) -> tuple[str, ...]:
    told = [(side, row[f"reason_{side.lower()}"]) for side in "AB"]
    if told[0][1] == told[1][1]:
        return (f"both: {told[0][1]}",)
    return tuple(f"{side}: {reason}" for side, reason in told if reason is not None)
