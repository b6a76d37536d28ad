"""Finding pictures that are one picture among all usable images: by perceptual hash, and by looking.

Columns of all images lie in scratch files, and are sorted a bucket at a time. In memory are the pairs found to be one
picture, and blocks of what is being compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.hashes import Pairs, block_choices, near_pairs
from pipeline.evidence.same_picture import same_picture
from pipeline.stages.distinct_pictures import Pictures, ToCompare
from pipeline.storage.arrays import ArrayShards, blocks, open_array, scratch_array, write_array
from pipeline.storage.buckets import Spill, in_buckets
from pipeline.storage.draft import Draft

CHUNK_PAIRS = 262_144  # compared, then kept: what a killed run has compared is not compared again
_TASK_PAIRS = 4096  # compared by a thread at a time: it holds the thumbnails of at most twice as many pictures


@dataclass(frozen=True)
class Compared:
    """What an earlier comparison found: contents that it held need not be looked at together again."""

    crawls: frozenset[int]  # whose images it held, by their place among the crawls
    same: Pairs  # by name, as it found them

    def known(self, pictures: Pictures) -> npt.NDArray[np.bool_]:
        """(n,) which contents it held, under the names they have now."""
        crawl = np.searchsorted(pictures.pixels.offsets, pictures.shard, side="right") - 1
        return np.isin(crawl, sorted(self.crawls))

    def confirmed(self, names: Pairs) -> npt.NDArray[np.bool_]:
        """(p,) which pairs of names it found to be one picture."""
        ends = np.unique(self.same)
        if not len(ends):
            return np.zeros(len(names), np.bool_)
        codes = np.unique(_codes(np.searchsorted(ends, self.same), len(ends)))
        place = np.searchsorted(ends, names).clip(max=len(ends) - 1)
        held = (ends[place] == names).all(axis=1)
        return np.asarray(held & np.isin(_codes(place, len(ends)), codes))


def _codes(pairs: Pairs, size: int) -> npt.NDArray[np.int64]:
    """One number for each pair of numbers below `size`, whichever comes first."""
    return np.asarray(pairs.min(axis=1) * size + pairs.max(axis=1))


NOTHING_COMPARED: Final = Compared(frozenset(), np.zeros((0, 2), np.int64))


def same_pictures(
    draft: Draft,
    first_shard: int,
    pictures: Pictures,
    run: tuple[DuplicateSettings, Workers],
    earlier: Compared = NOTHING_COMPARED,
) -> Pairs:
    """Pairs of contents, by name, that show one picture.

    Args:
        draft: keeps what has been compared, as `pairs/part-k.npy`.
        first_shard: the number to record it under.
        pictures: to compare.
        run: what passes for the same picture, and threads.
        earlier: what has been compared by the same settings.
    """
    (settings, workers), known = run, earlier.known(pictures)
    found = [np.zeros((0, 2), np.int64)]
    for part, candidates in enumerate(_candidates(pictures.hashes, settings.hash_distance, workers)):
        path = draft.table("pairs") / f"part-{part:05d}.npy"
        if draft.finished(first_shard + part) is None:
            fresh = np.flatnonzero(~known[candidates].all(axis=1))
            asked = (candidates[fresh[at : at + _TASK_PAIRS]] for at in range(0, len(fresh), _TASK_PAIRS))
            look, tasks = partial(_confirmed, pictures.pixels, settings.tolerance), map(pictures.to_compare, asked)
            confirmed = earlier.confirmed(pictures.name[candidates])
            confirmed[fresh] = np.concatenate([np.zeros(0, np.bool_), *map_shards(look, tasks, workers)])
            same = pictures.name[candidates[confirmed]]
            with write_array(path, same.shape, np.int64) as out:
                out[:] = same
            draft.finish(first_shard + part, {path: len(same)}, {"compared": len(candidates)})
        found.append(np.array(open_array(path)))
    return np.concatenate(found)


def _candidates(hashes: npt.NDArray[np.uint64], distance: int, workers: Workers) -> Iterator[Pairs]:
    """Pairs of positions worth a look, each once, in ascending order, CHUNK_PAIRS at a time."""
    spilt = Spill()
    masks = block_choices(len(hashes), distance)
    tasks = ((mask, own) for mask in masks for own in _by_key(hashes, mask))  # of all masks: the threads stay the same
    for near in map_shards(partial(_near, hashes, distance), tasks, workers):
        spilt.add(near)
    number = spilt.array()
    waiting = np.zeros(0, np.int64)
    for bucket in in_buckets(number):
        waiting = np.concatenate([waiting, np.unique(number[bucket])])
        while len(waiting) >= CHUNK_PAIRS:
            yield _pairs_of(waiting[:CHUNK_PAIRS], len(hashes))
            waiting = waiting[CHUNK_PAIRS:]
    if len(waiting):
        yield _pairs_of(waiting, len(hashes))


def _by_key(hashes: npt.NDArray[np.uint64], mask: np.uint64) -> Iterator[npt.NDArray[np.int64]]:
    """Positions in buckets; those whose hashes agree in the mask's bits share one."""
    key = scratch_array(hashes.shape, np.uint64)
    for block in blocks(len(key)):
        key[block] = hashes[block] & mask
    return iter(in_buckets(key))


def _near(
    hashes: npt.NDArray[np.uint64], distance: int, task: tuple[np.uint64, npt.NDArray[np.int64]]
) -> npt.NDArray[np.int64]:
    """The near pairs of a bucket, each told as one number."""
    mask, own = task
    pairs = own[near_pairs(hashes[own], mask, distance)]
    return pairs[:, 0] * len(hashes) + pairs[:, 1]


def _pairs_of(number: npt.NDArray[np.int64], images: int) -> Pairs:
    return np.stack([number // images, number % images], axis=1)


def _confirmed(pixels: ArrayShards, tolerance: float, asked: ToCompare) -> npt.NDArray[np.bool_]:
    thumbs = asked.thumbnails(pixels)
    return same_picture(thumbs[asked.pairs[:, 0]], thumbs[asked.pairs[:, 1]], tolerance)
