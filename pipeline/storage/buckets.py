"""Columns of all images put in order with bounded memory: spread over buckets on the disk, each sorted alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.storage.arrays import Array, blocks, scratch_array
from pipeline.storage.room import scratch_file

BUCKET_ROWS: Final = 2**18  # about so many rows are sorted at a time
_SAMPLE_ROWS: Final = 2**16  # of the keys, to tell where one bucket ends


@dataclass(frozen=True)
class Buckets:
    """The rows of a column, bucket after bucket: keys ascend from one to the next, and equal ones share a bucket."""

    rows: npt.NDArray[np.int64]  # (n,) row numbers on the disk, ascending within a bucket
    starts: npt.NDArray[np.int64]  # (m + 1,)

    def __iter__(self) -> Iterator[npt.NDArray[np.int64]]:
        """The rows of each bucket that has any."""
        for first, last in zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True):
            if last > first:
                yield np.array(self.rows[first:last])


def in_buckets(key: Array) -> Buckets:
    """Share the rows of a column out by their keys, BUCKET_ROWS to a bucket.

    A key that crowds has a bucket alone, however many rows carry it.

    Args:
        key: (n,) numbers without NaN, in memory or on the disk.
    """
    borders = _borders(key)
    return shared_out(len(key), 2 * len(borders) + 1, lambda block: _bucket(borders, key[block]))


def shared_out(rows: int, buckets: int, bucket_of: Callable[[slice], npt.NDArray[np.integer[Any]]]) -> Buckets:
    """Share rows out among numbered buckets by a counting sort: each block's rows go where the last ones ended.

    Args:
        rows: how many there are.
        buckets: how many there are.
        bucket_of: the bucket of each row of a block, -1 for rows that belong to none; asked twice.
    """
    counts = np.zeros(buckets, np.int64)
    for block in blocks(rows):
        own = bucket_of(block)
        counts += np.bincount(own[own >= 0], minlength=buckets)
    starts = np.concatenate([[0], np.cumsum(counts)])
    found, free = scratch_array((int(starts[-1]),), np.int64), starts[:-1].copy()
    narrow = np.min_scalar_type(-buckets - 1)  # numbers of 16 bits are sorted by counting, several times as fast
    for block in blocks(rows):
        own = bucket_of(block).astype(narrow)
        order = np.argsort(own, kind="stable")[np.count_nonzero(own < 0) :]
        count = np.bincount(own[order], minlength=buckets)
        free += count
        found[np.repeat(free - np.cumsum(count), count) + np.arange(len(order))] = order + block.start
    return Buckets(found, starts)


def _borders(key: Array) -> Array:
    """Distinct keys that part the column into equal shares, as a sample spread evenly over it tells."""
    buckets = -(-len(key) // BUCKET_ROWS)
    sample = np.sort(key[:: -(-len(key) // _SAMPLE_ROWS) or 1])
    return np.unique(sample[np.arange(1, buckets) * len(sample) // max(buckets, 1)])


def _bucket(borders: Array, key: Array) -> npt.NDArray[np.int64]:
    """2k for a key between border k - 1 and border k, 2k + 1 for one that is border k."""
    place = np.searchsorted(borders, key)
    if len(borders):
        place += place + (borders[np.minimum(place, len(borders) - 1)] == key)
    return place


class Spill:
    """Numbers of which nobody knows how many there will be, collected in a file without a name."""

    def __init__(self, row_shape: tuple[int, ...] = (), dtype: npt.DTypeLike = np.int64) -> None:
        """Start with none; each is a row of `row_shape`."""
        self._shape, self._dtype = row_shape, np.dtype(dtype)
        self._file = scratch_file()

    def add(self, found: npt.NDArray[Any]) -> None:
        """Collect (k, *row_shape) more."""
        self._file.write(np.ascontiguousarray(found, self._dtype).data)

    def array(self) -> Array:
        """(n, *row_shape) all of them, mapped; nothing may be added afterwards."""
        self._file.flush()
        rows = self._file.tell() // (self._dtype.itemsize * int(np.prod(self._shape, dtype=np.int64)))
        if not rows:
            return np.zeros((0, *self._shape), self._dtype)
        return np.asarray(np.memmap(self._file, self._dtype, "r+", shape=(rows, *self._shape)))
