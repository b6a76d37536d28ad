"""Stage `listing`: one crawl, whatever its layout, as one ordered table with its classes and queries."""

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa

from pipeline.crawl.catalogue import class_table, named_by_labels, read_names, read_outside
from pipeline.crawl.detect import Found, contents, detect
from pipeline.crawl.digest import crawl_digest
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.ordering import Ordering
from pipeline.crawl.rows import Contents
from pipeline.crawl.settings import CrawlSettings
from pipeline.crawl.spool import Spool
from pipeline.records import CLASSES, LISTING, LOCATIONS, QUERIES, SPLITS
from pipeline.storage.artifacts import Artifact, Store, identity
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import write_table

CODE_VERSION: Final = "3"
#: Rows of one Parquet part: this many row groups.
PART_ROW_GROUPS: Final = 8

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Crawl:
    """One delivered crawl: what we call it, where it lies, how it is read."""

    name: str  # a slug; part of every image_id
    address: str  # local folder or file, or any fsspec address
    settings: CrawlSettings = field(default_factory=CrawlSettings)

    def __post_init__(self) -> None:
        """Check the name."""
        if not _SLUG.fullmatch(self.name):
            raise ValueError(f"name: {self.name!r} is not up to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter")


def crawl_name(address: str) -> str:
    """A name for the crawl at an address: its last part, made a slug."""
    last = PurePosixPath(address.rstrip("/")).name.lower()
    stem = re.sub(r"\.(parquet|csv|jsonl|tar)$", "", last)
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")[:64] or "crawl"


def make_listing(store: Store, crawl: Crawl, *, on_progress: Callable[[int], None] = lambda _: None) -> Artifact:
    """Read a crawl, or find what was read from the very same crawl before.

    Args:
        store: where the listing lies.
        crawl: what to read.
        on_progress: learns the number of pictures listed since it was last called.

    Raises:
        CrawlError: the crawl as a whole cannot be read; names file, line and remedy.
        BusyError: another process is reading it.
    """
    found, digest = content_of(store, crawl)
    told = dataclasses.replace(
        crawl.settings,
        layout=found.layout,
        definitions=_outside_digest(crawl.settings.definitions),
        lemmas=_outside_digest(crawl.settings.lemmas),
        near_words=_outside_digest(crawl.settings.near_words),
        catalogue=_outside_digest(crawl.settings.catalogue),
    )
    wanted = identity("listing", CODE_VERSION, told, [crawl.name, digest])
    return store.make("listing", crawl.name, wanted, lambda draft: _build(draft, crawl, found, on_progress))


def content_of(store: Store, crawl: Crawl) -> tuple[Found, str]:
    """What lies at a crawl's address, without the store itself should it lie inside, and the digest of its content.

    Raises:
        CrawlError: there is nothing that a known layout explains.
    """
    found = detect(crawl.address, crawl.settings)
    found = dataclasses.replace(found, files=dataclasses.replace(found.files, skip=_inside(found.files, store.root)))
    return found, crawl_digest(found, _pictures_in_files(found, crawl.settings))


def picture_files(listing: Artifact, crawl: Crawl) -> CrawlFiles:
    """What the listing's paths, or where it is packed its containers, are relative to."""
    if listing.facts["containers"] == "spool":
        return CrawlFiles(str(listing.table("spool")))
    return detect(crawl.address, crawl.settings).files


def _pictures_in_files(found: Found, settings: CrawlSettings) -> bool:
    return not found.packed or (found.layout == "table" and settings.columns.image is None)


def _containers(found: Found, settings: CrawlSettings) -> str | None:
    if _pictures_in_files(found, settings):
        return None
    return "spool" if found.layout == "table" else "crawl"


def _inside(files: CrawlFiles, root: Path) -> frozenset[str]:
    """The store's own path, should it lie inside the crawl."""
    if files.local is None or not root.resolve().is_relative_to(files.local.resolve()):
        return frozenset()
    return frozenset({root.resolve().relative_to(files.local.resolve()).as_posix()})


def _outside_digest(address: str | None) -> str | None:
    return None if address is None else hashlib.sha256(read_outside(address)).hexdigest()


def _build(draft: Draft, crawl: Crawl, found: Found, on_progress: Callable[[int], None]) -> Facts:
    finished = draft.finished(0)
    if finished is not None:
        return finished
    containers = _containers(found, crawl.settings)
    with Ordering(draft.folder / "scratch") as ordering:
        with Spool(draft.folder / "spool") as spool:
            held = contents(found, crawl.settings, spool)
            ordering.take(held, crawl.name, on_progress)
        synsets = named_by_labels(ordering.labels()) if held.synsets is None else held.synsets
        classes, index = class_table(synsets, read_names(found.files, crawl.settings))
        queries = ordering.name(index, _query_table(held, index))
        files = dict(spool.files)
        files |= _write_parts(draft.table("listing"), LISTING, ordering.listing(crawl.name))
        files |= _write_parts(draft.table("classes"), CLASSES, [classes])
        files |= _write_parts(draft.table("queries"), QUERIES, [queries])
        if containers is not None:
            files |= _write_parts(draft.table("locations"), LOCATIONS, ordering.locations())
        counts = ordering.counts()
    facts: Facts = {
        "layout": found.layout,
        "containers": containers,
        "classes": classes.num_rows,
        "queries": queries.num_rows,
        "odd_metadata": {name: count for name, count in sorted(held.odd.items()) if count},
        "notes": held.notes,
        **_census(counts),
    }
    draft.finish(0, files, facts)
    return facts


def _query_table(held: Contents, index: dict[str, int]) -> pa.Table | None:
    if held.queries is None:
        return None
    rows = sorted((query.query_id, index[query.label], query.text) for query in held.queries)
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table(
        [pa.array(values, kind.type) for values, kind in zip(columns, QUERIES, strict=True)], schema=QUERIES
    )


def _census(counts: list[tuple[str, str | None, int, int]]) -> Facts:
    splits: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    with_text = 0
    for split, source, pictures, texts in counts:
        splits[split] += pictures
        if split == "train":
            with_text += texts
            if source is not None:
                sources[source] += pictures
    return {
        "listed": splits.total(),
        "splits": {split: splits[split] for split in SPLITS},
        "sources": dict(sources),  # training pictures
        "text_coverage": with_text / splits["train"],
    }


def _write_parts(folder: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> dict[Path, int]:
    """Write a stream of tables as parts of PART_ROW_GROUPS tables each; gives path -> rows."""
    rows: dict[Path, int] = {}
    stream: Iterator[pa.Table] = iter(tables)
    for first in stream:
        path = folder / f"part-{len(rows):05d}.parquet"
        rows[path] = write_table(path, schema, chain([first], islice(stream, PART_ROW_GROUPS - 1)))
    return rows
