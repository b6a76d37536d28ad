"""Stage `settled`: which of the images there are now people's verdicts speak for, and what they say of them.

A verdict is on a picture, and says of what class it is, or only of what class it is not. It speaks for the image that
was looked at, as long as that has the same bytes, and for every other usable training image of just these bytes: one
that is listed with the class found is right, one that is listed with another is wrong and of that class. What was said
of the image itself goes before what was said of another one, and of such the latest that says anything of the label.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.policy.decision import NO_CLASS
from pipeline.records import SETTLED
from pipeline.stages.classes import ClassOrder
from pipeline.stages.crawl_order import read_population
from pipeline.stages.population import TRAIN, check_one_catalogue
from pipeline.stages.verdicts import current_verdicts
from pipeline.storage.arrays import blocks
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import iterate_table, part_path, read_table, write_table

STAGE: Final = "settled"
CODE_VERSION: Final = "1"


def make_settled(store: Store, crawls: Sequence[str]) -> Artifact:
    """Find the images that the verdicts of the store speak for; without any it is an empty table.

    Facts: images (settled), right, wrong, verdicts (told to the store), used (of these, that speak for an image),
    digest (of the table: what is made from it is made again only where that changes).

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    told = current_verdicts(store)

    def build(draft: Draft) -> Facts:
        verdicts = read_table(told.table("verdicts")).to_pylist() if told is not None else []
        rows = _settle(verdicts, listings, images) if verdicts else []
        path = part_path(draft.table("settled"), 0)
        table = pa.Table.from_pylist(rows, schema=SETTLED)
        draft.finish(0, {path: write_table(path, SETTLED, [table])})
        right, used = sum(row["right"] for row in rows), len({row["told_on"] for row in rows})
        found = {"images": len(rows), "right": right, "wrong": len(rows) - right}
        return {**found, "verdicts": len(verdicts), "used": used, "digest": identity(STAGE, CODE_VERSION, rows, [])}

    inputs = inputs_of([*listings, *images, *([told] if told is not None else [])])
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, {}, inputs), build)


@dataclass(frozen=True)
class Settled:
    """The m images that people's verdicts speak for, by their place among t usable training images."""

    rows: npt.NDArray[np.int64]  # (m,) ascending
    found: npt.NDArray[np.int32]  # (m,) the class it is of, its label where that is right; NO_CLASS: not of its label

    @classmethod
    def read(cls, artifact: Artifact | None, order: ClassOrder) -> Self:
        """Those of a `settled` that an order holds; None settles nothing."""
        if artifact is None:
            return cls(np.empty(0, np.int64), np.empty(0, np.int32))
        table = read_table(artifact.table("settled"), ("image_id", "class_index"))
        image_id, found = table["image_id"].to_numpy(), table["class_index"].fill_null(NO_CLASS).to_numpy()
        by = np.argsort(image_id)
        rows, at = rows_of(image_id[by], order)
        return cls(rows, found[by][at])

    def within(self, rows: slice) -> npt.NDArray[np.int32]:
        """The class found of each image of a run of rows; NO_CLASS also where nobody looked."""
        found = np.full(rows.stop - rows.start, NO_CLASS, np.int32)
        first, last = np.searchsorted(self.rows, (rows.start, rows.stop))
        found[self.rows[first:last] - rows.start] = self.found[first:last]
        return found


def rows_of(image_id: npt.NDArray[np.int64], order: ClassOrder) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of an order that hold one of some ids, ascending, and which id each is. `image_id` (m,) ascends."""
    rows, which = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for block in blocks(len(order)) if len(image_id) else ():
        own = order.image_id[block]
        at = np.searchsorted(image_id, own).clip(max=len(image_id) - 1)
        here = np.flatnonzero(image_id[at] == own)
        rows.append(here + block.start)
        which.append(at[here])
    return np.concatenate(rows), np.concatenate(which)


@dataclass(frozen=True)
class _Hits:
    """The h usable training images whose bytes somebody looked at."""

    image_id: npt.NDArray[np.int64]  # (h,)
    label: npt.NDArray[np.int32]  # (h,)
    of: Mapping[str, npt.NDArray[np.int64]]  # sha256 -> positions among the h


def _settle(
    verdicts: Sequence[Mapping[str, Any]], listings: Sequence[Artifact], images: Sequence[Artifact]
) -> list[dict[str, Any]]:
    """Rows of SETTLED, by image_id; `verdicts` are rows of VERDICTS, the latest last."""
    check_one_catalogue(listings)
    wnids = read_table(listings[0].table("classes"), ("wnid",))["wnid"].to_pylist()
    number = {wnid: k for k, wnid in enumerate(wnids)}
    hits = _find(sorted({row["sha256"] for row in verdicts}), listings, images)
    h = len(hits.image_id)
    by, found, right = np.full(h, -1), np.full(h, NO_CLASS, np.int32), np.zeros(h, np.bool_)

    def speak(verdict: int, rows: npt.NDArray[np.int64]) -> None:
        told = verdicts[verdict]
        is_of = told["wnid"] if told["right"] else told["found_wnid"]
        if is_of in number:
            by[rows], found[rows], right[rows] = verdict, number[is_of], hits.label[rows] == number[is_of]
        own = rows[hits.label[rows] == number.get(told["wnid"], NO_CLASS)]
        if not told["right"]:  # if only because the class it is of instead has gone from the catalogue
            by[own], right[own] = verdict, False
            found[own] = number.get(told["found_wnid"], NO_CLASS)

    for verdict, told in enumerate(verdicts):
        speak(verdict, hits.of.get(told["sha256"], np.empty(0, np.int64)))
    place = {image: k for k, image in enumerate(hits.image_id.tolist())}
    for verdict, told in enumerate(verdicts):
        own = place.get(told["image_id"])
        if own is not None and own in hits.of.get(told["sha256"], ()):
            speak(verdict, np.array([own]))
    return [
        {
            "image_id": int(hits.image_id[k]),
            "right": bool(right[k]),
            "class_index": int(found[k]) if found[k] != NO_CLASS else None,
            "told_on": verdicts[by[k]]["image_id"],
        }
        for k in np.argsort(hits.image_id).tolist()
        if by[k] >= 0
    ]


def _find(digests: Sequence[str], listings: Sequence[Artifact], images: Sequence[Artifact]) -> _Hits:
    population = read_population(listings, images)
    wanted, start, parts = pa.array(digests, pa.string()), 0, []
    for batch in _batches(images):
        code = pc.index_in(batch["sha256"], wanted).fill_null(-1).to_numpy()
        split = population.split[start : start + len(code)]
        here = np.flatnonzero((code >= 0) & (split == TRAIN))
        parts.append((here + start, code[here]))
        start += len(code)
    at = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in parts)])
    code = np.concatenate([np.empty(0, np.int64), *(codes for _, codes in parts)])
    order = np.argsort(code, kind="stable")
    ends = np.searchsorted(code[order], np.arange(len(digests) + 1))
    of = {digest: order[ends[k] : ends[k + 1]] for k, digest in enumerate(digests)}
    return _Hits(population.image_id[at], population.class_index[at], of)


def _batches(images: Sequence[Artifact]) -> Iterator[pa.RecordBatch]:
    for artifact in images:
        yield from iterate_table(artifact.table("images"), ("sha256",))
