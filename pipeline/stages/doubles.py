"""Finding pictures that are one picture among all usable images: by bytes, by perceptual hash, and by looking.

Columns of all images lie in scratch files, and are sorted a bucket at a time. In memory are the pairs found to be one
picture, and blocks of what is being compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine import Workers, map_shards
from pipeline.evidence.duplicates import DuplicateSettings, contents
from pipeline.evidence.hashes import Pairs, block_choices, near_pairs
from pipeline.evidence.same_picture import same_picture, thumbnails
from pipeline.stages.population import Population
from pipeline.storage.arrays import ArrayShards, blocks, open_array, scratch_array, write_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.buckets import Spill, in_buckets
from pipeline.storage.draft import Draft
from pipeline.storage.tables import iterate_table

CHUNK_PAIRS = 262_144  # compared, then kept: what a killed run has compared is not compared again
_TASK_PAIRS = 4096  # compared by a thread at a time: it holds the thumbnails of at most twice as many pictures
_PIXEL_BYTES = 2**26  # of pictures that a thread reads at a time


@dataclass(frozen=True)
class Pictures:
    """The n distinct byte contents of the u usable images, in ascending order of their perceptual hashes."""

    content: npt.NDArray[np.int64]  # (u,) of each usable image: the smallest id that has the same bytes
    name: npt.NDArray[np.int64]  # (n,) that of each content in this order
    hashes: npt.NDArray[np.uint64]  # (n,)
    shard: npt.NDArray[np.int32]  # (n,) where the pixels lie
    row: npt.NDArray[np.int32]  # (n,)
    pixels: ArrayShards

    @classmethod
    def of(cls, population: Population, usable: npt.NDArray[np.int64], images: Sequence[Artifact]) -> Self:
        """Read the hashes of the usable images, which stand at those positions of the population."""
        digest, hashes = _fingerprints(images, len(usable))
        content = scratch_array((len(usable),), np.int64)
        first = Spill()  # of each content the image that names it
        for own in in_buckets(digest[:, 0]):
            image_id = population.image_id[usable[own]]
            content[own] = contents(digest[own], image_id)
            first.add(own[content[own] == image_id])
        images_of = first.array()
        columns = [scratch_array(images_of.shape, dtype) for dtype in (np.int64, np.uint64, np.int32, np.int32)]
        at = 0
        for bucket in in_buckets(_taken(hashes, images_of)):
            own = images_of[bucket]
            own = own[np.lexsort((content[own], hashes[own]))]  # equal hashes in the order of their names
            where = usable[own]
            found = content[own], hashes[own], population.shard[where], population.row[where]
            for column, values in zip(columns, found, strict=True):
                column[at : at + len(own)] = values
            at += len(own)
        name, by_hash, shard, row = columns
        return cls(content, name, by_hash, shard, row, ArrayShards([artifact.table("pixels") for artifact in images]))

    def to_compare(self, pairs: Pairs) -> "_ToCompare":
        """What has to be read to look at some pairs."""
        chosen, ends = np.unique(pairs, return_inverse=True)
        by_place = np.lexsort((self.row[chosen], self.shard[chosen]))  # read along the file
        place = np.argsort(by_place)[ends.reshape(-1, 2)]
        return _ToCompare(self.shard[chosen[by_place]], self.row[chosen[by_place]], place)


@dataclass(frozen=True)
class _ToCompare:
    """p pairs of m pictures."""

    shard: npt.NDArray[np.int32]  # (m,) where the pixels lie
    row: npt.NDArray[np.int32]  # (m,)
    pairs: npt.NDArray[np.int64]  # (p, 2) of them

    def thumbnails(self, pixels: ArrayShards) -> npt.NDArray[np.float32]:
        """Of all m; their pixels are read a little at a time."""
        step = max(1, _PIXEL_BYTES // int(np.prod(pixels.row_shape)))
        pieces = [slice(start, start + step) for start in range(0, len(self.row), step)]
        return np.concatenate([thumbnails(pixels.gather(self.shard[own], self.row[own])) for own in pieces])


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


def _confirmed(pixels: ArrayShards, tolerance: float, asked: _ToCompare) -> npt.NDArray[np.bool_]:
    thumbs = asked.thumbnails(pixels)
    return same_picture(thumbs[asked.pairs[:, 0]], thumbs[asked.pairs[:, 1]], tolerance)


def _taken(column: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Some rows of a column, on the disk as that is."""
    found = scratch_array(rows.shape, column.dtype)
    for block in blocks(len(rows)):
        found[block] = column[rows[block]]
    return np.asarray(found)


def _fingerprints(images: Sequence[Artifact], usable: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Of each usable image, crawl after crawl, 128 bits from its bytes' sha256 (u, 2) and its perceptual hash (u,)."""
    digest, hashes = scratch_array((usable, 2), np.uint64), scratch_array((usable,), np.uint64)
    start = 0
    for artifact in images:
        for batch in iterate_table(artifact.table("images"), ("sha256", "perceptual_hash")):
            table = batch.filter(batch["sha256"].is_valid())
            rows = slice(start, start + len(table))
            digest[rows] = _digits(table["sha256"])
            hashes[rows] = table["perceptual_hash"].to_numpy(zero_copy_only=False)
            start = rows.stop
    return digest, hashes


def _digits(told: pa.StringArray) -> npt.NDArray[np.uint64]:
    """(n, 2): strings of 64 hexadecimal digits, their two halves laid over each other."""
    text = pa.concat_arrays([told]).cast(pa.binary()).cast(pa.binary(64)) if len(told) else told
    letters = np.frombuffer(text.buffers()[1] or b"", np.uint8)[64 * text.offset :][: 64 * len(text)].reshape(-1, 64)
    digit = (letters & 15) + 9 * (letters >> 6)
    words = np.ascontiguousarray(digit[:, ::2] << 4 | digit[:, 1::2]).view(np.uint64)
    return words[:, :2] ^ words[:, 2:]
