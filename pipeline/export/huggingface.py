"""A folder that `datasets.load_dataset` reads as it is: Parquet with pictures in it, and a card."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pipeline.export.pictures import Picture, write_shards
from pipeline.export.source import ExportSource, Progress
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import write_table

GROUP_ROWS: Final = 100  # pictures that a reader has to hold at a time

#: A row for each kept image.
COLUMNS: Final = pa.schema(
    [
        pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        pa.field("label", pa.int64()),  # the class it is trained on as
        pa.field("weight", pa.float32()),
        pa.field("repeats", pa.int32()),
        pa.field("stage", pa.int32()),
        pa.field("reason", pa.string()),
        pa.field("class_name", pa.string()),
        pa.field("crawl", pa.string()),
        pa.field("path", pa.string()),
        pa.field("image_id", pa.int64()),
    ]
)

_CARD: Final = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
---

# {recipe}

What the recipe `{recipe}` trains on: {images:,} images of {classes:,} classes, as they were delivered.

| column | what it says |
|---|---|
| `image` | the picture |
| `label`, `class_name` | the class it is trained on as |
| `weight` | what it counts in the loss; the mean over an epoch, repeats counted, is 1 |
| `repeats` | how often an epoch sees it |
| `stage` | from which stage of the curriculum on, from 0 |
| `reason` | why, in words |
| `crawl`, `path`, `image_id` | where it comes from |

Rows come in a fixed order that mixes the classes.
"""


def write_huggingface(draft: Draft, source: ExportSource, on_progress: Progress) -> Facts:
    """Kept images as delivered, with labels, weights and reasons; features are declared in the files themselves."""
    folder = draft.table("data")
    wnid, names = source.classes["wnid"].to_pylist(), source.classes["name"].to_pylist()
    crawls = [listing.partition for listing in source.listings]
    schema = COLUMNS.with_metadata({"huggingface": json.dumps({"info": {"features": _features(wnid)}})})

    def write(path: Path, pictures: Iterator[Picture]) -> int:
        def tables() -> Iterator[pa.Table]:
            while group := list(islice(pictures, GROUP_ROWS)):
                yield pa.Table.from_pylist([_row(picture, names, crawls) for picture in group], schema=schema)

        return write_table(path, schema, tables())

    facts = write_shards(draft, source, lambda number: folder / f"train-{number:05d}.parquet", write, on_progress)
    card = _CARD.format(recipe=source.recipe, images=facts["images"], classes=len(wnid))
    publish_bytes(draft.folder / "README.md", card.encode())
    return facts


def _row(picture: Picture, names: list[str], crawls: list[str]) -> dict[str, Any]:
    row = picture.row
    return {
        **row,
        "image": {"bytes": picture.data, "path": f"{picture.key}.{picture.suffix}"},
        "label": row["class_index"],
        "class_name": names[row["class_index"]],
        "crawl": crawls[row["crawl"]],
    }


def _features(wnid: list[str]) -> dict[str, Any]:
    """The columns as the library declares them; class names are the wnids, which are unique."""
    plain = {field.name: {"dtype": str(field.type), "_type": "Value"} for field in COLUMNS}
    # Arrow calls float32 `float`.
    plain["weight"]["dtype"] = "float32"
    return {**plain, "image": {"_type": "Image"}, "label": {"names": wnid, "_type": "ClassLabel"}}
