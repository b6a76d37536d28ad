"""Finding pictures that are one picture among all usable images: by bytes, by perceptual hash, and by looking."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine import map_shards
from pipeline.evidence.duplicates import DuplicateSettings, contents
from pipeline.evidence.hashes import Pairs, block_choices, distinct_pairs, near_pairs
from pipeline.evidence.same_picture import same_picture, thumbnails
from pipeline.stages.population import Population
from pipeline.storage.arrays import ArrayShards, open_array, write_array
from pipeline.storage.artifacts import Artifact, Draft
from pipeline.storage.tables import iterate_table

CHUNK_PAIRS = 262_144  # compared, then kept: what a killed run has compared is not compared again
_TASK_PAIRS = 4096  # compared by a thread at a time: it holds the thumbnails of at most twice as many pictures
_PIXEL_BYTES = 2**26  # of pictures that a thread reads at a time


@dataclass(frozen=True)
class Pictures:
    """The n distinct byte contents of the u usable images, in ascending order of their perceptual hashes."""

    content: npt.NDArray[np.int64]  # (u,) of each usable image: contents are numbered by the smallest id that has them
    number: npt.NDArray[np.int64]  # (n,) of each content in this order
    hashes: npt.NDArray[np.uint64]  # (n,)
    shard: npt.NDArray[np.int32]  # (n,) where the pixels lie
    row: npt.NDArray[np.int32]  # (n,)
    pixels: ArrayShards

    @classmethod
    def of(cls, population: Population, images: Sequence[Artifact]) -> Self:
        """Read the hashes of all usable images, which take 24 bytes each."""
        usable = np.flatnonzero(population.usable)
        digest, hashes = _fingerprints(images)
        content, first = contents(digest, population.image_id[usable])
        by_hash = np.argsort(hashes[first], kind="stable")  # equal ones stay in the order of their ids
        at = usable[first[by_hash]]
        shards = ArrayShards([artifact.table("pixels") for artifact in images])
        return cls(content, by_hash, hashes[first[by_hash]], population.shard[at], population.row[at], shards)

    def thumbnails(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Of some of them; their pixels are read a little at a time."""
        step = max(1, _PIXEL_BYTES // int(np.prod(self.pixels.row_shape)))
        blocks = [chosen[start : start + step] for start in range(0, len(chosen), step)]
        return np.concatenate([thumbnails(self.pixels.gather(self.shard[own], self.row[own])) for own in blocks])


def same_pictures(
    draft: Draft, first_shard: int, pictures: Pictures, settings: DuplicateSettings, workers: int
) -> Pairs:
    """Pairs of contents, by number, that show one picture.

    Args:
        draft: keeps what has been compared, as `pairs/part-k.npy`.
        first_shard: the number to record it under.
        pictures: to compare.
        settings: what passes for the same picture.
        workers: threads.
    """
    found = [np.zeros((0, 2), np.int64)]
    for part, candidates in enumerate(_candidates(pictures.hashes, settings.hash_distance, workers)):
        path = draft.table("pairs") / f"part-{part:05d}.npy"
        if draft.finished(first_shard + part) is None:
            tasks = [candidates[at : at + _TASK_PAIRS] for at in range(0, len(candidates), _TASK_PAIRS)]
            look = partial(_confirmed, pictures, settings.tolerance)
            same = np.concatenate(list(map_shards(look, tasks, workers)))
            with write_array(path, same.shape, np.int64) as out:
                out[:] = same
            draft.finish(first_shard + part, {path: len(same)}, {"compared": len(candidates)})
        found.append(np.array(open_array(path)))
    return np.concatenate(found)


def _candidates(hashes: npt.NDArray[np.uint64], distance: int, workers: int) -> Iterator[Pairs]:
    """Pairs worth a look, in ascending order, CHUNK_PAIRS at a time."""
    near = partial(_near, hashes, distance)
    found = list(map_shards(near, block_choices(len(hashes), distance), workers))
    pairs = distinct_pairs(np.concatenate(found), len(hashes))
    del found
    for at in range(0, len(pairs), CHUNK_PAIRS):
        yield pairs[at : at + CHUNK_PAIRS]


def _near(hashes: npt.NDArray[np.uint64], distance: int, mask: np.uint64) -> Pairs:
    return near_pairs(hashes, mask, distance)


def _confirmed(pictures: Pictures, tolerance: float, pairs: Pairs) -> Pairs:
    chosen, ends = np.unique(pairs, return_inverse=True)
    by_place = np.lexsort((pictures.row[chosen], pictures.shard[chosen]))  # read along the file
    thumbs = pictures.thumbnails(chosen[by_place])
    place = np.argsort(by_place)[ends.reshape(-1, 2)]
    same = same_picture(thumbs[place[:, 0]], thumbs[place[:, 1]], tolerance)
    return pictures.number[pairs[same]]


def _fingerprints(images: Sequence[Artifact]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Of each usable image, crawl after crawl, 128 bits from its bytes' sha256 (u, 2) and its perceptual hash (u,)."""
    digests, hashes = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.uint64)]
    for artifact in images:
        for batch in iterate_table(artifact.table("images"), ("sha256", "perceptual_hash")):
            table = batch.filter(batch["sha256"].is_valid())
            digests.append(_digits(table["sha256"]))
            hashes.append(table["perceptual_hash"].to_numpy(zero_copy_only=False))
    return np.concatenate(digests), np.concatenate(hashes)


def _digits(told: pa.StringArray) -> npt.NDArray[np.uint64]:
    """(n, 2): strings of 64 hexadecimal digits, their two halves laid over each other."""
    text = pa.concat_arrays([told]).cast(pa.binary()).cast(pa.binary(64)) if len(told) else told
    letters = np.frombuffer(text.buffers()[1] or b"", np.uint8)[64 * text.offset :][: 64 * len(text)].reshape(-1, 64)
    digit = (letters & 15) + 9 * (letters >> 6)
    words = np.ascontiguousarray(digit[:, ::2] << 4 | digit[:, 1::2]).view(np.uint64)
    return words[:, :2] ^ words[:, 2:]
