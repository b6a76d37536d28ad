"""A store with a few made-up images, published as the real stages publish them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.evidence_tables import EVIDENCE
from pipeline.records import CLASSES, IMAGES, LISTING, QUERIES
from pipeline.result_tables import MARGINS
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table


@dataclass(frozen=True)
class Picture:
    """One listed image; `features` None means quarantined as broken."""

    class_index: int
    features: tuple[float, ...] | None
    split: str = "train"
    content: str = ""  # pictures of equal content have equal bytes
    title: str | None = None
    query_id: int | None = None


def add_crawl(store: Store, crawl: str, pictures: Sequence[Picture], *, shard_rows: int = 3, classes: int = 3) -> None:
    """Publish listing, images and features of a crawl; image ids are 100 * (length of the crawl's name) + position."""
    image_id = [100 * len(crawl) + i for i in range(len(pictures))]
    store.make("listing", crawl, "l", lambda draft: _listing(draft, crawl, pictures, image_id, classes))
    store.make("images", crawl, "i", lambda draft: _images(draft, pictures, image_id, shard_rows))
    store.make("features", crawl, "f", lambda draft: _features(draft, pictures, shard_rows))


def _listing(draft: Draft, crawl: str, pictures: Sequence[Picture], image_id: list[int], classes: int) -> Facts:
    rows = [
        {
            "image_id": own,
            "crawl": crawl,
            "path": f"{crawl}/{i}.jpg",
            "class_index": picture.class_index,
            "query_id": picture.query_id,
            "rank": i + 1,
            "title": picture.title,
            "split": picture.split,
        }
        for i, (own, picture) in enumerate(zip(image_id, pictures, strict=True))
    ]
    catalogue = [{"class_index": i, "wnid": f"n{i}", "lemmas": [f"class {i}"]} for i in range(classes)]
    files: dict[Path, int] = {}
    for name, schema, told in (("listing", LISTING, rows), ("classes", CLASSES, catalogue), ("queries", QUERIES, [])):
        path = draft.table(name) / "part-00000.parquet"
        files[path] = write_table(path, schema, [pa.Table.from_pylist(told, schema=schema)])
    draft.finish(0, files)
    return {"listed": len(rows), "classes": classes, "containers": None}


def _images(draft: Draft, pictures: Sequence[Picture], image_id: list[int], shard_rows: int) -> Facts:
    for shard, start in enumerate(range(0, len(pictures), shard_rows)):
        rows, row = [], 0
        for i in range(start, min(start + shard_rows, len(pictures))):
            good = pictures[i].features is not None
            rows.append(
                {
                    "image_id": image_id[i],
                    "status": "usable" if good else "quarantined",
                    "reason": None if good else "broken",
                    "sha256": sha256(_content(pictures[i], image_id[i])) if good else None,
                    "perceptual_hash": int(sha256(_content(pictures[i], image_id[i]))[:16], 16) if good else None,
                    "shard": shard if good else None,
                    "row": row if good else None,
                }
            )
            row += good
        path = draft.table("images") / f"part-{shard:05d}.parquet"
        write_table(path, IMAGES, [pa.Table.from_pylist(rows, schema=IMAGES)])
        shown = [_content(pictures[i], image_id[i]) for i, own in enumerate(rows, start) if own["row"] is not None]
        pixels = draft.table("pixels") / f"part-{shard:05d}.npy"
        with write_array(pixels, (len(shown), 8, 8, 3), np.uint8) as out:
            for row, content in enumerate(shown):
                out[row] = np.random.default_rng(list(content.encode())).integers(0, 256, (8, 8, 3))
        draft.finish(shard, {path: len(rows), pixels: len(shown)})
    usable = sum(picture.features is not None for picture in pictures)
    return {"listed": len(pictures), "usable": usable, "quarantined": len(pictures) - usable}


def _content(picture: Picture, image_id: int) -> str:
    return picture.content or str(image_id)


def sha256(content: str) -> str:
    """Of a picture with that content."""
    return hashlib.sha256(content.encode()).hexdigest()


def _features(draft: Draft, pictures: Sequence[Picture], shard_rows: int) -> Facts:
    for shard, start in enumerate(range(0, len(pictures), shard_rows)):
        rows = [picture.features for picture in pictures[start : start + shard_rows] if picture.features is not None]
        values = np.array(rows, np.float16).reshape(len(rows), 2)
        path = draft.table("features") / f"part-{shard:05d}.npy"
        with write_array(path, values.shape, np.float16) as out:
            out[:] = values
        draft.finish(shard, {path: len(rows)})
    return {}


def add_evidence(store: Store, crawls: Sequence[str], name: str, **columns: Sequence[Any]) -> Artifact:
    """Publish a made-up evidence table of all usable training images; a column not given is null, or 0.

    Args:
        store: with listing and images of the crawls.
        crawls: as the stage itself would be given them.
        name: of the evidence.
        columns: values in the order of the evidence tables: by class, then crawl after crawl.
    """
    order = ClassOrder.read([store.current("listing", c) for c in crawls], [store.current("images", c) for c in crawls])
    schema = EVIDENCE[name]
    told: dict[str, Any] = {"image_id": order.image_id, "duplicate_group": order.image_id, **columns}
    empty = {f.name: [None if f.nullable else False if pa.types.is_boolean(f.type) else 0] * len(order) for f in schema}

    def build(draft: Draft) -> Facts:
        for number, classes in enumerate(stretches(order.sizes)):
            rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
            table = pa.table({key: (empty | told)[key][rows] for key in schema.names}, schema=schema)
            path = part_path(draft.table("evidence"), number)
            draft.finish(number, {path: write_table(path, schema, [table])})
        return {"images": len(order)}

    values = {key: np.asarray(value).tolist() for key, value in columns.items()}
    return store.make(f"evidence-{name}", WHOLE, identity(name, "made up", values, map(str, order.image_id)), build)


def add_model(store: Store, partition: str, margins: Mapping[int, tuple[float | None, int]]) -> Artifact:
    """Publish a model of which nothing is there but its margins: image_id -> (mean margin, sightings)."""
    rows = [{"image_id": i, "aum": aum, "sightings": seen} for i, (aum, seen) in sorted(margins.items())]

    def build(draft: Draft) -> Facts:
        path = part_path(draft.table("margins"), 0)
        draft.finish(0, {path: write_table(path, MARGINS, [pa.Table.from_pylist(rows, schema=MARGINS)])})
        return {}

    return store.make("model", partition, identity("model", "made up", rows, []), build)


A = (
    Picture(0, (0, 0)),
    Picture(0, (0, 1)),
    Picture(0, None),
    Picture(0, (9, 9)),
    Picture(2, (5, 5)),
    Picture(0, (0, 0), "val"),
)
B = (Picture(0, (0, 2)), Picture(2, (5, 5)))


def two_crawls(folder: Path) -> Store:
    """Crawls `a` and `bb`; in the order of the evidence tables 100, 101, 103, 200 (class 0), 104, 201 (class 2)."""
    store = Store(folder)
    add_crawl(store, "a", A)
    add_crawl(store, "bb", B)
    return store
