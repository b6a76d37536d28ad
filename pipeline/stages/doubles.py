"""Finding pictures that are one picture among all usable images: by perceptual hash, and by looking.

Columns of all images lie in scratch files, and are sorted a bucket at a time. In memory are the pairs found to be one
picture, and blocks of what is being compared.
"""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.hash_runs import BesideNew, Bucket
from pipeline.evidence.hashes import Pairs, block_choices, pairs_of
from pipeline.evidence.same_picture import same_picture
from pipeline.stages.distinct_pictures import Pictures, ToCompare
from pipeline.stages.earlier_doubles import Before, Compared
from pipeline.storage.arrays import ArrayShards, blocks, open_array, scratch_array, write_array
from pipeline.storage.buckets import Spill, in_buckets
from pipeline.storage.draft import Draft
from pipeline.storage.pieces import digest_of

CHUNK_PAIRS = 262_144  # compared, then kept: what a killed run has compared is not compared again
_TASK_PAIRS = 4096  # compared by a thread at a time: it holds the thumbnails of at most twice as many pictures


def same_pictures(
    draft: Draft,
    shard: int,
    pictures: Pictures,
    run: tuple[DuplicateSettings, Workers],
    earlier: Compared | None = None,
) -> Pairs:
    """Pairs of contents, by name, that show one picture: the same ones whatever an earlier artifact has compared.

    Args:
        draft: keeps them, as `pairs/part-00000.npy`, and until then what has been looked at, in a scratch folder.
        shard: the number to record them under.
        pictures: to compare.
        run: what passes for the same picture, and threads.
        earlier: what has been compared by the same settings.
    """
    path, scratch = draft.table("pairs") / "part-00000.npy", draft.folder / "scratch"
    if draft.finished(shard) is None:
        number = _found(scratch, pictures, run, earlier)
        with write_array(path, (len(number), 2), np.int64) as same:
            for block in blocks(len(number)):
                same[block] = pictures.name[pairs_of(number[block], len(pictures.hashes))]
        draft.finish(shard, {path: len(number)})
    shutil.rmtree(scratch, ignore_errors=True)
    return np.array(open_array(path))


def _found(
    scratch: Path, pictures: Pictures, run: tuple[DuplicateSettings, Workers], earlier: Compared | None
) -> npt.NDArray[np.int64]:
    """The numbers of the pairs that show one picture, ascending."""
    (settings, workers), masks = run, block_choices(len(pictures.hashes), run[0].hash_distance)
    before = None if earlier is None else Before.of(earlier, pictures, masks == earlier.masks(settings))
    look = partial(_confirmed, pictures.pixels, settings.tolerance)
    found = [np.zeros(0, np.int64)]
    for number in _candidates(pictures.hashes, (masks, settings.hash_distance), workers, before):
        # By its pairs: a later attempt may know of another earlier artifact, and so have other pairs to look at.
        path = scratch / f"{digest_of(number)}.npy"
        if not path.exists():
            same = np.zeros(len(number), np.bool_) if before is None else before.was_same(number)
            asked = np.flatnonzero(~same if before is None else ~same & ~before.was_compared(number))
            pairs = pairs_of(number[asked], len(pictures.hashes))
            tasks = (pictures.to_compare(pairs[at : at + _TASK_PAIRS]) for at in range(0, len(pairs), _TASK_PAIRS))
            same[asked] = np.concatenate([np.zeros(0, np.bool_), *map_shards(look, tasks, workers)])
            with write_array(path, (int(same.sum()),), np.int64) as out:
                out[:] = number[same]
        found.append(np.array(open_array(path)))
    looked = np.concatenate(found)
    return looked if before is None else np.union1d(looked, before.standing())


def _candidates(
    hashes: npt.NDArray[np.uint64], search: tuple[list[np.uint64], int], workers: Workers, before: Before | None
) -> Iterator[npt.NDArray[np.int64]]:
    """Numbers of the pairs worth a look, each once, ascending, CHUNK_PAIRS at a time; without those that `before` has.

    Args:
        hashes: (n,), ascending.
        search: the masks, and the bits in which a pair may differ.
        workers: threads, or a cluster.
        before: what need not be searched for.
    """
    spilt, (masks, distance) = Spill(), search
    tasks = _tasks(hashes, masks, before)  # of all masks: the threads stay the same
    for near in map_shards(partial(_near, hashes, distance), tasks, workers):
        spilt.add(near)
    number = spilt.array()
    waiting = np.zeros(0, np.int64)
    for bucket in in_buckets(number):
        waiting = np.concatenate([waiting, np.unique(number[bucket])])
        while len(waiting) >= CHUNK_PAIRS:
            yield waiting[:CHUNK_PAIRS]
            waiting = waiting[CHUNK_PAIRS:]
    if len(waiting):
        yield waiting


def _tasks(
    hashes: npt.NDArray[np.uint64], masks: list[np.uint64], before: Before | None
) -> Iterator[Bucket | BesideNew]:
    """What is to be searched by each mask."""
    for mask in masks:
        runs = None if before is None else before.to_search(hashes, mask)
        if runs is None:
            yield from _buckets(hashes, mask)
        else:
            yield from runs.beside_new(hashes)
            crowds = Spill()
            for rows in runs.in_crowds():
                crowds.add(rows)
            yield from _buckets(hashes, mask, crowds.array())


def _buckets(
    hashes: npt.NDArray[np.uint64], mask: np.uint64, rows: npt.NDArray[np.int64] | None = None
) -> Iterator[Bucket]:
    """All hashes, or those at some positions, in buckets; those that agree in the mask's bits share one."""
    key = scratch_array(hashes.shape if rows is None else rows.shape, np.uint64)
    for block in blocks(len(key)):
        key[block] = hashes[block if rows is None else rows[block]] & mask
    for own in in_buckets(key):
        yield Bucket(mask, own if rows is None else rows[own])


def _near(hashes: npt.NDArray[np.uint64], distance: int, task: Bucket | BesideNew) -> npt.NDArray[np.int64]:
    return task.near(hashes, distance)


def _confirmed(pixels: ArrayShards, tolerance: float, asked: ToCompare) -> npt.NDArray[np.bool_]:
    thumbs = asked.thumbnails(pixels)
    return same_picture(thumbs[asked.pairs[:, 0]], thumbs[asked.pairs[:, 1]], tolerance)
