"""Pictures beside the one that is explained: what looks like it, what it is clustered with, what is the same."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.report.class_view import level_name
from pipeline.report.image_view import ImageView
from pipeline.report.render import counted
from pipeline.report.sheets import Caption, Sheet, SheetSettings, contact_sheet, data_uri
from pipeline.stages.explain_find import Found, find_ids
from pipeline.stages.explain_place import Crawl, Ints, Mates, arrays_at
from pipeline.storage.artifacts import Artifact
from pipeline.storage.rows import find_rows, take_rows

ACROSS: Final = 5  # pictures in a row
MATES: Final = 10  # of its cluster, and as many of its density level
DOUBLES: Final = 20
SETTINGS: Final = SheetSettings(size=128, quality=85)
_BLOCK: Final = 4096  # images whose features are compared at a time

#: An image to be shown: where it stands, and the words that stand on it.
Shown = tuple[Found, str]


def neighbour_sheet(
    crawls: Sequence[Crawl], neighbours: Artifact, row: int, label: int, names: Sequence[str]
) -> Sheet | None:
    """The images most similar to it, nearest first, each with its label.

    Args:
        crawls: all of them.
        neighbours: an `evidence-neighbours`.
        row: of the image in the evidence tables.
        label: its class.
        names: of all classes.
    """
    ids = take_rows(neighbours.table("nearest"), np.array([row]), ("neighbours",))["neighbours"][0].as_py()
    places = [place for place in find_ids([c.listing for c in crawls], np.array(ids, np.int64)) if place]
    told = read_listed(crawls, places)
    shown = [(place, names[one["class_index"]]) for place, one in zip(places, told, strict=True)]
    same = sum(one["class_index"] == label for one in told)
    note = f"of all classes, nearest first, each with its label: {same} of {len(told)} have its own"
    return draw(crawls, shown, "Nearest images", note)


def double_rows(duplicates: Artifact, image_id: int) -> list[dict[str, Any]]:
    """All images of its duplicate group but itself; streams the ids of all images that have doubles.

    Args:
        duplicates: an `evidence-duplicates`.
        image_id: of the image, of any split.
    """
    folder = duplicates.table("groups")
    own = find_rows(folder, ("image_id",), lambda batch: batch["image_id"].to_numpy() == image_id)
    if not len(own):
        return []
    group = take_rows(folder, own, ("duplicate_group",))["duplicate_group"][0].as_py()
    rows = find_rows(folder, ("duplicate_group",), lambda batch: batch["duplicate_group"].to_numpy() == group)
    others = take_rows(folder, np.setdiff1d(rows, own), ("image_id", "class_index", "split", "exact"))
    return list(others.to_pylist())


def double_sheet(crawls: Sequence[Crawl], doubles: Sequence[dict[str, Any]], names: Sequence[str]) -> Sheet | None:
    """The same picture where else it is listed, val and test first."""
    ordered = sorted(doubles, key=lambda one: (one["split"] == "train", one["image_id"]))[:DOUBLES]
    places = find_ids([crawl.listing for crawl in crawls], np.array([one["image_id"] for one in ordered], np.int64))
    shown = []
    for place, one in zip(places, ordered, strict=True):
        split = "" if one["split"] == "train" else f"{one['split']}: "
        if place is not None:
            shown.append((place, f"{split}{names[one['class_index']]}"))
    clean = sum(one["split"] != "train" for one in doubles)
    leak = f", {clean:,} of them in val or test" if clean else ""
    return draw(crawls, shown, "The same picture elsewhere", f"{counted(len(doubles), 'double')}{leak}")


def mate_sheets(crawls: Sequence[Crawl], mates: Mates, view: ImageView, apart: Sequence[int]) -> list[Sheet]:
    """The images of its cluster, and of its density level, that are most like it.

    Args:
        crawls: all of them, with features.
        mates: the images of its class.
        view: what is known of them.
        apart: ids of its doubles, which are left out.
    """
    every = np.flatnonzero(~np.isin(mates.image_id, [mates.image_id[view.row], *apart]))
    sheets = []
    for column, title in (("cluster", "Its cluster"), ("density_level", "Its density level")):
        if view.knows(column) and view.number(column) >= 0:
            members = every[view.columns[column][every] == view[column]]
            near = closest(crawls, mates, view.row, members)[:MATES]
            level = f" ({level_name(view.number(column)).lower()})" if column == "density_level" else ""
            note = f"the most similar of {counted(len(members), 'other image')} of its class in it{level}"
            shown = [(_place(mates, k), _likely(view, k)) for k in near.tolist()]
            sheets.append(draw(crawls, shown, title, note))
    return [sheet for sheet in sheets if sheet is not None]


def closest(crawls: Sequence[Crawl], mates: Mates, own: int, others: Ints) -> Ints:
    """Some images of a class by the squared Euclidean distance of their features, nearest first, equal ones by id.

    Features are read a block at a time.

    Args:
        crawls: all of them, with features.
        mates: the images of the class.
        own: the one that distance is taken from.
        others: (o,) positions among them.
    """
    centre = _features(crawls, mates, np.array([own]))[0]
    distance = np.empty(len(others))
    for first in range(0, len(others), _BLOCK):
        block = slice(first, first + _BLOCK)
        distance[block] = ((_features(crawls, mates, others[block]) - centre) ** 2).sum(axis=1)
    return others[np.lexsort((mates.image_id[others], distance))]


def _features(crawls: Sequence[Crawl], mates: Mates, rows: Ints) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] | None = None
    for number in np.unique(mates.crawl[rows]).tolist():
        own = np.flatnonzero(mates.crawl[rows] == number)
        features = crawls[number].features
        assert features is not None  # noqa: S101 - who calls has looked
        held = arrays_at(features, "features", mates.shard[rows[own]], mates.at[rows[own]])
        found = np.empty((len(rows), held.shape[1]), np.float32) if found is None else found
        found[own] = held
    return np.empty((0, 1), np.float32) if found is None else found


def _place(mates: Mates, row: int) -> Found:
    return Found(int(mates.crawl[row]), int(mates.row[row]))


def _likely(view: ImageView, row: int) -> str:
    right = view.columns["right_probability"][row] if "right_probability" in view.columns else np.nan
    return f"{100 * right:.0f}% right" if np.isfinite(right) else ""


def read_listed(crawls: Sequence[Crawl], places: Sequence[Found]) -> list[dict[str, Any]]:
    """What listing and images have of some images: path, title, rank, class_index, shard and row."""
    found: list[dict[str, Any]] = [{} for _ in places]
    for number, crawl in enumerate(crawls):
        own = [k for k, place in enumerate(places) if place.crawl == number]
        rows = np.array([places[k].row for k in own], np.int64)
        if own and crawl.images is not None:
            listed = take_rows(crawl.listing.table("listing"), rows, ("path", "title", "rank", "class_index"))
            decoded = take_rows(crawl.images.table("images"), rows, ("shard", "row"))
            for k, one, other in zip(own, listed.to_pylist(), decoded.to_pylist(), strict=True):
                found[k] = one | other
    return found


def pixels_of(crawl: Crawl, shard: int, at: int) -> npt.NDArray[np.uint8]:
    """(1, H, W, 3) the decoded picture."""
    assert crawl.images is not None  # noqa: S101 - who calls has looked
    return np.asarray(arrays_at(crawl.images, "pixels", np.array([shard]), np.array([at])), np.uint8)


def draw(crawls: Sequence[Crawl], shown: Sequence[Shown], title: str, note: str) -> Sheet | None:
    """A sheet of the pictures that can be shown, or None where there is none."""
    told = read_listed(crawls, [place for place, _ in shown])
    there = [
        (place, label, one) for (place, label), one in zip(shown, told, strict=True) if one.get("shard") is not None
    ]
    if not there:
        return None
    pixels = np.concatenate([pixels_of(crawls[place.crawl], one["shard"], one["row"]) for place, _, one in there])
    across = min(ACROSS, len(there))
    captions = tuple(Caption(one["path"], one["title"] or "", one["rank"], None, label) for _, label, one in there)
    return Sheet(title, note, data_uri(contact_sheet(pixels, across, SETTINGS), "image/jpeg"), across, captions)
