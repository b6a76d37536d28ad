"""Which layout lies at an address, and what was found there in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fsspec

from pipeline.crawl import folders, table, webdataset, webvision
from pipeline.crawl.files import CrawlFiles, Entry
from pipeline.crawl.rows import SPLIT_NAMES, Contents, CrawlError
from pipeline.crawl.settings import LAYOUTS, CrawlSettings, Layout
from pipeline.crawl.spool import Spool
from pipeline.records import SPLITS

#: Compressed shards are found too, so that reading them tells the remedy.
SHARD_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
TABLE_SUFFIXES: Final = tuple(table.RECORDS)


@dataclass(frozen=True)
class Found:
    """A crawl's layout and where it lies."""

    layout: Layout
    files: CrawlFiles  # the folder that all its paths are relative to
    packed: tuple[str, ...] = ()  # its tables or shards; none for layouts of plain files


def detect(address: str, settings: CrawlSettings) -> Found:
    """The layout at an address: a folder (WebVision: also the one above), a table or a shard.

    Raises:
        CrawlError: there is nothing, or nothing that a known layout explains.
    """
    address = address.removeprefix("file://").rstrip("/") or "/"
    folder, _, name = address.rpartition("/")
    if _is_file(address):
        return _one_file(CrawlFiles(folder or ("/" if address.startswith("/") else ".")), name, settings, address)
    files = CrawlFiles(address)
    top = files.entries()
    if not top:
        raise CrawlError(
            address, "nothing there", "Give a folder, a table, a tar, or an address such as s3://bucket/crawl."
        )
    for layout in LAYOUTS if settings.layout == "auto" else (settings.layout,):
        if (found := _try(layout, files, top)) is not None:
            return found
    looked_for = "no known layout" if settings.layout == "auto" else f"not the layout {settings.layout}"
    raise CrawlError(
        address,
        f"{looked_for} in it",
        "Known are: info/ with WebVision's lists; a folder per class; .parquet, .csv, .jsonl; .tar shards.",
    )


def contents(found: Found, settings: CrawlSettings, spool: Spool) -> Contents:
    """Everything the crawl holds, read while its iterators run.

    Raises:
        CrawlError: as the layout's reader says.
    """
    match found.layout:
        case "webvision":
            return webvision.read(found.files)
        case "folders":
            return folders.read(found.files)
        case "table":
            return table.read(found.files, found.packed, settings.columns, spool)
        case "webdataset":
            return webdataset.read(found.files, found.packed, settings.columns)


def describe(facts: dict[str, Any]) -> str:
    """What a listing found, for people: several lines from the facts of `make_listing`."""
    splits = ", ".join(f"{facts['splits'][split]:,} {split}" for split in SPLITS)
    sources = ", ".join(f"{count:,} from {source}" for source, count in facts["sources"].items())
    odd = ", ".join(f"{count:,} {name}" for name, count in facts["odd_metadata"].items())
    told = [
        f"{facts['layout']} crawl: {facts['classes']:,} classes, {facts['queries']:,} queries, "
        f"{facts['listed']:,} pictures ({splits})",
        f"training pictures: {sources}" if sources else "",
        f"{facts['text_coverage']:.1%} of the training pictures have a title, description or tag",
        f"metadata of a wrong type, taken as unknown, or too long, cut: {odd}" if odd else "",
        *facts["notes"],
    ]
    return "\n".join(filter(None, told))


def _is_file(address: str) -> bool:
    if "://" not in address:
        return Path(address).is_file()
    filesystem, path = fsspec.core.url_to_fs(address)
    return bool(filesystem.isfile(path))


def _one_file(files: CrawlFiles, name: str, settings: CrawlSettings, address: str) -> Found:
    suffixes: dict[Layout, Sequence[str]] = {"table": TABLE_SUFFIXES, "webdataset": SHARD_SUFFIXES}
    for layout, known in suffixes.items():
        if settings.layout in ("auto", layout) and name.lower().endswith(tuple(known)):
            return Found(layout, files, (name,))
    raise CrawlError(
        address, "a file of an unknown kind", f"Known are {', '.join((*TABLE_SUFFIXES, *SHARD_SUFFIXES))}."
    )


def _try(layout: Layout, files: CrawlFiles, top: list[Entry]) -> Found | None:
    if layout == "webvision":
        return _webvision(files, top)
    if layout == "folders":
        return Found(layout, files) if folders.holds_pictures(files) else None
    below = [e.path for e in top if e.size is None and e.path.lower() in SPLIT_NAMES]
    suffixes = TABLE_SUFFIXES if layout == "table" else SHARD_SUFFIXES
    entries = [*top, *(entry for folder in below for entry in files.entries(folder))]
    packed = tuple(sorted(e.path for e in entries if e.size is not None and e.path.lower().endswith(suffixes)))
    return Found(layout, files, packed) if packed else None


def _webvision(files: CrawlFiles, top: list[Entry]) -> Found | None:
    if _has_info(files):
        return Found("webvision", files)
    below = [CrawlFiles(f"{files.address}/{entry.path}") for entry in top if entry.size is None]
    found = [inner for inner in below if _has_info(inner)]
    if len(found) > 1:
        names = ", ".join(inner.address for inner in found)
        raise CrawlError(files.address, f"several crawls in it: {names}", "Give the address of one.")
    return Found("webvision", found[0]) if found else None


def _has_info(files: CrawlFiles) -> bool:
    """Any of WebVision's lists will do: the reader says which one is missing."""
    names = [entry.path.removeprefix(f"{webvision.INFO}/") for entry in files.entries(webvision.INFO)]
    return any(name == "synsets.txt" or name.startswith("train_filelist_") for name in names)
