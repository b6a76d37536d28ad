"""Stage `evidence-rank`: each image's position in its class's merged search results."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine import Workers, map_shards
from pipeline.evidence.rank import RankSettings, merged_position, top_ranked
from pipeline.evidence_tables import RANK
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.storage.arrays import scratch_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import iterate_table, part_path, write_table

STAGE = "evidence-rank"
CODE_VERSION = "2"
_LAST_QUERY = np.iinfo(np.int32).max  # where the listing names no query: after those it names


def make_rank(
    store: Store,
    crawls: Sequence[str],
    settings: RankSettings,
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Rank the usable training images of each class, over all crawls together.

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read.
        settings: how many images of a class count as top-ranked.
        workers: threads, or a cluster; each holds a stretch of classes.
        on_progress: called with the number of images just done.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        rank, query_id = _read(listings, len(order.population.image_id))
        tasks = [(k, task) for k, task in enumerate(stretches(order.sizes)) if draft.finished(k) is None]
        for done in map_shards(partial(_write, draft, order, (rank, query_id), settings), tasks, workers):
            on_progress(done)
        ranked = sum((draft.finished(k) or {})["ranked"] for k, _ in enumerate(stretches(order.sizes)))
        return {"images": len(order), "ranked": ranked, "top": settings.top}

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images]))
    return store.make(STAGE, WHOLE, wanted, build)


def _read(listings: Sequence[Artifact], images: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Rank (0 without one) and query of all listed images, (images,) each, on the disk."""
    rank, query_id = scratch_array((images,), np.int32), scratch_array((images,), np.int32)
    start = 0
    for batch in _batches(listings):
        rows = slice(start, start + batch.num_rows)
        rank[rows] = pc.fill_null(batch["rank"], 0).to_numpy()
        query_id[rows] = pc.fill_null(batch["query_id"], _LAST_QUERY).to_numpy()
        start += batch.num_rows
    return rank, query_id


def _batches(listings: Sequence[Artifact]) -> Iterator[pa.RecordBatch]:
    for listing in listings:
        yield from iterate_table(listing.table("listing"), ("query_id", "rank"))


def _write(
    draft: Draft,
    order: ClassOrder,
    found: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
    settings: RankSettings,
    task: tuple[int, range],
) -> int:
    number, classes = task
    rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
    rank, query_id = (values[order.members[rows]] for values in found)
    position = merged_position(order.class_index[rows], rank, query_id, order.image_id[rows])
    columns = {
        "image_id": order.image_id[rows],
        "position": pa.array(position, mask=position == 0),
        "top_ranked": top_ranked(position, settings),
    }
    path = part_path(draft.table("evidence"), number)
    written = write_table(path, RANK, [pa.table(columns, schema=RANK)])
    draft.finish(number, {path: written}, {"ranked": int((rank > 0).sum())})
    return len(position)
