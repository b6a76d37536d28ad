"""The images to ask for as a table, as CSV to fill in, and as a page: what is told of each, and how it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.export.spreadsheet import cell, publish_csv
from pipeline.policy.review import Candidates
from pipeline.policy.words import about, coarse
from pipeline.records import REVIEW
from pipeline.report.render import render_review
from pipeline.report.review_page import Asked, ClassOption, ReviewPage
from pipeline.report.sheets import Pixels, SheetSettings, contact_sheet, data_uri
from pipeline.stages.classes import ClassOrder
from pipeline.storage.artifacts import Artifact
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.draft import Draft
from pipeline.storage.rows import take_rows
from pipeline.storage.tables import part_path, read_table, write_table

PAGE: Final = "index.html"
SHEET: Final = "review.csv"
#: What a person is shown in the CSV, in this order; the last is to be filled in.
COLUMNS: Final = (
    *("place", "image_id", "class_name", "suggested_name", "title", "query", "right_probability", "weight", "reason"),
    *("crawl", "path", "verdict"),
)
_PICTURE: Final = SheetSettings(size=256, quality=85)
_LISTED: Final = ("image_id", "crawl", "path", "title", "query_id", "class_index")


@dataclass(frozen=True)
class ReviewHead:
    """What stands over the list."""

    recipe: str
    identity: str  # of the list
    options: tuple[ClassOption, ...]


def class_options(listings: Sequence[Artifact]) -> tuple[ClassOption, ...]:
    """The classes of the catalogue, which crawls share, in order of class_index."""
    rows = read_table(listings[0].table("classes"), ("wnid", "lemmas")).to_pylist()
    return tuple(ClassOption(row["wnid"], (row["lemmas"] or [row["wnid"]])[0]) for row in rows)


def review_table(
    order: ClassOrder,
    listings: Sequence[Artifact],
    judged: tuple[Artifact, Artifact],
    chosen: Candidates,
    change: npt.NDArray[np.float64],
) -> pa.Table:
    """REVIEW of the images chosen.

    Args:
        order: of the evidence tables.
        listings: of the crawls.
        judged: `evidence-fused` and the manifest.
        chosen: m images, by their rows in the order.
        change: (m,) expected of each.
    """
    if not len(chosen.row):
        return REVIEW.empty_table()
    members, names = order.members[chosen.row], pa.array([one.name for one in class_options(listings)])
    fused = take_rows(judged[0].table("evidence"), chosen.row, ("right_probability", "fused_class"))
    weighed = take_rows(judged[1].table("manifest"), members, ("weight", "repeats"))
    listed = _listed(listings, members)
    label, other = listed["class_index"].combine_chunks(), fused["fused_class"].combine_chunks()
    suggested = pc.if_else(pc.equal(other, label), pa.scalar(None, pa.int32()), other)
    columns: dict[str, Any] = {
        **{name: listed[name] for name in ("image_id", "crawl", "path", "title", "query", "class_index")},
        "place": np.arange(1, len(label) + 1, dtype=np.int32),
        "class_name": names.take(label),
        "suggested_class": suggested,
        "suggested_name": names.take(suggested),
        "right_probability": fused["right_probability"],
        "weight": (weighed["weight"].to_numpy() * weighed["repeats"].to_numpy()).astype(np.float32),
        "change": change,
        "reason": _reasons(chosen, fused["right_probability"].to_numpy()),
    }
    return pa.table({name: columns[name] for name in REVIEW.names}, schema=REVIEW)


def publish_review(draft: Draft, table: pa.Table, pictures: Pixels, head: ReviewHead) -> None:
    """Write the three forms of the list.

    Args:
        draft: of the artifact.
        table: REVIEW.
        pictures: uint8 (m, H, W, 3) of its images.
        head: what stands over it.
    """
    part, page, sheet = part_path(draft.table("review"), 0), draft.folder / PAGE, draft.folder / SHEET
    rows = write_table(part, REVIEW, [table])
    cells = {name: table[name] for name in COLUMNS[:-1]}
    publish_csv(sheet, iter([{**cells, COLUMNS[-1]: pa.nulls(rows, pa.string())}]))
    lines = pc.binary_join_element_wise(*(cell(name, column) for name, column in cells.items()), ",")
    uris = (data_uri(contact_sheet(one[None], 1, _PICTURE), "image/jpeg") for one in pictures)
    asked = [Asked(row, line, uri) for row, line, uri in zip(table.to_pylist(), lines.to_pylist(), uris, strict=True)]
    header = ",".join(f'"{name}"' for name in COLUMNS)
    publish_bytes(page, render_review(ReviewPage(head.recipe, head.identity, head.options, header, tuple(asked))))
    draft.finish(0, {part: rows, page: rows, sheet: rows})


def _listed(listings: Sequence[Artifact], members: npt.NDArray[np.int64]) -> pa.Table:
    """What the listings say of some images, given their positions in the population, with each one's query."""
    first, parts, places = 0, [], []
    for listing in listings:
        last = first + listing.facts["listed"]
        own = np.flatnonzero((members >= first) & (members < last))
        if len(own):
            told = take_rows(listing.table("listing"), members[own] - first, _LISTED)
            parts.append(told.append_column("query", _query_texts(listing, told["query_id"])))
            places.append(own)
        first = last
    return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(places))))


def _query_texts(listing: Artifact, query_id: pa.ChunkedArray) -> pa.Array:
    told = read_table(listing.table("queries"), ("query_id", "text"))
    at = pc.index_in(query_id, told["query_id"].combine_chunks())
    return told["text"].combine_chunks().take(at.combine_chunks())


def _reasons(chosen: Candidates, right: npt.NDArray[np.float32]) -> list[str]:
    """Why each is asked, in words."""
    images = coarse(chosen.images).tolist()
    several = (chosen.stake > 0).tolist()
    percent = np.rint(100 * right).astype(int).tolist()
    told = zip(images, several, percent, chosen.asked.tolist(), strict=True)
    return [
        f"one of {about(n)} results of its query, {asked} of which are asked before it"
        if moves
        else f"its label is {p}% likely right: a verdict settles what it counts"
        for n, moves, p, asked in told
    ]
