"""Deliveries: folders below a watched address, each a crawl, complete when its `_SUCCESS` marker is there.

What becomes of each is decided before any of it counts, and recorded in the table `deliveries`: it is told, like
verdicts, and no run makes it. A folder is looked at again when its files or its marker change.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pyarrow as pa

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.digest import MARKER
from pipeline.crawl.files import CrawlFiles, Entry
from pipeline.crawl.rows import CrawlError, NothingListedError
from pipeline.crawl.settings import CrawlSettings
from pipeline.engine import Workers
from pipeline.records import DELIVERIES
from pipeline.stages.images import make_images
from pipeline.stages.listing import Crawl, content_of, crawl_name, make_listing, picture_files
from pipeline.stages.population import check_one_catalogue
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store, identity
from pipeline.storage.aside import Aside, accept
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import exclusive
from pipeline.storage.tables import part_path, read_table, write_table

STAGE: Final = "deliveries"
CODE_VERSION: Final = "1"

Outcome = Literal[
    "new",  # taken: the first of its name
    "changed",  # taken in the place of what was delivered under its name before
    "repeated",  # not taken: what was delivered before, under this name or another
    "late",  # not taken: files changed after the marker was written; writing the marker again makes it count
    "shrunk",  # not taken: it lists fewer images than what was delivered under its name before
    "empty",  # not taken: no picture to train on
    "broken",  # not taken: not one of its pictures can be decoded
    "refused",  # not taken: it cannot be read, or has other classes than the store's crawls
]
Row = dict[str, Any]


@dataclass(frozen=True)
class Delivery:
    """A complete folder below a watched address."""

    folder: str  # its name there (untrusted)
    address: str
    content: str  # hash of all its files' names, sizes, times and marks, without the marker
    marker: str  # hash of the same of the marker
    files: int  # without the marker

    @property
    def crawl(self) -> str:
        """The crawl that it is a delivery of."""
        return crawl_name(self.folder)


def find_deliveries(address: str) -> list[Delivery]:
    """The complete deliveries below an address, by name. Folders without a marker are still being written.

    Names, sizes and times of all their files are read, no bytes.

    Args:
        address: a local folder or any fsspec address (`s3://bucket/prefix`).
    """
    top = CrawlFiles(address.rstrip("/"))
    found = []
    for entry in top.entries():
        if entry.size is not None:
            continue
        files = CrawlFiles(f"{top.address}/{entry.path}")
        marker = next((own for own in files.entries() if own.path == MARKER and own.size is not None), None)
        if marker is not None:
            content, count = _stamp(own for own in files.walk() if own.path != MARKER)
            found.append(Delivery(entry.path, files.address, content, _stamp([marker])[0], count))
    return found


def _stamp(entries: Iterable[Entry]) -> tuple[str, int]:
    total, count = hashlib.blake2b(digest_size=16), 0
    for entry in entries:
        told = "\0".join(map(str, (entry.path, entry.size, entry.modified, entry.mark)))
        total.update(told.encode("utf-8", "surrogateescape") + b"\n")
        count += 1
    return total.hexdigest(), count


def recorded_deliveries(store: Store) -> list[Row]:
    """What became of the deliveries looked at so far, the latest last."""
    try:
        return list(read_table(store.current(STAGE).table("deliveries")).to_pylist())
    except NotMadeError:
        return []


def due(store: Store, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Those of which it has not been decided what becomes of them as they are now."""
    judged = {(row["folder"], row["content"], row["marker"]) for row in recorded_deliveries(store)}
    return [one for one in deliveries if (one.folder, one.content, one.marker) not in judged]


