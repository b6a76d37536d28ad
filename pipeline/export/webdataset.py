"""WebDataset: tar shards in which `key.jpg`, `key.cls` and `key.json` make one sample. Equal input, equal bytes."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.export.lists import write_classes
from pipeline.export.pictures import Picture, write_shards
from pipeline.export.source import ExportSource, Progress
from pipeline.storage.atomic import atomic_file
from pipeline.storage.draft import Draft, Facts

_BUFFER: Final = 2**20  # bytes: reading threads wait while the tar is written
_TOLD: Final = ("image_id", "path", "class_index", "weight", "repeats", "stage", "reason")


def write_webdataset(draft: Draft, source: ExportSource, on_progress: Progress) -> Facts:
    """Kept images as delivered, named by their ids; weight, repeats, stage and reason in the JSON beside each."""
    write_classes(draft.folder / "classes.txt", source)
    names = source.classes["name"].to_pylist()
    crawls = [listing.partition for listing in source.listings]

    def write(path: Path, pictures: Iterator[Picture]) -> int:
        images = 0
        with (
            atomic_file(path) as temporary,
            temporary.open("wb", buffering=_BUFFER) as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for picture in pictures:
                told = {name: picture.row[name] for name in _TOLD}
                told |= {"crawl": crawls[picture.row["crawl"]], "class": names[picture.row["class_index"]]}
                _add(tar, f"{picture.key}.{picture.suffix}", picture.data)
                _add(tar, f"{picture.key}.cls", str(picture.row["class_index"]).encode())
                _add(tar, f"{picture.key}.json", json.dumps(told, sort_keys=True).encode())
                images += 1
        return images

    return write_shards(draft, source, lambda number: draft.folder / f"train-{number:05d}.tar", write, on_progress)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """One member without a time or an owner."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
