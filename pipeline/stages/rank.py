"""Stage `evidence-rank`: each image's position in its class's merged search results."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine import Workers, map_shards
from pipeline.evidence.rank import RankSettings, merged_position, top_ranked
from pipeline.evidence_tables import RANK
from pipeline.stages.classes import ClassOrder
from pipeline.stages.part_keys import PartKeys
from pipeline.stages.population import NO_QUERY, listed_numbers
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.parts import EarlierParts, keyed
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-rank"
CODE_VERSION = "3"


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
        keys = PartKeys.of(identity(STAGE, CODE_VERSION, settings, []), order, listings, images)
        key_of = [keys.key(rows) for rows in order.runs]
        tasks = [(k, order.runs[k], key_of[k]) for k in EarlierParts(store, STAGE).left(draft, key_of)]
        on_progress(len(order) - sum(rows.stop - rows.start for _, rows, _ in tasks))
        if tasks:
            ranks = listed_numbers(listings, "rank", 0), listed_numbers(listings, "query_id", NO_QUERY)
            write = partial(_write, draft, order, ranks, settings)
            for done in map_shards(write, tasks, workers):
                on_progress(done)
        ranked = sum(facts["ranked"] for _, _, facts in draft.shards())
        return {"images": len(order), "ranked": ranked, "top": settings.top}

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images]))
    return store.make(STAGE, WHOLE, wanted, build)


def _write(
    draft: Draft,
    order: ClassOrder,
    listed: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
    settings: RankSettings,
    task: tuple[int, slice, str],
) -> int:
    number, rows, key = task
    rank, query_id = (values[order.members[rows]] for values in listed)
    position = merged_position(order.class_index[rows], rank, query_id, order.image_id[rows])
    columns = {
        "image_id": order.image_id[rows],
        "position": pa.array(position, mask=position == 0),
        "top_ranked": top_ranked(position, settings),
    }
    path = part_path(draft.table("evidence"), number)
    written = write_table(path, RANK, [pa.table(columns, schema=RANK)])
    draft.finish(number, {path: written}, {"ranked": int((rank > 0).sum())} | keyed(key))
    return len(position)
