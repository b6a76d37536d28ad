"""The distinct pictures of all usable images by their bytes, in the order of their perceptual hashes.

Columns of all images lie in scratch files, and are sorted a bucket at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.duplicates import contents
from pipeline.evidence.hashes import Pairs
from pipeline.evidence.same_picture import thumbnails
from pipeline.stages.population import Population
from pipeline.storage.arrays import ArrayShards, blocks, scratch_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.buckets import Spill, in_buckets
from pipeline.storage.tables import iterate_table

_PIXEL_BYTES = 2**26  # of pictures that a thread reads at a time
_CACHED_ROWS = 2**12  # of digits, which are worked at as they lie in the cache
_LOW_HALVES, _LOW_BITS, _NINE = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101), np.uint64(9)


@dataclass(frozen=True)
class Pictures:
    """The n distinct byte contents of the u usable images, in ascending order of their perceptual hashes."""

    content: npt.NDArray[np.int64]  # (u,) of each usable image: the smallest id that has the same bytes
    name: npt.NDArray[np.int64]  # (n,) that of each content in this order
    hashes: npt.NDArray[np.uint64]  # (n,)
    shard: npt.NDArray[np.int32]  # (n,) where the pixels lie
    row: npt.NDArray[np.int32]  # (n,)
    copied: npt.NDArray[np.int64]  # (c,) the names of those that several images have, ascending
    pixels: ArrayShards

    @classmethod
    def of(cls, population: Population, usable: npt.NDArray[np.int64], images: Sequence[Artifact]) -> Self:
        """Read the hashes of the usable images, which stand at those positions of the population."""
        digest, hashes = _fingerprints(images, len(usable))
        content = scratch_array((len(usable),), np.int64)
        copied = [np.zeros(0, np.int64)]
        for own in in_buckets(digest[:, 0]):
            image_id = population.image_id[usable[own]]
            content[own] = named = contents(digest[own], image_id)
            copied.append(np.unique(named[named != image_id]))  # a bucket holds all images of a content
        first = Spill()  # of each content the image that names it
        for block in blocks(len(usable)):
            first.add(np.flatnonzero(content[block] == population.image_id[usable[block]]) + block.start)
        images_of = first.array()
        columns = [scratch_array(images_of.shape, dtype) for dtype in (np.int64, np.uint64, np.int32, np.int32)]
        at = 0
        for bucket in in_buckets(_taken(hashes, images_of)):
            own = images_of[bucket]
            where, names, told = usable[own], content[own], hashes[own]
            found: tuple[npt.NDArray[Any], ...] = names, told, population.shard[where], population.row[where]
            order = _by_hash(names, told)
            for column, values in zip(columns, found, strict=True):
                column[at : at + len(own)] = values[order]
            at += len(own)
        name, by_hash, shard, row = columns
        pixels = ArrayShards([artifact.table("pixels") for artifact in images])
        return cls(content, name, by_hash, shard, row, np.sort(np.concatenate(copied)), pixels)

    def to_compare(self, pairs: Pairs) -> "ToCompare":
        """What has to be read to look at some pairs."""
        chosen, ends = np.unique(pairs, return_inverse=True)
        by_place = np.lexsort((self.row[chosen], self.shard[chosen]))  # read along the file
        place = np.argsort(by_place)[ends.reshape(-1, 2)]
        return ToCompare(self.shard[chosen[by_place]], self.row[chosen[by_place]], place)


@dataclass(frozen=True)
class ToCompare:
    """p pairs of m pictures."""

    shard: npt.NDArray[np.int32]  # (m,) where the pixels lie
    row: npt.NDArray[np.int32]  # (m,)
    pairs: npt.NDArray[np.int64]  # (p, 2) of them

    def thumbnails(self, pixels: ArrayShards) -> npt.NDArray[np.float32]:
        """Of all m; their pixels are read a little at a time."""
        step = max(1, _PIXEL_BYTES // int(np.prod(pixels.row_shape)))
        pieces = [slice(start, start + step) for start in range(0, len(self.row), step)]
        return np.concatenate([thumbnails(pixels.gather(self.shard[own], self.row[own])) for own in pieces])


def _taken(column: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Some rows of a column, on the disk as that is."""
    found = scratch_array(rows.shape, column.dtype)
    for block in blocks(len(rows)):
        found[block] = column[rows[block]]
    return np.asarray(found)


def _by_hash(name: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The order of hashes that ascend, equal ones in the order of their names."""
    order = np.argsort(hashes)
    equal = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    several = np.union1d(equal, equal + 1)
    own = order[several]
    order[several] = own[np.lexsort((name[own], hashes[own]))]
    return order


def _fingerprints(images: Sequence[Artifact], usable: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Of each usable image, crawl after crawl, 128 bits of its bytes' sha256 (u, 2) and its perceptual hash (u,)."""
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
    """(n, 2): 128 bits of strings of 64 hexadecimal digits, of which each counts: their two halves over each other."""
    text = pa.concat_arrays([told]).cast(pa.binary()).cast(pa.binary(64)) if len(told) else told
    letters = np.frombuffer(text.buffers()[1] or b"", np.uint8)[64 * text.offset :][: 64 * len(text)].reshape(-1, 64)
    eight, found = letters.view(np.uint64), np.empty((len(told), 2), np.uint64)
    for start in range(0, len(eight), _CACHED_ROWS):
        own = slice(start, start + _CACHED_ROWS)
        letter = eight[own] >> np.uint64(6) & _LOW_BITS  # of each byte of eight, whether it is one
        digit = (eight[own] & _LOW_HALVES) + _NINE * letter
        words = digit[:, ::2] << np.uint64(4) | digit[:, 1::2]
        found[own] = words[:, :2] ^ words[:, 2:]
    return found
