"""A store of made-up images that are nothing but their texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.evidence.vocabulary import ClassWords
from pipeline.records import CLASSES, IMAGES, LISTING
from pipeline.storage.artifacts import Store, identity
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table


@dataclass(frozen=True)
class Told:
    """One listed image and what is written around it; a training image that can be used, unless it says otherwise."""

    class_index: int
    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None
    split: str = "train"
    broken: bool = False


def add_texts(store: Store, crawl: str, classes: Sequence[ClassWords], told: Sequence[Told]) -> None:
    """Publish listing and images of a crawl; image ids are 100 * (length of the crawl's name) + position."""
    ids = [100 * len(crawl) + i for i in range(len(told))]
    own = identity("made up", "1", [repr(told), repr(classes)], [crawl])

    def listing(draft: Draft) -> Facts:
        rows = [
            {
                "image_id": i,
                "crawl": crawl,
                "path": f"{i}.jpg",
                "class_index": one.class_index,
                "title": one.title,
                "description": one.description,
                "tags": one.tags,
                "split": one.split,
            }
            for i, one in zip(ids, told, strict=True)
        ]
        catalogue = [
            {"class_index": i, "wnid": f"n{i}", "lemmas": one.lemmas, "gloss": one.gloss, "near": one.near}
            for i, one in enumerate(classes)
        ]
        files = {}
        for name, schema, held in (("listing", LISTING, rows), ("classes", CLASSES, catalogue)):
            path = part_path(draft.table(name), 0)
            files[path] = write_table(path, schema, [pa.Table.from_pylist(held, schema=schema)])
        draft.finish(0, files)
        return {"classes": len(classes)}

    def images(draft: Draft) -> Facts:
        rows = [
            {"image_id": i, "status": "quarantined", "reason": "broken"}
            if one.broken
            else {"image_id": i, "status": "usable", "shard": 0, "row": row}
            for row, (i, one) in enumerate(zip(ids, told, strict=True))
        ]
        path = part_path(draft.table("images"), 0)
        draft.finish(0, {path: write_table(path, IMAGES, [pa.Table.from_pylist(rows, schema=IMAGES)])})
        return {}

    store.make("listing", crawl, own, listing)
    store.make("images", crawl, own, images)
