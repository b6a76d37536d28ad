"""Stage `images`: every listed picture becomes a row of pixels or a row of quarantine.

What is withdrawn (`pipeline.stages.withdrawn`) is quarantined, whatever it is, and nothing of it is kept. Where a crawl
has been decoded before, taking images out needs no decoding: the others are taken over.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.worker import FIRST_DEFECT, ROW, USABLE
from pipeline.crawl.workers import DecodePool, Source
from pipeline.records import DEFECTS, IMAGES, LISTING, LOCATIONS
from pipeline.stages.withdrawn import Withdrawn
from pipeline.storage.arrays import open_array, write_array
from pipeline.storage.artifacts import Artifact, Draft, Facts, Store, identity, inputs_of
from pipeline.storage.pieces import latest
from pipeline.storage.tables import Steps, part_path, read_part, write_table

CODE_VERSION = "1"
_DETAIL = 200  # characters of what the decoder said
_COPIED_ROWS = 1024  # at a time, from the workers' scratch to the published file
_NOWHERE = Source("")  # of what is not to be read
_WITHDRAWN = np.array((FIRST_DEFECT + DEFECTS.index("withdrawn"), 0, 0, b"", 0, b""), ROW)
_REASONS = np.array([None, None, *DEFECTS], object)  # by a row's state


def make_images(
    store: Store,
    listing: Artifact,
    files: CrawlFiles,
    settings: DecodeSettings,
    *,
    workers: int,
    on_progress: Callable[[int], None] | None = None,
) -> Artifact:
    """Decode a listed crawl, resuming at the first unfinished shard; the result does not depend on `workers`.

    Facts: listed = usable + quarantined, reasons (defect -> images), image_size.

    Args:
        store: where the artifact lies.
        listing: the crawl's `listing` artifact.
        files: the crawl.
        settings: what is decoded, to which size and under which limits; `shard_mb` bounds a shard and the memory.
        workers: decoding processes, at least 1.
        on_progress: told how many images were done since it was last called, those of finished shards included.
    """
    withdrawn = Withdrawn.of(store, listing.partition)
    decoded = identity("images", CODE_VERSION, settings, inputs_of([listing]))
    inputs = [*inputs_of([listing]), *withdrawn.inputs()]
    wanted = identity("images", CODE_VERSION, settings, inputs)
    rows = max(1, settings.shard_mb * 2**20 // (settings.image_size**2 * 3))

    def build(draft: Draft) -> Facts:
        told = on_progress or (lambda _: None)
        marks = {"decoded": decoded} if wanted != decoded else {}
        earlier = _decoded_before(store, listing.partition, decoded)
        if earlier is not None:
            carry = partial(_carried, earlier)
            return _build(draft, _stretches(listing, rows), withdrawn, carry, told) | _size(settings) | marks
        spooled = listing.facts.get("containers") == "spool"
        containers = CrawlFiles(str(listing.table("spool"))) if spooled else files
        with DecodePool(files, settings, workers, containers=containers, scratch=draft.folder) as pool:

            def decode(_shard: int, sources: list[Source]) -> _Shard:
                found = pool.decode(sources, told)
                return _Shard(found.rows.copy(), found.pixels, np.arange(len(sources)))

            return _build(draft, _stretches(listing, rows), withdrawn, decode, told) | _size(settings) | marks

    return store.make("images", listing.partition, wanted, build)


@dataclass(frozen=True)
class _Shard:
    """What is known of n images, and where their pixels are read from."""

    rows: npt.NDArray[Any]  # (n,) of `worker.ROW`
    pixels: npt.NDArray[np.uint8]  # (m, S, S, 3)
    place: npt.NDArray[np.int64]  # (n,) of usable images: the row in `pixels`


def _size(settings: DecodeSettings) -> Facts:
    return {"image_size": settings.image_size}


def _build(
    draft: Draft,
    stretches: Iterator[tuple[pa.Array, list[Source]]],
    withdrawn: Withdrawn,
    read: Callable[[int, list[Source]], _Shard],
    on_progress: Callable[[int], None],
) -> Facts:
    total: Facts = {"listed": 0, "usable": 0}
    reasons: Counter[str] = Counter()
    for shard, (ids, sources) in enumerate(stretches):
        facts = draft.finished(shard)
        if facts is None:
            unread = set(np.flatnonzero(np.isin(ids.to_numpy(), withdrawn.image_id)).tolist())
            asked = [_NOWHERE if at in unread else source for at, source in enumerate(sources)] if unread else sources
            facts = _write_shard(draft, shard, ids, read(shard, asked), withdrawn)
        else:
            on_progress(len(sources))
        total = {name: total[name] + facts[name] for name in total}
        reasons.update(facts["reasons"])
    quarantined = sum(reasons.values())
    if total["listed"] != total["usable"] + quarantined:
        raise AssertionError(f"{total} and {quarantined} quarantined: an image went astray")
    return total | {"quarantined": quarantined, "reasons": dict(reasons)}


def _decoded_before(store: Store, crawl: str, decoded: str) -> Artifact | None:
    """The images of the same listing and settings, before some were withdrawn; None where there are none."""
    for found in latest(Store(store.root), "images", crawl):
        if decoded in {found.identity, found.facts.get("decoded")}:
            return found
    return None


def _carried(earlier: Artifact, shard: int, sources: list[Source]) -> _Shard:
    """A shard as it was decoded before."""
    table = read_part(part_path(earlier.table("images"), shard))
    if table.num_rows != len(sources):
        raise ValueError(f"{earlier.folder} is not of this listing")
    rows = np.zeros(len(sources), ROW)
    reason = pc.index_in(table["reason"], pa.array(DEFECTS))
    rows["state"] = pc.fill_null(pc.add(reason, FIRST_DEFECT), USABLE).to_numpy()
    for name in ("width", "height", "perceptual_hash"):
        rows[name] = pc.fill_null(table[name], 0).to_numpy()
    for name in ("sha256", "detail"):
        rows[name] = [text.encode() for text in pc.fill_null(table[name], "").to_pylist()]
    pixels = open_array(earlier.table("pixels") / f"part-{shard:05d}.npy")
    return _Shard(rows, pixels, pc.fill_null(table["row"], -1).to_numpy().astype(np.int64))


def _write_shard(draft: Draft, shard: int, ids: pa.Array, read: _Shard, withdrawn: Withdrawn) -> Facts:
    rows = read.rows
    sha256 = pa.array(rows["sha256"].astype(str).astype(object), pa.string(), mask=rows["state"] != USABLE)
    rows[withdrawn.among(ids.to_numpy(), sha256)] = _WITHDRAWN
    kept = read.place[rows["state"] == USABLE]
    pixels_path = draft.table("pixels") / f"part-{shard:05d}.npy"
    images_path = draft.table("images") / f"part-{shard:05d}.parquet"
    with write_array(pixels_path, (len(kept), *read.pixels.shape[1:]), np.uint8) as pixels:
        for at in range(0, len(kept), _COPIED_ROWS):
            pixels[at : at + _COPIED_ROWS] = read.pixels[kept[at : at + _COPIED_ROWS]]
    table = _table(shard, ids, rows)
    write_table(images_path, IMAGES, [table])
    reasons = Counter(table["reason"].drop_null().to_pylist())
    facts = {"listed": len(ids), "usable": len(kept), "reasons": dict(reasons)}
    draft.finish(shard, {pixels_path: len(kept), images_path: len(ids)}, facts)
    return facts


def _table(shard: int, ids: pa.Array, rows: npt.NDArray[Any]) -> pa.Table:
    bad = rows["state"] != USABLE
    details: npt.NDArray[np.object_] = np.full(len(rows), None, object)
    # Cut to bytes by the worker, perhaps within a character.
    details[bad] = [text.decode(errors="ignore")[:_DETAIL] for text in rows["detail"][bad].tolist()]
    columns = {
        "image_id": ids,
        "status": pa.array(np.where(bad, "quarantined", "usable")),
        "reason": pa.array(_REASONS[rows["state"]], pa.string()),
        "detail": pa.array(details, pa.string()),
        "width": pa.array(rows["width"], mask=bad),
        "height": pa.array(rows["height"], mask=bad),
        "sha256": pa.array(rows["sha256"].astype(str).astype(object), pa.string(), mask=bad),
        "perceptual_hash": pa.array(rows["perceptual_hash"], mask=bad),
        "shard": pa.array(np.full(len(rows), shard, np.int32), mask=bad),
        "row": pa.array((np.cumsum(~bad) - 1).astype(np.int32), mask=bad),
    }
    return pa.table([columns[name] for name in IMAGES.names], schema=IMAGES)


def _stretches(listing: Artifact, rows: int) -> Iterator[tuple[pa.Array, list[Source]]]:
    """The listing `rows` images at a time: their ids and where their bytes lie.

    The last stretch may be shorter; of an empty listing there is one, empty.
    """
    located = Steps(listing.table("locations"), LOCATIONS)
    listed = Steps(listing.table("listing"), pa.schema([LISTING.field("image_id"), LISTING.field("path")]))
    for number in count():
        stretch = listed.peek(rows)
        if number and not len(stretch):
            break
        listed.drop(len(stretch))
        sources = [Source(path) for path in stretch["path"].to_pylist()]
        ids = stretch["image_id"].to_numpy()
        # Both are in one order, so the packed images of this stretch are the first of the locations not yet taken.
        places = located.peek(len(stretch))
        packed = np.flatnonzero(np.isin(ids, places["image_id"].to_numpy()))
        places = places.slice(0, len(packed))
        if not np.array_equal(places["image_id"].to_numpy(), ids[packed]):
            raise ValueError("locations are not in the listing's order")
        located.drop(len(packed))
        for at, place in zip(packed.tolist(), places.to_pylist(), strict=True):
            sources[at] = Source(place["container"], place["offset"], place["size"])
        yield stretch["image_id"].combine_chunks(), sources
    if len(located.peek(1)):
        raise ValueError("locations name images that the listing does not hold, or are not in its order")
