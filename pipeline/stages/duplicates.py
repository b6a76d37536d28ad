"""Stage `evidence-duplicates`: pictures that are one picture, over all classes, crawls and splits.

It reads hashes and pixels, no features, so that it comes before any training: what repeats an image of val or test is
never trained on. What an earlier artifact has compared is neither searched nor looked at again: a new crawl costs the
pairs that one of its pictures is in.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence.duplicates import DuplicateSettings, Groups, group_images
from pipeline.evidence.sieve import Sieve
from pipeline.evidence_tables import DUPLICATES, GROUPS
from pipeline.records import SPLITS
from pipeline.stages.classes import ClassOrder
from pipeline.stages.distinct_pictures import Pictures
from pipeline.stages.doubles import same_pictures
from pipeline.stages.earlier_doubles import Compared, compared_before
from pipeline.stages.population import TRAIN, Population
from pipeline.stages.standing import FITTED, Standing
from pipeline.storage.arrays import blocks
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.buckets import Spill
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.parts import EarlierParts, keyed
from pipeline.storage.pieces import digest_of
from pipeline.storage.tables import ROW_GROUP_ROWS, part_path, write_table

STAGE = "evidence-duplicates"
CODE_VERSION = "4"


def make_duplicates(
    store: Store,
    crawls: Sequence[str],
    settings: DuplicateSettings,
    *,
    fitted_on: Sequence[str] = (),
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Find the doubles of every usable image.

    Facts: images (of the table), groups (of two or more), exact and near (images, of any split, that share their bytes
    with another one, or a group with one of other bytes), leaks (training images that repeat one of val or test).

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read.
        settings: what passes for the same picture.
        fitted_on: crawls whose doubles are found without the others' too, for what is fitted on them.
        workers: threads, or a cluster.
        on_progress: called with the number of training images just written.

    Returns:
        Beside `evidence/` (DUPLICATES): `groups/` (GROUPS), and `pairs/part-00000.npy`, int64 (p, 2): the smallest ids
        of the images of two byte contents that have been found to be one picture.
    """
    standing = Standing.of(store, crawls, fitted_on)
    fitted = [] if standing is None else [make_duplicates(standing.apart, standing.fitted, settings, workers=workers)]
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    rules = identity(STAGE, CODE_VERSION, settings, [])

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        earlier = compared_before(store, STAGE, rules, images)
        shards = len(order.runs)  # those of the evidence come first, then the groups, then the pairs
        with threadpool_limits(1):  # one task a thread: the libraries' own threads would only get in the way
            known = _doubles(draft, shards + 1, (order.population, images), (settings, workers), earlier)
        keys = [_key(order, known, rows) for rows in order.runs]
        tasks = [(k, order.runs[k], keys[k]) for k in EarlierParts(store, STAGE).left(draft, keys)]
        on_progress(len(order) - sum(rows.stop - rows.start for _, rows, _ in tasks))
        for rows in map_shards(partial(_write_evidence, draft, order, known), tasks, workers):
            on_progress(rows)
        told = {"rules": rules, "compared": inputs_of(images), "contents": known.contents}  # for `compared_before`
        _write_groups(draft, shards, order.population, known, told)
        alone = {FITTED: fitted[0].identity} if fitted else {}
        return _facts(order, known) | alone

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images, *fitted]))
    return store.make(STAGE, WHOLE, wanted, build)


