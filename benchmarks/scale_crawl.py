"""A crawl of any size as tables, and what decoding and encoding it would publish, without its pictures.

The listing is made by the real stage from the tables; pictures are not there, so `images` and `features` are drawn.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.crawl.settings import CrawlSettings
from pipeline.records import IMAGES
from pipeline.stages.listing import Crawl, make_listing
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import iterate_table, part_path, write_table

WORDS: Final = 20_000  # different words in the titles
IN_TITLE: Final = 8
PART_ROWS: Final = 200_000  # of the tables that the crawl is delivered in
SHARD_ROWS: Final = 50_000
SIDE: Final = 8  # of a picture: what looks for doubles reads them
OTHER: Final = 0.25  # of the pictures show another class than their label says
DOUBLE: Final = 0.02  # are the picture before them again
_SKEW: Final = 0.3  # class k has as many images as (k + 1) to the power of minus this
_TABLE: Final = pa.schema(
    {"path": pa.string(), "label": pa.string(), "query": pa.string(), "rank": pa.int32(), "title": pa.string()}
)


@dataclass(frozen=True, kw_only=True)
class ScaleCrawl:
    """Some images of some classes, drawn from a seed."""

    name: str
    rows: int
    classes: int
    dimensions: int
    first_class: int = 0  # of those that it has images of
    last_class: int | None = None

    def sizes(self) -> npt.NDArray[np.int64]:
        """Images of each class: skewed, all rows together, none without."""
        own = np.zeros(self.classes)
        touched = slice(self.first_class, self.last_class)
        own[touched] = (np.arange(self.classes)[touched] + 1.0) ** -_SKEW
        ends = np.round(np.cumsum(own) / own.sum() * self.rows).astype(np.int64)
        return np.asarray(np.diff(ends, prepend=0), np.int64)

    def write(self, folder: Path) -> None:
        """The tables, class after class, four queries a class."""
        sizes = self.sizes()
        label = np.repeat(np.arange(self.classes), sizes)
        place = np.arange(self.rows) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        words = np.array([f"word{k}" for k in range(WORDS)])
        for number, start in enumerate(range(0, self.rows, PART_ROWS)):
            at = slice(start, min(start + PART_ROWS, self.rows))
            rng = np.random.default_rng([self.rows, number])
            drawn = rng.integers(0, WORDS, (at.stop - start, IN_TITLE))
            drawn[:, 0] = np.where(rng.random(len(drawn)) < 1 - OTHER, label[at], drawn[:, 0])
            columns = {
                "path": pa.array([f"{self.name}/{row}.jpg" for row in range(start, at.stop)]),
                "label": pa.array(words[label[at]]),
                "query": pa.array([f"{word} {q}" for word, q in zip(words[label[at]], place[at] % 4, strict=True)]),
                "rank": (place[at] // 4 + 1).astype(np.int32),
                "title": pa.array([" ".join(title) for title in words[drawn]]),
            }
            write_table(part_path(folder, number), _TABLE, [pa.table(columns, schema=_TABLE)])
        lines = [f"word{k},word{k},a word{(k * 7) % WORDS} thing" for k in range(self.classes)]
        folder.with_suffix(".csv").write_text("\n".join(["wnid,lemmas,gloss", *lines]) + "\n")


def list_crawl(store: Path, name: str, folder: Path) -> None:
    """The real stage: what is measured. Beside the crawl's folder lie its classes, the same for all crawls."""
    settings = CrawlSettings(catalogue=str(folder.with_suffix(".csv")))
    make_listing(Store(store), Crawl(name, str(folder), settings))


def draw_pictures(store: Store, crawl: ScaleCrawl) -> None:
    """Publish `images` and `features` of a crawl that is listed, as the real stages would."""
    listing = store.current("listing", crawl.name)
    wanted = listing.identity[::-1]
    store.make("images", crawl.name, wanted, lambda draft: _images(draft, listing))
    store.make("features", crawl.name, wanted, lambda draft: _features(draft, listing, crawl))


def _shards(listing: Artifact, name: str) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """A column of a listing, SHARD_ROWS rows at a time, numbered."""
    batches = iterate_table(listing.table("listing"), (name,))
    whole = np.concatenate([batch[name].to_numpy() for batch in batches])
    for number, at in enumerate(range(0, len(whole), SHARD_ROWS)):
        yield number, whole[at : at + SHARD_ROWS]


def _images(draft: Draft, listing: Artifact) -> Facts:
    total = 0
    for number, ids in _shards(listing, "image_id"):
        rng = np.random.default_rng([len(ids), number])
        double = (rng.random(len(ids)) < DOUBLE) & (np.arange(len(ids)) > 0)
        shown = np.where(double, np.roll(ids, 1), ids)
        columns = {
            "image_id": ids,
            "status": pa.array(["usable"] * len(ids)),
            "sha256": pa.array([hashlib.sha256(b"%d" % value).hexdigest() for value in shown.tolist()]),
            "perceptual_hash": shown.view(np.uint64) >> np.uint64(1),
            "shard": np.full(len(ids), number, np.int32),
            "row": np.arange(len(ids), dtype=np.int32),
        }
        full = {field.name: columns.get(field.name, pa.nulls(len(ids), field.type)) for field in IMAGES}
        path, pixels = part_path(draft.table("images"), number), draft.table("pixels") / f"part-{number:05d}.npy"
        with write_array(pixels, (len(ids), SIDE, SIDE, 3), np.uint8) as stored:
            stored[:] = rng.integers(0, 256, stored.shape, np.uint8)
            stored[double] = stored[np.flatnonzero(double) - 1]
        files = {path: write_table(path, IMAGES, [pa.table(full, schema=IMAGES)]), pixels: len(ids)}
        draft.finish(number, files)
        total += len(ids)
    return {"listed": total, "usable": total, "quarantined": 0}


def _features(draft: Draft, listing: Artifact, crawl: ScaleCrawl) -> Facts:
    centres = np.random.default_rng(0).normal(size=(crawl.classes, crawl.dimensions)).astype(np.float32) * 2
    total = 0
    for number, label in _shards(listing, "class_index"):
        rng = np.random.default_rng([len(label), number, crawl.rows])
        shown = np.where(rng.random(len(label)) < OTHER, rng.integers(0, crawl.classes, len(label)), label)
        path = draft.table("features") / f"part-{number:05d}.npy"
        with write_array(path, (len(label), crawl.dimensions), np.float16) as stored:
            stored[:] = centres[shown] + rng.normal(size=stored.shape).astype(np.float32)
        draft.finish(number, {path: len(label)})
        total += len(label)
    return {"images": total}
