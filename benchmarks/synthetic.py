"""A synthetic store: listing, images and features of any size, published as the real stages publish them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.records import CLASSES, IMAGES, LISTING
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

PART_ROWS = 50_000
CRAWL = "synthetic"
WORDS = 5_000  # different words in the titles


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A crawl of classes of one size."""

    rows: int
    class_size: int
    dimensions: int

    @property
    def classes(self) -> int:
        """The last one may be smaller."""
        return -(-self.rows // self.class_size)

    def parts(self) -> Iterator[tuple[int, npt.NDArray[np.int64], np.random.Generator]]:
        """Number, rows and random numbers of each part."""
        for number, start in enumerate(range(0, self.rows, PART_ROWS)):
            at = np.arange(start, min(start + PART_ROWS, self.rows))
            yield number, at, np.random.default_rng([self.rows, number])


def build_store(store: Store, shape: Shape) -> None:
    """Publish listing, images and features: features in clusters, a quarter of them of another class, and titles."""
    build_lists(store, shape)
    store.make("features", CRAWL, "f", lambda draft: _features(draft, shape))


def build_lists(store: Store, shape: Shape, side: int = 8) -> None:
    """Publish listing and images; `side` of the stored pictures, 0 for none."""
    store.make("listing", CRAWL, "l", lambda draft: _listing(draft, shape))
    store.make("images", CRAWL, "i", lambda draft: _images(draft, shape, side))


def _listing(draft: Draft, shape: Shape) -> Facts:
    files: dict[Path, int] = {}
    words = np.array([f"word{k}" for k in range(WORDS)])
    for number, at, rng in shape.parts():
        titles = words[rng.integers(0, WORDS, (8, len(at)))]
        columns = {
            "image_id": image_ids(at),
            "crawl": pa.array([CRAWL] * len(at)),
            "path": pa.array(np.char.add(at.astype(str), ".jpg")),
            "class_index": (at // shape.class_size).astype(np.int32),
            "query_id": (at // shape.class_size * 4 + at % 4).astype(np.int32),
            "rank": (at % shape.class_size // 4 + 1).astype(np.int32),
            "title": pa.array([" ".join(title) for title in titles.T]),
            "split": pa.array(["train"] * len(at)),
        }
        full = {field.name: columns.get(field.name, pa.nulls(len(at), field.type)) for field in LISTING}
        path = part_path(draft.table("listing"), number)
        files[path] = write_table(path, LISTING, [pa.table(full, schema=LISTING)])
    catalogue = [
        {"class_index": k, "wnid": f"n{k}", "lemmas": [f"word{k % WORDS}"], "gloss": f"a word{(k * 7) % WORDS} thing"}
        for k in range(shape.classes)
    ]
    path = part_path(draft.table("classes"), 0)
    files[path] = write_table(path, CLASSES, [pa.Table.from_pylist(catalogue, schema=CLASSES)])
    draft.finish(0, files)
    return {"listed": shape.rows, "classes": shape.classes, "containers": None}


def image_ids(at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Different, scattered ids, as hashes are (an odd factor permutes the 64-bit numbers)."""
    return (at.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)


def _images(draft: Draft, shape: Shape, side: int) -> Facts:
    for number, at, rng in shape.parts():
        columns = {
            "image_id": image_ids(at),
            "status": pa.array(["usable"] * len(at)),
            "sha256": pa.array([hashlib.sha256(b"%d" % value).hexdigest() for value in at.tolist()]),
            "perceptual_hash": rng.integers(0, 2**63, len(at)).astype(np.uint64),
            "shard": np.full(len(at), number, np.int32),
            "row": np.arange(len(at), dtype=np.int32),
        }
        full = {field.name: columns.get(field.name, pa.nulls(len(at), field.type)) for field in IMAGES}
        path = part_path(draft.table("images"), number)
        files = {path: write_table(path, IMAGES, [pa.table(full, schema=IMAGES)])}
        if side:
            pixels = draft.table("pixels") / f"part-{number:05d}.npy"
            with write_array(pixels, (len(at), side, side, 3), np.uint8) as stored:
                stored[:] = rng.integers(0, 256, stored.shape, np.uint8)
            files[pixels] = len(at)
        draft.finish(number, files)
    return {"listed": shape.rows, "usable": shape.rows, "quarantined": 0}


def _features(draft: Draft, shape: Shape) -> Facts:
    centres = np.random.default_rng(0).normal(size=(shape.classes, shape.dimensions)).astype(np.float32) * 2
    for number, at, rng in shape.parts():
        shown = np.where(rng.random(len(at)) < 0.25, rng.integers(0, shape.classes, len(at)), at // shape.class_size)
        path = draft.table("features") / f"part-{number:05d}.npy"
        with write_array(path, (len(at), shape.dimensions), np.float16) as stored:
            stored[:] = centres[shown] + rng.normal(size=stored.shape)
        draft.finish(number, {path: len(at)})
    return {"images": shape.rows}
