"""Pictures that belong to no crawl: files and folders a user names, read by the decoder that reads crawls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.workers import DecodePool, Results, Source

STEP: Final = 512  # pictures decoded at a time


@dataclass(frozen=True)
class Pictures:
    """Pictures below one folder or address."""

    files: CrawlFiles
    named: tuple[str, ...] | None  # paths inside; None: every file below it

    def paths(self) -> Iterator[str]:
        """Inside the folder, in a fixed order; hidden files are left out where nothing is named."""
        return iter(self.named) if self.named is not None else (entry.path for entry in self.files.walk())

    def shown(self, path: str) -> str:
        """A path as the user would write it."""
        root = self.files.local
        return f"{self.files.address.rstrip('/')}/{path}" if root is None else str(root / path)


def pictures_at(places: Sequence[str]) -> list[Pictures]:
    """What lies at some paths: all of a folder or an address like s3://bucket/prefix; files one by one.

    A file that is not there is kept: decoding it tells so.
    """
    found: list[Pictures] = []
    for place in places:
        if "://" in place or Path(place).is_dir():
            found.append(Pictures(CrawlFiles(place), None))
            continue
        folder, name = str(Path(place).parent), Path(place).name
        last = found[-1] if found else None
        if last is not None and last.named is not None and last.files.address == folder:
            found[-1] = Pictures(last.files, (*last.named, name))
        else:
            found.append(Pictures(CrawlFiles(folder), (name,)))
    return found


def count_pictures(places: Sequence[Pictures]) -> int:
    """How many files there are to be read; walks every folder once."""
    return sum(1 for place in places for _ in place.paths())


def read_pictures(
    places: Sequence[Pictures], settings: DecodeSettings, workers: int, step: int = STEP
) -> Iterator[tuple[list[str], Results]]:
    """Decode everything in the order told, some at a time; each file is pixels or a named defect.

    Args:
        places: where they lie. Nothing outside a folder is read, wherever a link in it leads.
        settings: as the network's own pictures were decoded.
        workers: decoding processes, at least 1.
        step: files decoded at a time; memory holds so many pictures.

    Yields:
        Paths as the user would write them, and what came of each; the pixels are overwritten by the next step.
    """
    for place in places:
        paths = place.paths()
        with DecodePool(place.files, settings, workers) as pool:
            while names := list(islice(paths, step)):
                yield [place.shown(name) for name in names], pool.decode([Source(name) for name in names])
