"""Stage `withdrawn`: pictures that somebody asked to be taken out, by whom and why. Told, not computed.

A withdrawal is of a picture: of the image named and of every image of just its bytes, in all crawls, now and later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import WITHDRAWN
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store, identity
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import exclusive
from pipeline.storage.rows import find_rows, take_rows
from pipeline.storage.spreadsheet import Line, read_lines
from pipeline.storage.tables import part_path, read_table, write_table

STAGE: Final = "withdrawn"
CODE_VERSION: Final = "1"
COLUMNS: Final = ("image_id", "crawl", "path", "sha256", "why")
Row = dict[str, Any]


@dataclass(frozen=True)
class Withdrawn:
    """What is not to be kept of one crawl."""

    image_id: npt.NDArray[np.int64]  # of its images that are withdrawn, ascending
    sha256: pa.Array  # contents that are withdrawn, of whatever crawl

    @classmethod
    def of(cls, store: Store, crawl: str) -> Self:
        """Read what the store has been told."""
        rows = withdrawn_rows(store)
        own = sorted(row["image_id"] for row in rows if row["crawl"] == crawl)
        contents = sorted({row["sha256"] for row in rows if row["sha256"] is not None})
        return cls(np.array(own, np.int64), pa.array(contents, pa.string()))

    def inputs(self) -> list[str]:
        """For the identity of a crawl's images; nothing where none of them was withdrawn by name."""
        if not len(self.image_id):
            return []
        return [f"{STAGE}/{identity(STAGE, CODE_VERSION, self.image_id.tolist(), [])}"]

    def among(self, image_id: npt.NDArray[np.int64], sha256: pa.Array) -> npt.NDArray[np.bool_]:
        """Which of some images of the crawl are withdrawn; `sha256` is null where none is known."""
        by_content = pc.fill_null(pc.is_in(sha256, self.sha256), False).to_numpy(zero_copy_only=False)
        return np.asarray(np.isin(image_id, self.image_id) | (by_content & sha256.is_valid().to_numpy(False)))


@dataclass(frozen=True)
class Told:
    """What became of a file of withdrawals."""

    fresh: list[Row] = field(default_factory=list)  # rows that are new
    rejected: list[tuple[int, str]] = field(default_factory=list)  # line and reason


def withdrawn_rows(store: Store) -> list[Row]:
    """Everything that has been withdrawn, the latest last."""
    try:
        return list(read_table(Store(store.root).current(STAGE).table(STAGE)).to_pylist())
    except NotMadeError:
        return []


def take_withdrawals(store: Store, crawls: Sequence[str], file: Path, told_by: str) -> Told:
    """Record the withdrawals of a CSV or Parquet file.

    Columns: `image_id`, or `crawl` and `path`, or `sha256`; and `why`. A sha256 that no crawl holds is recorded for
    crawls to come; any other line that names no image is rejected, and the others are taken.

    Args:
        store: where listing and images of the crawls are current.
        crawls: whose images may be named.
        file: of the withdrawals.
        told_by: who asks for it.

    Raises:
        ValueError: the file as a whole is not readable.
        BusyError: another process is withdrawing images of this store.
    """
    lines = [line for line in read_lines(file, COLUMNS) if line.defect or any(line.cells.values())]
    with exclusive(store.root / "locks" / "withdrawn.taking.lock"):
        before = withdrawn_rows(store)
        known = {(row["image_id"], row["sha256"] if row["image_id"] is None else None) for row in before}
        told, now = Told(), datetime.now(UTC)
        by_line = _named(store, crawls, lines)
        for line in lines:
            rows = by_line.get(line.number, [])
            if not rows:
                told.rejected.append((line.number, line.defect or "it names no image of this store"))
            for row in rows:
                key = (row["image_id"], row["sha256"] if row["image_id"] is None else None)
                if key not in known:
                    known.add(key)
                    told.fresh.append({**row, "why": line.cells.get("why", ""), "told_by": told_by, "told": now})
        if told.fresh:
            _record(store, [*before, *told.fresh])
    return told


def _named(store: Store, crawls: Sequence[str], lines: Sequence[Line]) -> dict[int, list[Row]]:
    """The images each line withdraws, those of the same bytes too, by the line's number."""
    cells = {line.number: line.cells for line in lines if not line.defect}
    ids = {number: int(own["image_id"]) for number, own in cells.items() if _is_number(own["image_id"])}
    paths = {number: (own["crawl"], own["path"]) for number, own in cells.items() if own["crawl"] and own["path"]}
    contents = {number: own["sha256"].lower() for number, own in cells.items() if _is_sha256(own["sha256"])}
    images = [row for crawl in crawls for row in _found(store, crawl, ids.values(), paths.values(), ())]
    by_id, by_path = {row["image_id"]: row for row in images}, {(row["crawl"], row["path"]): row for row in images}
    found = {number: by_id.get(own) for number, own in ids.items()}
    found |= {number: by_path.get(own) for number, own in paths.items() if number not in ids}
    contents |= {number: row["sha256"] for number, row in found.items() if row is not None and row["sha256"]}
    same: dict[str, list[Row]] = {}
    for crawl in crawls if contents else ():
        for row in _found(store, crawl, (), (), contents.values()):
            same.setdefault(row["sha256"], []).append(row)
    nowhere: Row = {"image_id": None, "crawl": None, "path": None}
    named: dict[int, list[Row]] = {number: [row] for number, row in found.items() if row is not None}
    for number, content in contents.items():
        if found.get(number) is not None or (number not in ids and number not in paths):
            named[number] = same.get(content) or [{**nowhere, "sha256": content}]
    return named


def _found(store: Store, crawl: str, ids: Any, paths: Any, contents: Any) -> list[Row]:
    """Images of a crawl by id, by (crawl, path), or by content."""
    listing, images = store.current("listing", crawl).table("listing"), store.current("images", crawl).table("images")
    wanted = np.array(sorted(ids), np.int64)
    names = pa.array(sorted({path for own, path in paths if own == crawl}), pa.string())
    hashes = pa.array(sorted(set(contents)), pa.string())
    rows = np.zeros(0, np.int64)
    if len(wanted):
        rows = find_rows(listing, ("image_id",), lambda batch: np.isin(batch["image_id"].to_numpy(), wanted))
    if len(names):
        more = find_rows(listing, ("path",), lambda batch: pc.is_in(batch["path"], names).to_numpy(False))
        rows = np.union1d(rows, more)
    if len(hashes):
        more = find_rows(images, ("sha256",), lambda batch: pc.is_in(batch["sha256"], hashes).to_numpy(False))
        rows = np.union1d(rows, more)
    if not len(rows):
        return []
    told: list[Row] = take_rows(listing, rows, ("image_id", "crawl", "path")).to_pylist()
    decoded = take_rows(images, rows, ("sha256",))["sha256"].to_pylist()
    return [{**row, "sha256": sha256} for row, sha256 in zip(told, decoded, strict=True)]


def _record(store: Store, rows: Sequence[Row]) -> Artifact:
    def build(draft: Draft) -> Facts:
        path = part_path(draft.table(STAGE), 0)
        table = pa.Table.from_pylist(list(rows), schema=WITHDRAWN)
        draft.finish(0, {path: write_table(path, WITHDRAWN, [table])})
        return {"images": len(rows)}

    told = [{**row, "told": row["told"].isoformat()} for row in rows]
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, told, []), build)


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and -(2**63) <= int(text) < 2**63


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text.lower()) <= set("0123456789abcdef")
