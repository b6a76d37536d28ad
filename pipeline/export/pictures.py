"""Kept images with their bytes as they were delivered, in shards: what formats that carry pictures share.

The order is that of the image ids, which are hashes: a shuffle, so that a shard holds all classes.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.crawl.files import CrawlFiles, DefectError
from pipeline.export.source import ExportSource, Progress
from pipeline.export.spreadsheet import publish_csv
from pipeline.records import LOCATIONS, MANIFEST
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.parted import Parted
from pipeline.storage.tables import Steps

SHARD_IMAGES: Final = 10_000
SHARD_BYTES: Final = 256 * 2**20  # of pictures; a larger picture has a shard alone
READERS: Final = 16  # pictures asked for at a time: an object store answers slowly, a disk does not mind
HOPELESS: Final = 1000  # pictures that may fail before the first that can be read
_DECIDED: Final = ("path", "class_index", "weight", "repeats", "stage", "reason")
LEFT_OUT: Final = ("image_id", "crawl", "path", "why")  # columns of left_out.csv
PLACED: Final = pa.schema(
    [
        *(MANIFEST.field(name) for name in ("image_id", *_DECIDED)),
        pa.field("crawl", pa.int32()),  # number
        pa.field("sha256", pa.string()),
        *(LOCATIONS.field(name).with_nullable(True) for name in ("container", "offset", "size")),
    ]
)
_FORMATS: Final = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
    (b"BM", "bmp"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
)


@dataclass(frozen=True)
class Picture:
    """One kept image: what was decided of it, and its bytes, or why there are none."""

    row: dict[str, Any]  # of PLACED
    data: bytes
    missing: str = ""

    @property
    def key(self) -> str:
        """A name made of the image id alone: 16 hexadecimal digits."""
        return f"{self.row['image_id'] & (2**64 - 1):016x}"

    @property
    def suffix(self) -> str:
        """What its bytes, not its name, say it is."""
        return next(suffix for begin, suffix in (*_FORMATS, (b"", "img")) if self.data.startswith(begin))


def write_shards(
    draft: Draft,
    source: ExportSource,
    shard_path: Callable[[int], Path],
    write: Callable[[Path, Iterator[Picture]], int],
    on_progress: Progress,
) -> Facts:
    """Write all kept images that can be read, SHARD_IMAGES or SHARD_BYTES to a shard; the others in `left_out.csv`.

    Finished shards of an earlier attempt stand.

    Args:
        draft: of the export.
        source: what is exported.
        shard_path: where a shard lies, by its number.
        write: writes one shard whole or not at all, and gives the number of its pictures.
        on_progress: told how many images are done since it was last called.

    Raises:
        ValueError: none of the first pictures can be read.
    """
    done = _finished(draft)
    taken = sum(facts["images"] + len(facts["left_out"]) for facts in done)
    on_progress(taken)
    with Parted(PLACED, source.manifest.facts["kept"]) as order:
        for placed in _placed(source):
            order.add(placed)
        with closing(_read(source, _rows_after(order, taken))) as pictures:
            for number, part in groupby(_numbered(pictures, len(done)), itemgetter(0)):
                tally = _Tally(source, on_progress, first=number == 0)
                path = shard_path(number)
                images = write(path, tally.readable(picture for _, picture in part))
                draft.finish(number, {path: images}, {"images": images, "left_out": tally.left_out})
    done = _finished(draft)
    left_out = [told for facts in done for told in facts["left_out"]]
    if left_out:
        columns = {name: pa.array([told[name] for told in left_out]) for name in LEFT_OUT}
        publish_csv(draft.folder / "left_out.csv", [columns])
    images = sum(facts["images"] for facts in done)
    return {"images": images, "shards": len(done), "left_out": len(left_out), "notes": []}


@dataclass
class _Tally:
    """Passes on the pictures of a shard that can be read and takes down the others."""

    source: ExportSource
    on_progress: Progress
    first: bool  # shard of all
    left_out: list[dict[str, Any]] = field(default_factory=list)

    def readable(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """The pictures that have bytes."""
        hopeless = self.first
        for picture in pictures:
            self.on_progress(1)
            if not picture.missing:
                hopeless = False
                yield picture
                continue
            crawl = self.source.listings[picture.row["crawl"]].partition
            told = {"image_id": picture.row["image_id"], "crawl": crawl, "path": picture.row["path"]}
            self.left_out.append({**told, "why": picture.missing})
            if hopeless and len(self.left_out) >= HOPELESS:
                break
        if hopeless:
            raise ValueError(
                f"none of the first {len(self.left_out):,} pictures can be read ({self.left_out[-1]['why']}): "
                f"is the crawl {self.left_out[-1]['crawl']} still where it was?"
            )


def _finished(draft: Draft) -> list[Facts]:
    """Facts of the shards that an earlier attempt, or this one, finished."""
    found: list[Facts] = []
    while (facts := draft.finished(len(found))) is not None:
        found.append(facts)
    return found


def _numbered(pictures: Iterable[Picture], number: int) -> Iterator[tuple[int, Picture]]:
    """Each picture with the number of its shard, from `number` on."""
    images = size = 0
    for picture in pictures:
        if images and not picture.missing and (images == SHARD_IMAGES or size + len(picture.data) > SHARD_BYTES):
            number, images, size = number + 1, 0, 0
        images, size = images + (not picture.missing), size + len(picture.data)
        yield number, picture


def _placed(source: ExportSource) -> Iterator[pa.Table]:
    """PLACED of every kept image, in the manifest's order."""
    located: dict[int, Steps] = {}
    for crawl, rows in source.rows((*_DECIDED, "kept"), ("sha256",)):
        if crawl not in located:
            located[crawl] = Steps(source.listings[crawl].table("locations"), LOCATIONS)
        # Both are in one order, so the packed images among these rows are the first of the locations not yet taken.
        places = located[crawl].peek(len(rows))
        packed = np.isin(rows["image_id"].to_numpy(), places["image_id"].to_numpy())
        at = pa.array(np.cumsum(packed) - 1, mask=~packed)
        located[crawl].drop(int(packed.sum()))
        columns = {name: rows[name] for name in ("image_id", *_DECIDED, "sha256")}
        columns |= {name: places[name].take(at) for name in ("container", "offset", "size")}
        columns["crawl"] = pa.array(np.full(len(rows), crawl, np.int32))
        yield pa.table([columns[name] for name in PLACED.names], schema=PLACED).filter(rows["kept"])


def _rows_after(order: Parted, taken: int) -> Iterator[dict[str, Any]]:
    """The rows by ascending image id, without the first `taken`."""
    for part in order.parts():
        here = part.slice(min(taken, len(part)))
        taken -= len(part) - len(here)
        for batch in here.to_batches(max_chunksize=1000):
            yield from batch.to_pylist()


def _read(source: ExportSource, rows: Iterable[dict[str, Any]]) -> Generator[Picture, None, None]:
    """The pictures of some rows, in their order, a few of them read ahead."""
    files = source.files()
    waiting: deque[Future[Picture]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for row in rows:
            waiting.append(pool.submit(_fetch, files[row["crawl"]], row, source.max_bytes))
            if len(waiting) > READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _fetch(files: CrawlFiles, row: dict[str, Any], limit: int) -> Picture:
    """The bytes that were decoded, or why they are not to be had; a path is the crawl's, and never trusted."""
    try:
        data = files.read(row["container"] or row["path"], limit, row["offset"] or 0, row["size"])
    except DefectError as defect:
        return Picture(row, b"", defect.code)
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        return Picture(row, b"", "changed since it was decoded")
    return Picture(row, data)
