"""Stage `verdicts`: what people said of images. It is told, not computed: no run makes it and none forgets it.

Every version is kept as an artifact; a new verdict on an image takes the place of the one before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.export.spreadsheet import publish_csv
from pipeline.records import VERDICTS
from pipeline.stages.verdict_words import ClassNames, Verdict, VerdictError
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store, identity
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import exclusive
from pipeline.storage.rows import find_rows, take_rows
from pipeline.storage.spreadsheet import Line, read_lines
from pipeline.storage.tables import part_path, read_table, write_table

STAGE: Final = "verdicts"
CODE_VERSION: Final = "1"
COLUMNS: Final = ("image_id", "crawl", "path", "verdict")
_SHOWN: Final = 80  # characters of a cell that are quoted


@dataclass(frozen=True)
class Rejected:
    """A line that was not taken, and what to do about it."""

    line: Line
    reason: str


@dataclass(frozen=True)
class Taken:
    """What became of a file of verdicts."""

    artifact: Artifact
    images: int  # that the file gave a verdict on
    fresh: int  # of these, that had none before, or another one
    unanswered: int  # lines without a verdict
    rejected: list[Rejected]
    rejects: Path  # CSV of the rejected lines; there only where there are any


def take_verdicts(store: Store, crawls: Sequence[str], file: Path) -> Taken:
    """Take the verdicts of a CSV or Parquet file into the store.

    Columns, in any order and among any others: `image_id` (or `crawl` and `path`) and `verdict`: right, wrong, or the
    class it is of instead, by wnid, name or class_index. A line that cannot be taken is data: it is counted and
    written out with the reason, and the rest is taken. Several lines on one image must say the same.

    Args:
        store: where listing and images of the crawls are current.
        crawls: whose images verdicts may be on.
        file: of the verdicts.

    Raises:
        ValueError: the file as a whole is not readable, or has no column of verdicts or of images.
        OSError: it cannot be opened.
        BusyError: another process is taking verdicts into this store.
    """
    lines = [line for line in read_lines(file, COLUMNS) if line.defect or any(line.cells.values())]
    _check_columns(file, lines)
    answers = [line for line in lines if line.defect or line.cells["verdict"]]
    shelf = _Shelf.of(store, crawls, answers)
    found, rejected = _sorted_out(answers, shelf)
    rejects = store.root / "rejected-verdicts.csv"
    with exclusive(store.root / "locks" / "verdicts.taking.lock"):
        artifact, fresh = _merge(store, found)
    _write_rejects(rejects, rejected)
    return Taken(artifact, len(found), fresh, len(lines) - len(answers), rejected, rejects)


def current_verdicts(store: Store) -> Artifact | None:
    """What has been told to the store, or None."""
    try:
        return store.current(STAGE)
    except NotMadeError:
        return None


def _check_columns(file: Path, lines: Sequence[Line]) -> None:
    """Refuse a file in which no line names an image, or none could have a verdict."""
    cells = [line.cells for line in lines if not line.defect]
    if cells and not any(own["image_id"] or (own["crawl"] and own["path"]) for own in cells):
        raise ValueError(f"{file}: no column image_id, and none of crawl and path: every line needs to name its image")
    if cells and not any(own["verdict"] for own in cells):
        raise ValueError(f"{file}: no verdict in it: fill in the column verdict with right, wrong or a class")


@dataclass(frozen=True)
class _Shelf:
    """The listed images that the lines of a file are about."""

    by_id: Mapping[int, Mapping[str, Any]]
    by_path: Mapping[tuple[str, str], Mapping[str, Any]]
    names: ClassNames

    @classmethod
    def of(cls, store: Store, crawls: Sequence[str], lines: Iterable[Line]) -> "_Shelf":
        """Look them up: a pass over the ids of all crawls, and one over the paths where a line has no id."""
        cells = [line.cells for line in lines if not line.defect]
        ids = np.unique(np.array([own for own in map(_id_of, cells) if own is not None], np.int64))
        paths = {(own["crawl"], own["path"]) for own in cells if not own["image_id"]}
        rows: list[dict[str, Any]] = []
        for crawl in crawls:
            rows += _listed(store, crawl, ids, sorted(path for where, path in paths if where == crawl))
        catalogue = read_table(store.current("listing", crawls[0]).table("classes"), ("wnid", "lemmas")).to_pylist()
        by_path = {(row["crawl"], row["path"].strip()): row for row in rows}
        return cls({row["image_id"]: row for row in rows}, by_path, ClassNames.of(catalogue))

    def image(self, cells: Mapping[str, str]) -> Mapping[str, Any]:
        """The image of a line; one that can be trained on."""
        row = self._named(cells)
        if row["split"] != "train":
            raise VerdictError(f"an image of {row['split']}: verdicts are on training images")
        if row["status"] != "usable":
            raise VerdictError(f"an image that cannot be used ({row['reason']}): there is nothing to look at")
        return row

    def _named(self, cells: Mapping[str, str]) -> Mapping[str, Any]:
        told, where = cells["image_id"], (cells["crawl"], cells["path"])
        if not told:
            if not all(where):
                raise VerdictError("no image_id, and no crawl and path instead: give one of them")
            if where not in self.by_path:
                raise VerdictError("the crawls of this store list no such path: give crawl and path as `listing` does")
            return self.by_path[where]
        image = _id_of(cells)
        if image is None:
            raise VerdictError(
                f"image_id {told[:_SHOWN]!r} is no whole number: a spreadsheet rounds long ones, so keep the column as "
                "text, or leave it empty and give crawl and path"
            )
        row = self.by_id.get(image)
        if row is None:
            raise VerdictError("the crawls of this store list no such image_id: it is of another store, or rounded")
        if where[1] and (where[0], _plain(where[1])) != (row["crawl"], _plain(row["path"])):
            raise VerdictError("its image_id and its crawl and path name two images: columns have slipped; leave one")
        return row


def _listed(store: Store, crawl: str, ids: npt.NDArray[np.int64], paths: Sequence[str]) -> list[dict[str, Any]]:
    """What the tables of a crawl say of some images of it."""
    listing, images = store.current("listing", crawl).table("listing"), store.current("images", crawl).table("images")
    rows = find_rows(listing, ("image_id",), lambda batch: np.isin(batch["image_id"].to_numpy(), ids))
    if paths:
        wanted = pa.array(paths, pa.string())
        more = find_rows(listing, ("path",), lambda batch: pc.is_in(batch["path"], wanted).to_numpy(False))
        rows = np.union1d(rows, more)
    if not len(rows):
        return []
    told = take_rows(listing, rows, ("image_id", "crawl", "path", "class_index", "split"))
    seen = take_rows(images, rows, ("image_id", "status", "reason", "sha256"))
    if not told["image_id"].equals(seen["image_id"]):
        raise ValueError(f"images of {crawl} do not belong to its listing: make them again with `winnow run`")
    both = zip(told.to_pylist(), seen.to_pylist(), strict=True)
    return [own | decoded for own, decoded in both]


def _sorted_out(lines: Sequence[Line], shelf: _Shelf) -> tuple[dict[int, dict[str, Any]], list[Rejected]]:
    """Rows of VERDICTS by image, and the lines that give none."""
    told: dict[int, list[tuple[Line, Verdict]]] = {}
    rejected = []
    for line in lines:
        try:
            if line.defect:
                raise VerdictError(line.defect)
            row = shelf.image(line.cells)
            verdict = shelf.names.verdict(line.cells["verdict"], row["class_index"])
        except VerdictError as error:
            rejected.append(Rejected(line, str(error)))
        else:
            told.setdefault(row["image_id"], []).append((line, verdict))
    found = {}
    for image, said in told.items():
        if len({verdict for _, verdict in said}) > 1:
            where = ", ".join(str(line.number) for line, _ in said[:5])
            rejected += [
                Rejected(line, f"lines {where} say different things of one image: keep one") for line, _ in said
            ]
        else:
            found[image] = _row(shelf.by_id[image], said[0][1], shelf.names)
    return found, sorted(rejected, key=lambda one: one.line.number)


def _row(image: Mapping[str, Any], verdict: Verdict, names: ClassNames) -> dict[str, Any]:
    own = {name: image[name] for name in ("image_id", "crawl", "path", "sha256")}
    found = None if verdict.class_index is None else names.wnids[verdict.class_index]
    return {**own, "wnid": names.wnids[image["class_index"]], "right": verdict.right, "found_wnid": found}


def _merge(store: Store, found: Mapping[int, dict[str, Any]]) -> tuple[Artifact, int]:
    """The verdicts so far with the new ones after them; what says nothing new stays where it was."""
    before = current_verdicts(store)
    rows = {row["image_id"]: row for row in read_table(before.table("verdicts")).to_pylist()} if before else {}
    fresh = {image: row for image, row in found.items() if rows.get(image) != row}
    merged = [row for image, row in rows.items() if image not in fresh] + list(fresh.values())

    def build(draft: Draft) -> Facts:
        table = pa.Table.from_pylist(merged, schema=VERDICTS)
        # Twice, for no run makes it again: `winnow verify --repair` restores the one from the other.
        paths = [part_path(draft.table(name), 0) for name in ("verdicts", "copy")]
        draft.finish(0, {path: write_table(path, VERDICTS, [table]) for path in paths})
        return {"images": len(merged), "right": sum(row["right"] for row in merged)}

    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, merged, []), build), len(fresh)


def _write_rejects(path: Path, rejected: Sequence[Rejected]) -> None:
    """Rejected lines as a file that can be mended and given again; none is left of an earlier call."""
    if not rejected:
        path.unlink(missing_ok=True)
        return
    cells = {name: pa.array([one.line.cells.get(name, "") for one in rejected]) for name in COLUMNS}
    lines, reasons = [one.line.number for one in rejected], [one.reason for one in rejected]
    publish_csv(path, iter([{**cells, "line": pa.array(lines), "reason": pa.array(reasons)}]))


def _id_of(cells: Mapping[str, str]) -> int | None:
    digits = cells["image_id"].removeprefix("'")  # which keeps a spreadsheet from rounding it
    body = digits.removeprefix("-")
    if not (body.isascii() and body.isdigit() and len(body) <= 19):
        return None
    return int(digits) if -(2**63) <= int(digits) < 2**63 else None


def _plain(text: str) -> str:
    """What is left of a text on its way through a spreadsheet: apostrophes may have been put before formulas."""
    return text.replace("\0", " ").replace("'", "").strip()
