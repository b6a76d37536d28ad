"""Stage `images`: every listed picture becomes a row of pixels or a row of quarantine."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.workers import DecodePool, Results, Source
from pipeline.records import DEFECTS, IMAGES, LISTING, LOCATIONS
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Artifact, Draft, Facts, Store, identity, inputs_of
from pipeline.storage.tables import Steps, write_table

CODE_VERSION = "1"
_DETAIL = 200  # characters of what the decoder said
_COPIED_ROWS = 1024  # at a time, from the workers' scratch to the published file
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
    wanted = identity("images", CODE_VERSION, settings, inputs_of([listing]))

    def build(draft: Draft) -> Facts:
        spooled = listing.facts.get("containers") == "spool"
        containers = CrawlFiles(str(listing.table("spool"))) if spooled else files
        with DecodePool(files, settings, workers, containers=containers, scratch=draft.folder) as pool:
            return _build(draft, listing, settings, pool, on_progress or (lambda _: None))

    return store.make("images", listing.partition, wanted, build)


def _build(
    draft: Draft, listing: Artifact, settings: DecodeSettings, pool: DecodePool, on_progress: Callable[[int], None]
) -> Facts:
    rows = max(1, settings.shard_mb * 2**20 // (settings.image_size**2 * 3))
    total: Facts = {"listed": 0, "usable": 0}
    reasons: Counter[str] = Counter()
    for shard, (ids, sources) in enumerate(_stretches(listing, rows)):
        facts = draft.finished(shard)
        if facts is None:
            facts = _write_shard(draft, shard, ids, pool.decode(sources, on_progress))
        else:
            on_progress(len(sources))
        total = {name: total[name] + facts[name] for name in total}
        reasons.update(facts["reasons"])
    quarantined = sum(reasons.values())
    if total["listed"] != total["usable"] + quarantined:
        raise AssertionError(f"{total} and {quarantined} quarantined: an image went astray")
    return total | {"quarantined": quarantined, "reasons": dict(reasons), "image_size": settings.image_size}


def _write_shard(draft: Draft, shard: int, ids: pa.Array, results: Results) -> Facts:
    kept = np.flatnonzero(results.usable)
    pixels_path = draft.table("pixels") / f"part-{shard:05d}.npy"
    images_path = draft.table("images") / f"part-{shard:05d}.parquet"
    with write_array(pixels_path, (len(kept), *results.pixels.shape[1:]), np.uint8) as pixels:
        for at in range(0, len(kept), _COPIED_ROWS):
            pixels[at : at + _COPIED_ROWS] = results.pixels[kept[at : at + _COPIED_ROWS]]
    table = _table(shard, ids, results)
    write_table(images_path, IMAGES, [table])
    reasons = Counter(table["reason"].drop_null().to_pylist())
    facts = {"listed": len(ids), "usable": len(kept), "reasons": dict(reasons)}
    draft.finish(shard, {pixels_path: len(kept), images_path: len(ids)}, facts)
    return facts


def _table(shard: int, ids: pa.Array, results: Results) -> pa.Table:
    rows, bad = results.rows, ~results.usable
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
