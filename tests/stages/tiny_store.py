"""A store with a few made-up images, published as the real stages publish them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.records import CLASSES, IMAGES, LISTING
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Draft, Facts, Store
from pipeline.storage.tables import write_table


@dataclass(frozen=True)
class Picture:
    """One listed image; `features` None means quarantined as broken."""

    class_index: int
    features: tuple[float, ...] | None
    split: str = "train"


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
            "rank": i + 1,
            "split": picture.split,
        }
        for i, (own, picture) in enumerate(zip(image_id, pictures, strict=True))
    ]
    catalogue = [{"class_index": i, "wnid": f"n{i}", "lemmas": [f"class {i}"]} for i in range(classes)]
    files: dict[Path, int] = {}
    for name, schema, told in (("listing", LISTING, rows), ("classes", CLASSES, catalogue)):
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
                    "shard": shard if good else None,
                    "row": row if good else None,
                }
            )
            row += good
        path = draft.table("images") / f"part-{shard:05d}.parquet"
        write_table(path, IMAGES, [pa.Table.from_pylist(rows, schema=IMAGES)])
        draft.finish(shard, {path: len(rows)})
    usable = sum(picture.features is not None for picture in pictures)
    return {"listed": len(pictures), "usable": usable, "quarantined": len(pictures) - usable}


def _features(draft: Draft, pictures: Sequence[Picture], shard_rows: int) -> Facts:
    for shard, start in enumerate(range(0, len(pictures), shard_rows)):
        rows = [picture.features for picture in pictures[start : start + shard_rows] if picture.features is not None]
        values = np.array(rows, np.float16).reshape(len(rows), 2)
        path = draft.table("features") / f"part-{shard:05d}.npy"
        with write_array(path, values.shape, np.float16) as out:
            out[:] = values
        draft.finish(shard, {path: len(rows)})
    return {}
