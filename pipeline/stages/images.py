"""Stage `images`: every listed picture becomes a row of pixels or a row of quarantine.

What is withdrawn (`pipeline.stages.withdrawn`) is quarantined, whatever it is, and nothing of it is kept. Where a crawl
has been decoded before, taking images out needs no decoding: the others are taken over.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.workers import DecodePool, Source
from pipeline.engine import Workers
from pipeline.records import LISTING, LOCATIONS
from pipeline.stages.image_shards import AskedShard, DecodedShard, carried, write_shard
from pipeline.stages.withdrawn import Withdrawn
from pipeline.storage.artifacts import Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.pieces import latest
from pipeline.storage.tables import Steps

CODE_VERSION = "1"
_NOWHERE = Source("")  # of what is not to be read


def make_images(
    store: Store,
    listing: Artifact,
    files: CrawlFiles,
    settings: DecodeSettings,
    *,
    workers: Workers,
    on_progress: Callable[[int], None] | None = None,
) -> Artifact:
    """Decode a listed crawl, resuming at the first unfinished shard; the result does not depend on `workers`.

    Facts: listed = usable + quarantined, reasons (defect -> images), image_size.

    Args:
        store: where the artifact lies.
        listing: the crawl's `listing` artifact.
        files: the crawl.
        settings: what is decoded, to which size and under which limits; `shard_mb` bounds a shard and the memory.
        workers: decoding processes, at least 1; or a cluster, each core of which decodes a shard.
        on_progress: told how many images were done since it was last called, those of finished shards included.
    """
    told = on_progress or (lambda _: None)
    withdrawn = Withdrawn.of(store, listing.partition)
    decoded = identity("images", CODE_VERSION, settings, inputs_of([listing]))
    inputs = [*inputs_of([listing]), *withdrawn.inputs()]
    wanted = identity("images", CODE_VERSION, settings, inputs)
    rows = max(1, settings.shard_mb * 2**20 // (settings.image_size**2 * 3))

    def build(draft: Draft) -> Facts:
        marks = {"decoded": decoded} if wanted != decoded else {}
        earlier = _decoded_before(store, listing.partition, decoded)
        spooled = listing.facts.get("containers") == "spool"
        places = files, CrawlFiles(str(listing.table("spool").absolute())) if spooled else files
        if earlier is not None:
            work: _Work = partial(map, partial(write_shard, draft, partial(carried, earlier), withdrawn))
        elif isinstance(workers, int):
            work = partial(_decoded, draft, _Decoding(*places, settings), withdrawn, (workers, told))
        else:
            alone = partial(_decoded_apart, draft, _Decoding(*places, settings), withdrawn)
            work = partial(_reported, told, partial(workers.map, alone))
        return _build(draft, _stretches(listing, rows), withdrawn, work, told) | _size(settings) | marks

    return store.make("images", listing.partition, wanted, build)


_Work = Callable[[Iterable[AskedShard]], Iterable[tuple[int, Facts]]]  # shards -> number and facts of each, written


def _size(settings: DecodeSettings) -> Facts:
    return {"image_size": settings.image_size}


def _build(
    draft: Draft,
    stretches: Iterator[tuple[pa.Array, list[Source]]],
    withdrawn: Withdrawn,
    work: _Work,
    on_progress: Callable[[int], None],
) -> Facts:
    made: dict[int, Facts] = {}

    def left() -> Iterator[AskedShard]:
        for shard, (ids, sources) in enumerate(stretches):
            facts = draft.finished(shard)
            if facts is not None:
                made[shard] = facts
                on_progress(len(sources))
                continue
            unread = set(np.flatnonzero(np.isin(ids.to_numpy(), withdrawn.image_id)).tolist())
            asked = [_NOWHERE if at in unread else source for at, source in enumerate(sources)] if unread else sources
            yield AskedShard(shard, ids, asked)

    made.update(work(left()))
    total = {name: sum(facts[name] for facts in made.values()) for name in ("listed", "usable")}
    reasons: Counter[str] = Counter()
    for _, facts in sorted(made.items()):
        reasons.update(facts["reasons"])
    quarantined = sum(reasons.values())
    if total["listed"] != total["usable"] + quarantined:
        raise AssertionError(f"{total} and {quarantined} quarantined: an image went astray")
    return total | {"quarantined": quarantined, "reasons": dict(reasons)}


@dataclass(frozen=True)
class _Decoding:
    """How the pictures of a crawl are decoded."""

    files: CrawlFiles
    containers: CrawlFiles
    settings: DecodeSettings

    def pool(self, workers: int, scratch: Path | None) -> DecodePool:
        """Processes that do it; see `DecodePool`."""
        return DecodePool(self.files, self.settings, workers, containers=self.containers, scratch=scratch)


def _decoded(
    draft: Draft,
    decoding: _Decoding,
    withdrawn: Withdrawn,
    run: tuple[int, Callable[[int], None]],
    shards: Iterable[AskedShard],
) -> Iterator[tuple[int, Facts]]:
    """One shard after another, by so many processes of this machine, which also tell how far they are."""
    workers, on_progress = run
    with decoding.pool(workers, draft.folder) as pool:
        yield from map(partial(write_shard, draft, partial(_read, pool, on_progress), withdrawn), shards)


def _decoded_apart(draft: Draft, decoding: _Decoding, withdrawn: Withdrawn, asked: AskedShard) -> tuple[int, Facts]:
    """One shard on whichever machine this is, by one process; pixels wait in the machine's own temporary folder."""
    with decoding.pool(1, None) as pool:
        return write_shard(draft, partial(_read, pool, None), withdrawn, asked)


def _reported(
    on_progress: Callable[[int], None], work: _Work, shards: Iterable[AskedShard]
) -> Iterator[tuple[int, Facts]]:
    """The work, each shard told of once it is written."""
    for shard, facts in work(shards):
        on_progress(facts["listed"])
        yield shard, facts


def _read(pool: DecodePool, on_progress: Callable[[int], None] | None, asked: AskedShard) -> DecodedShard:
    found = pool.decode(asked.sources, on_progress)
    return DecodedShard(found.rows.copy(), found.pixels, np.arange(len(asked.sources)))


def _decoded_before(store: Store, crawl: str, decoded: str) -> Artifact | None:
    """The images of the same listing and settings, before some were withdrawn; None where there are none."""
    for found in latest(Store(store.root), "images", crawl):
        if decoded in {found.identity, found.facts.get("decoded")}:
            return found
    return None


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
