"""Whether a crawl is still the same: one hash over everything a listing depends on."""

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from pipeline.crawl.detect import SHARD_SUFFIXES, TABLE_SUFFIXES, Found
from pipeline.crawl.files import CrawlFiles, DefectError, Entry

MARKER: Final = "_SUCCESS"  # says that a delivery is complete; no part of it
#: Files that are read for what they say: their bytes count. Of every other file the path and the size count.
READ_SUFFIXES: Final = frozenset({".txt", ".tsv", ".json", ".cls", *TABLE_SUFFIXES, *SHARD_SUFFIXES})


def crawl_digest(found: Found, pictures_in_files: bool) -> str:
    """sha256 (hexadecimal) over paths, sizes and the content of lists and metadata; no times, no address.

    An object store's own mark of a file's content stands for its bytes, so that nothing is fetched.

    Args:
        found: the crawl.
        pictures_in_files: False: the tables or shards hold everything, and nothing beside them is looked at.
    """
    total = hashlib.sha256(found.layout.encode())
    for entry in found.files.walk() if pictures_in_files else _packed(found):
        if entry.path == MARKER:
            continue
        told = (entry.path, str(entry.size), _content(found.files, entry))
        total.update("\0".join(told).encode("utf-8", "surrogateescape") + b"\n")
    return total.hexdigest()


def _packed(found: Found) -> Iterator[Entry]:
    for folder in sorted({path.rpartition("/")[0] for path in found.packed}):
        yield from (entry for entry in found.files.entries(folder) if entry.path in found.packed)


def _content(files: CrawlFiles, entry: Entry) -> str:
    if entry.mark is not None:
        return entry.mark
    if PurePosixPath(entry.path).suffix.lower() not in READ_SUFFIXES:
        return ""
    try:
        with files.open(entry.path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    except DefectError as defect:  # the reader will say so, or does not need it
        return str(defect)
