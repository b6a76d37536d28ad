"""Where the images of one class stand in all tables, without reading those of any other class.

Listings are ordered by split and class, and evidence tables by class and crawl, so footers say which row groups hold a
class, and how many images come before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pipeline.storage.arrays import open_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.rows import row_groups, take_rows
from pipeline.storage.tables import read_rows

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Crawl:
    """What there is of one crawl."""

    listing: Artifact
    images: Artifact | None
    features: Artifact | None


@dataclass(frozen=True)
class Mates:
    """The m usable training images of one class, in the order of the evidence tables."""

    start: int  # row of the first of them in the evidence tables
    image_id: Ints  # (m,)
    crawl: Ints  # (m,) number of the crawl
    row: Ints  # (m,) in that crawl's listing and images
    shard: Ints  # (m,) of its pixels and features
    at: Ints  # (m,) row in the shard

    @property
    def rows(self) -> range:
        """Their rows in the evidence tables."""
        return range(self.start, self.start + len(self.image_id))


def class_mates(crawls: Sequence[Crawl], label: int) -> Mates:
    """The usable training images of a class.

    Costs the footers of listings and images, and the row groups that hold the class.

    Args:
        crawls: in the order in which the evidence has them.
        label: the class.
    """
    start, parts = 0, []
    for number, crawl in enumerate(crawls):
        if crawl.images is None:
            continue
        rows = training_rows(crawl.listing.table("listing"), label)
        decoded = crawl.images.table("images")
        start += known_before(decoded, "shard", rows.start)
        if rows:
            held = read_rows(decoded, rows, ("image_id", "shard", "row"))
            usable = np.flatnonzero(pc.is_valid(held["shard"]).to_numpy())
            own = held.take(usable)
            row = usable + rows.start
            parts.append([own["image_id"], np.full(len(row), number), row, own["shard"], own["row"]])
    columns = [
        np.concatenate([np.zeros(0, np.int64), *(np.asarray(c, np.int64) for c in one)])
        for one in zip(*parts, strict=True)
    ]
    return Mates(start, *(columns or [np.zeros(0, np.int64)] * 5))


def training_rows(listing: Path, label: int) -> range:
    """The rows of a class's training images in a listing; an empty range where they would stand if there are none."""
    first = last = 0
    for of_class, of_split in zip(row_groups(listing, "class_index"), row_groups(listing, "split"), strict=True):
        rows = of_class.rows
        if of_split.least == of_split.most == "train" and of_class.most < label:
            first = last = rows.stop
            continue
        held = read_rows(listing, rows, ("class_index", "split"))
        own = held["class_index"].to_numpy()[: int(pc.sum(pc.equal(held["split"], "train")).as_py() or 0)]
        if first == rows.start:
            first += int(np.searchsorted(own, label, side="left"))
        last = rows.start + int(np.searchsorted(own, label, side="right"))
        if last < rows.stop:
            break
    return range(first, max(first, last))


def known_before(folder: Path, column: str, stop: int) -> int:
    """How many of the rows before `stop` hold a value: by the footers, and the row group that `stop` lies in."""
    known = 0
    for group in row_groups(folder, column):
        if group.rows.stop <= stop:
            known += len(group.rows) - group.nulls
        elif group.rows.start < stop:
            held = read_rows(folder, range(group.rows.start, stop), (column,))[column]
            known += len(held) - held.null_count
        else:
            break
    return known


def arrays_at(artifact: Artifact, name: str, shard: Ints, at: Ints) -> npt.NDArray[Any]:
    """Pixels or features of some images of one crawl: a copy (s, *row shape); only their shards are opened.

    Args:
        artifact: `images` or `features` of the crawl.
        name: "pixels" or "features".
        shard: (s,) at least one.
        at: (s,) rows in the shards.
    """
    found: npt.NDArray[Any] | None = None
    for number in np.unique(shard).tolist():
        own = np.flatnonzero(shard == number)
        held = open_array(artifact.table(name) / f"part-{number:05d}.npy")[at[own]]
        found = np.empty((len(shard), *held.shape[1:]), held.dtype) if found is None else found
        found[own] = held
    if found is None:
        raise ValueError("shard must name one image at least")
    return found


def row_of(folder: Path, row: int, columns: Sequence[str]) -> dict[str, Any]:
    """One row of a table by its number.

    Raises:
        IndexError: the table has no such row.
    """
    return dict(take_rows(folder, np.array([row]), columns).to_pylist()[0])
