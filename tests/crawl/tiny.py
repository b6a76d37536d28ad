"""Tiny crawls, written file by file, and what a reader makes of them."""

import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

from pipeline.crawl.detect import contents, detect
from pipeline.crawl.rows import Contents, Row
from pipeline.crawl.settings import CrawlSettings
from pipeline.crawl.spool import Spool

#: Two classes, two queries, two sources; five training pictures, two for validation.
WEBVISION = {
    "info/synsets.txt": "n01 tench, Tinca tinca\nn02 goldfish\n",
    "info/queries_google.txt": "1 tench\n2 gold fish\n",
    "info/queries_flickr.txt": "1 tench\n2 goldfish\n",
    "info/queries_synsets_map.txt": "1 1\n2 2\n",
    "info/train_filelist_google.txt": "google/q0001/a.jpg 0\ngoogle/q0001/b.jpg 0\ngoogle/q0002/c.jpg 1\n",
    "info/train_meta_list_google.txt": "google/q0001.json 1\ngoogle/q0001.json 3\ngoogle/q0002.json 1\n",
    "info/train_filelist_flickr.txt": "flickr/q0002/d.jpg 1\nflickr/q0002/e f.jpg 1\n",
    "info/train_meta_list_flickr.txt": "flickr/q0002.json 2\nflickr/q0002.json 1\n",
    "info/train_filelist_all.txt": "google/q0001/a.jpg 0\nflickr/q0002/d.jpg 1\n",
    "info/val_filelist.txt": "val1.jpg 1\nval2.jpg 0\n",
    "google/q0001.json": json.dumps([{"title": "A", "tags": "x, y z"}, {}, {"description": "B", "tags": ["t"]}]),
    "google/q0002.json": json.dumps([{"title": 7, "description": None, "tags": ["t", 3]}]),
    "flickr/q0002.json": json.dumps([{"title": "E", "tags": "two words"}, "no object"]),
    **{f"google/q000{q}/{name}.jpg": "picture" for q, name in ((1, "a"), (1, "b"), (2, "c"))},
    **{f"flickr/q0002/{name}.jpg": "picture" for name in ("d", "e f")},
    **{f"val_images_256/val{i}.jpg": "picture" for i in (1, 2)},
}


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """The files below `root`, which comes back."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def webvision(root: Path, changes: dict[str, str | bytes | None] | None = None) -> Path:
    """WEBVISION below `root`, some files changed or (None) left out."""
    told: dict[str, str | bytes | None] = {**WEBVISION, **(changes or {})}
    return write(root, {name: content for name, content in told.items() if content is not None})


def tar(members: list[tuple[str, bytes]], links: dict[str, str] | None = None) -> bytes:
    """An uncompressed tar of plain members, then symbolic links."""
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return stream.getvalue()


def read(address: Path | str, settings: CrawlSettings | None = None, spool: Path | None = None) -> Contents:
    """The contents at an address, texts not yet read; `spool` is the folder for bytes of tables."""
    settings = settings or CrawlSettings()
    found = detect(str(address), settings)
    with Spool(spool or Path(str(address)) / "spool") as open_spool:
        held = contents(found, settings, open_spool)
        texts, rows = list(held.texts), list(held.rows)
    return Contents(iter(rows), iter(texts), held.synsets, held.queries, held.odd, held.notes)


def rows(address: Path | str, **options: Any) -> list[Row]:
    """The rows at an address."""
    return list(read(address, **options).rows)
