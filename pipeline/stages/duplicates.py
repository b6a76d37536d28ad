"""Stage `evidence-duplicates`: pictures that are one picture, over all classes, crawls and splits.

It reads hashes and pixels, no features, so that it comes before any training: what repeats an image of val or test is
never trained on.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.engine import map_shards
from pipeline.evidence.duplicates import DuplicateSettings, Groups, group_images
from pipeline.evidence_tables import DUPLICATES, GROUPS
from pipeline.records import SPLITS
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.stages.doubles import Pictures, same_pictures
from pipeline.stages.population import TRAIN, Population
from pipeline.storage.artifacts import WHOLE, Artifact, Draft, Facts, Store, identity, inputs_of
from pipeline.storage.tables import ROW_GROUP_ROWS, part_path, write_table

STAGE = "evidence-duplicates"
CODE_VERSION = "1"


def make_duplicates(
    store: Store,
    crawls: Sequence[str],
    settings: DuplicateSettings,
    *,
    workers: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Find the doubles of every usable image.

    Facts: images (of the table), groups (of two or more), exact and near (images, of any split, that share their bytes
    with another one, or a group with one of other bytes), leaks (training images that repeat one of val or test).

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read.
        settings: what passes for the same picture.
        workers: threads.
        on_progress: called with the number of training images just written.

    Returns:
        Beside `evidence/` (DUPLICATES): `groups/` (GROUPS), and `pairs/part-k.npy`, int64 (p, 2): numbers of the byte
        contents that have been found to be one picture, contents being numbered by their smallest image_id.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        shards = len(stretches(order.sizes))  # those of the evidence come first, then the groups, then what is compared
        with threadpool_limits(1):  # one task a thread: the libraries' own threads would only get in the way
            groups = _groups(draft, shards + 1, order.population, images, settings, workers)
        place = np.cumsum(order.population.usable) - 1  # of each listed image among the usable ones
        write = partial(_write_evidence, draft, order, groups, place)
        for rows in map_shards(write, enumerate(stretches(order.sizes)), workers):
            on_progress(rows)
        _write_groups(draft, shards, order.population, groups)
        return _facts(order, groups)

    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images])), build)


def _groups(
    draft: Draft,
    first_shard: int,
    population: Population,
    images: Sequence[Artifact],
    settings: DuplicateSettings,
    workers: int,
) -> Groups:
    """Of the usable images, in the population's order."""
    pictures = Pictures.of(population, images)
    pairs = same_pictures(draft, first_shard, pictures, settings, workers)
    usable = population.usable
    return group_images(pictures.content, pairs, population.image_id[usable], population.split[usable] == TRAIN)


def _write_evidence(
    draft: Draft, order: ClassOrder, groups: Groups, place: npt.NDArray[np.int64], task: tuple[int, range]
) -> int:
    number, classes = task
    rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
    if draft.finished(number) is None:
        at = place[order.members[rows]]
        columns = {
            "image_id": order.image_id[rows],
            "duplicate_group": groups.group[at],
            "exact_copies": groups.exact[at],
            "near_copies": groups.near[at],
            "training_copies": groups.training[at],
            "leak": groups.leak[at],
        }
        path = part_path(draft.table("evidence"), number)
        draft.finish(number, {path: write_table(path, DUPLICATES, [pa.table(columns, schema=DUPLICATES)])})
    return rows.stop - rows.start


def _write_groups(draft: Draft, shard: int, population: Population, groups: Groups) -> None:
    """Every image of every group of two or more, group after group."""
    if draft.finished(shard) is not None:
        return
    usable = np.flatnonzero(population.usable)
    several = np.flatnonzero(groups.exact + groups.near)
    several = several[np.lexsort((population.image_id[usable[several]], groups.group[several]))]

    def batches() -> Iterator[pa.Table]:
        yield GROUPS.empty_table()
        for start in range(0, len(several), ROW_GROUP_ROWS):
            at = several[start : start + ROW_GROUP_ROWS]
            columns = {
                "duplicate_group": groups.group[at],
                "image_id": population.image_id[usable[at]],
                "class_index": population.class_index[usable[at]],
                "split": pa.array(SPLITS).take(pa.array(population.split[usable[at]])),
                "exact": groups.exact[at] > 0,
                "leak": groups.leak[at],
            }
            yield pa.table(columns, schema=GROUPS)

    path = part_path(draft.table("groups"), 0)
    draft.finish(shard, {path: write_table(path, GROUPS, batches())})


def _facts(order: ClassOrder, groups: Groups) -> Facts:
    training = order.population.split[order.population.usable] == TRAIN
    return {
        "images": len(order),
        "groups": len(np.unique(groups.group[groups.exact + groups.near > 0])),
        "exact": int((groups.exact > 0).sum()),
        "near": int((groups.near > 0).sum()),
        "leaks": int((groups.leak & training).sum()),
    }