@dataclass(frozen=True)
class Judge:
    """Decides what becomes of a delivery."""

    store: Store
    known: Mapping[str, Crawl]  # the store's crawls, by name
    crawl: CrawlSettings  # how it is read
    images: DecodeSettings
    workers: Workers
    on_taken: Callable[[Crawl], None]  # keeps it among the store's crawls, before it is recorded as taken
    on_progress: Callable[[int], None] = lambda _: None

    def judge(self, delivery: Delivery) -> Row:
        """Decide, and record it. What is taken has been listed and decoded: the graph finds both made and current.

        Raises:
            BusyError: another process is deciding on a delivery of this store.
        """
        with exclusive(self.store.root / "locks" / "deliveries.judging.lock"):
            rows = recorded_deliveries(self.store)
            row = dict.fromkeys(DELIVERIES.names) | self._decided(delivery, rows)
            row |= {"crawl": delivery.crawl, "folder": delivery.folder, "content": delivery.content}
            row |= {"marker": delivery.marker, "taken": row["outcome"] in {"new", "changed"}, "seen": datetime.now(UTC)}
            _record(self.store, [*rows, row])
        return row

    def _decided(self, delivery: Delivery, rows: Sequence[Row]) -> Row:
        own = [row for row in rows if row["crawl"] == delivery.crawl and row["taken"]]
        if own and own[-1]["folder"] != delivery.folder:
            told = f"the folder {own[-1]['folder']!r} gives its crawl the same name, {delivery.crawl!r}: rename one"
            return _outcome("refused", told)
        if own and own[-1]["marker"] == delivery.marker:
            return _outcome("late", f"files changed after {MARKER} was written: write it again to have them taken")
        if not delivery.files:
            return _outcome("empty", f"nothing lies beside {MARKER}")
        try:
            return self._read(Crawl(delivery.crawl, delivery.address, self.crawl), rows)
        except NothingListedError as error:
            return _outcome("empty", str(error))
        except (CrawlError, ValueError) as error:  # the crawl's fault, and so data
            return _outcome("refused", str(error))

    def _read(self, crawl: Crawl, rows: Sequence[Row]) -> Row:
        _, digest = content_of(self.store, crawl)
        same = [row for row in rows if row["digest"] == digest and row["taken"] and _stands(row, rows, self.known)]
        if same:
            return _outcome("repeated", f"the same content as what was delivered as {same[-1]['crawl']}", digest=digest)
        aside = Aside(self.store.root)
        listing = make_listing(aside, crawl)
        before = self._before(crawl.name)
        counts = {"digest": digest, "listed": listing.facts["listed"], "before": before}
        if before is not None and listing.facts["listed"] < before:
            told = f"{before - listing.facts['listed']:,} of {before:,} images are gone: `winnow run` on it takes it"
            return _outcome("shrunk", told, **counts)
        others = [self.store.current("listing", name) for name in sorted(self.known) if name != crawl.name]
        check_one_catalogue([listing, *others])
        files = picture_files(listing, crawl)
        images = make_images(aside, listing, files, self.images, workers=self.workers, on_progress=self.on_progress)
        counts["usable"] = images.facts["usable"]
        if not images.facts["usable"]:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(images.facts["reasons"].items()))
            return _outcome("broken", f"no picture of it can be used: {reasons}", **counts)
        for made in (listing, images):
            accept(self.store, made)
        self.on_taken(crawl)
        told = f"{counts['usable']:,} of {counts['listed']:,} images can be used"
        return _outcome("new" if before is None else "changed", told, **counts)

    def _before(self, name: str) -> int | None:
        if name not in self.known:
            return None
        listed: int = self.store.current("listing", name).facts["listed"]
        return listed


def _stands(row: Row, rows: Sequence[Row], known: Mapping[str, Crawl]) -> bool:
    """Whether what a row took is still what its crawl consists of."""
    return row["crawl"] in known and row is [own for own in rows if own["crawl"] == row["crawl"] and own["taken"]][-1]


def _outcome(outcome: Outcome, told: str, **counts: Any) -> Row:
    return {"outcome": outcome, "told": told, **counts}


def _record(store: Store, rows: Sequence[Row]) -> Artifact:
    def build(draft: Draft) -> Facts:
        path = part_path(draft.table("deliveries"), 0)
        table = pa.Table.from_pylist(list(rows), schema=DELIVERIES)
        draft.finish(0, {path: write_table(path, DELIVERIES, [table])})
        return {"deliveries": len(rows), "taken": sum(row["taken"] for row in rows)}

    told = [{**row, "seen": row["seen"].isoformat()} for row in rows]
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, told, []), build)