@dataclass(frozen=True)
class _Doubles:
    """The v usable images that have doubles, and their groups; what is known of the others goes without saying."""

    at: npt.NDArray[np.int64]  # (v,) positions in the population, ascending
    groups: Groups
    contents: int  # of all usable images, by their bytes

    def find(self, position: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Which images at some positions have doubles, and where those stand in `groups`."""
        place = np.searchsorted(self.at, position)
        held = place < len(self.at)
        held[held] = self.at[place[held]] == position[held]
        return held, place[held]


def _doubles(
    draft: Draft,
    shard: int,
    read: tuple[Population, Sequence[Artifact]],
    run: tuple[DuplicateSettings, Workers],
    earlier: Compared | None,
) -> _Doubles:
    population, images = read
    usable = _usable(population)
    pictures = Pictures.of(population, usable, images)
    pairs = same_pictures(draft, shard, pictures, run, earlier)
    names = np.unique(np.concatenate([pairs.ravel(), pictures.copied]))
    double = _positions(pictures.content, names)
    at = usable[double]
    training = population.split[at] == TRAIN
    groups = group_images(pictures.content[double], pairs, population.image_id[at], training)
    return _Doubles(at, groups, len(pictures.name))


def _positions(content: npt.NDArray[np.int64], names: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of all images whose content has one of these names, which ascend; ascending."""
    sieve, found = Sieve.for_keys(names.view(np.uint64)), [np.zeros(0, np.int64)]
    for block in blocks(len(content) if len(names) else 0):
        passed = sieve.passed(content[block].view(np.uint64)) + block.start
        own = content[passed]
        found.append(passed[names[np.searchsorted(names, own).clip(max=len(names) - 1)] == own])
    return np.concatenate(found)


def _usable(population: Population) -> npt.NDArray[np.int64]:
    """(u,) positions of the usable images, on the disk."""
    found = Spill()
    for block in blocks(len(population.usable)):
        found.add(np.flatnonzero(population.usable[block]) + block.start)
    return found.array()


def _key(order: ClassOrder, known: _Doubles, rows: slice) -> str:
    """What a part is made of: its images, and what is known of those that have doubles."""
    members = np.asarray(order.members[rows])
    held, place = known.find(members)
    told = [getattr(known.groups, name)[place] for name in Groups.__annotations__]
    return identity(STAGE, CODE_VERSION, [], [digest_of(order.population.image_id[members], held, *told)])


def _write_evidence(draft: Draft, order: ClassOrder, known: _Doubles, task: tuple[int, slice, str]) -> int:
    number, rows, key = task
    held, place = known.find(np.asarray(order.members[rows]))
    image_id, groups = np.array(order.population.image_id[order.members[rows]]), known.groups
    alone = {"exact": 0, "near": 0, "training": 1, "leak": False}
    columns = {name: np.full(len(image_id), value) for name, value in alone.items()} | {"group": image_id.copy()}
    for name, column in columns.items():
        column[held] = getattr(groups, name)[place]
    told = {
        "image_id": image_id,
        "duplicate_group": columns["group"],
        "exact_copies": columns["exact"],
        "near_copies": columns["near"],
        "training_copies": columns["training"],
        "leak": columns["leak"],
    }
    path = part_path(draft.table("evidence"), number)
    draft.finish(number, {path: write_table(path, DUPLICATES, [pa.table(told, schema=DUPLICATES)])}, keyed(key))
    return int(rows.stop - rows.start)


def _write_groups(draft: Draft, shard: int, population: Population, known: _Doubles, facts: Facts) -> None:
    """Every image of every group of two or more, group after group."""
    if draft.finished(shard) is not None:
        return
    groups = known.groups
    several = np.flatnonzero(groups.exact + groups.near)
    several = several[np.lexsort((population.image_id[known.at[several]], groups.group[several]))]

    def batches() -> Iterator[pa.Table]:
        yield GROUPS.empty_table()
        for start in range(0, len(several), ROW_GROUP_ROWS):
            own = several[start : start + ROW_GROUP_ROWS]
            at = known.at[own]
            columns = {
                "duplicate_group": groups.group[own],
                "image_id": population.image_id[at],
                "class_index": population.class_index[at],
                "split": pa.array(SPLITS).take(pa.array(population.split[at])),
                "exact": groups.exact[own] > 0,
                "leak": groups.leak[own],
            }
            yield pa.table(columns, schema=GROUPS)

    path = part_path(draft.table("groups"), 0)
    draft.finish(shard, {path: write_table(path, GROUPS, batches())}, facts)


def _facts(order: ClassOrder, known: _Doubles) -> Facts:
    groups, training = known.groups, order.population.split[known.at] == TRAIN
    return {
        "images": len(order),
        "groups": len(np.unique(groups.group[groups.exact + groups.near > 0])),
        "exact": int((groups.exact > 0).sum()),
        "near": int((groups.near > 0).sum()),
        "leaks": int((groups.leak & training).sum()),
    }
