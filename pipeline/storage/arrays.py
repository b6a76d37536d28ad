"""Pixels and features: one fixed-shape `.npy` file per shard, memory-mapped, rows addressed by (shard, row)."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.storage.atomic import atomic_file

Array = npt.NDArray[Any]

BLOCK_ROWS = 2**18


@contextlib.contextmanager
def write_array(path: Path, shape: Sequence[int], dtype: npt.DTypeLike) -> Iterator[Array]:
    """A writable memory map of a new `.npy` file, published when the block ends without an exception."""
    with atomic_file(path) as temporary:
        array = _create(temporary, tuple(map(int, shape)), dtype)  # a numpy integer would spoil the header
        yield array
        if isinstance(array, np.memmap):
            array.flush()


def _create(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    if 0 in shape:  # an empty map is not allowed by the operating system
        empty = np.zeros(shape, dtype)
        with path.open("wb") as stream:
            np.save(stream, empty, allow_pickle=False)
        return empty
    array: Array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    return array


def scratch_array(shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
    """Zeros to write to, in a file without a name instead of in memory: a column of all images grows with the crawl.

    The system keeps in memory what is in use and writes the rest to the temporary folder (`TMPDIR`); the file vanishes
    with the array.
    """
    if 0 in shape:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, np.dtype(dtype), "w+", shape=tuple(map(int, shape))))


def blocks(rows: int) -> Iterator[slice]:
    """Cut columns of `rows` values into runs of BLOCK_ROWS: what is worked at in memory at a time."""
    return (slice(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS))


def open_array(path: Path) -> Array:
    """A read-only memory map of a published `.npy` file.

    Raises:
        ValueError: the file is damaged (its size does not match its header) or holds Python objects.
    """
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        expected = stream.tell() + int(np.prod(shape)) * dtype.itemsize
    if path.stat().st_size != expected:
        raise ValueError(f"{path}: {path.stat().st_size} bytes where its header promises {expected}: damaged")
    if 0 in shape:
        return np.zeros(shape, dtype)
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


class ArrayShards:
    """Several shards of equal row shape, read as one: `shards.gather(shard, row)`."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Map every `part-*.npy` of the folders; shard numbers run on from one folder to the next."""
        self.offsets = []  # first shard number of each folder
        self.shards: list[Array] = []
        for folder in folders:
            self.offsets.append(len(self.shards))
            self.shards += [open_array(path) for path in sorted(folder.glob("part-*.npy"))]
        if not self.shards:
            raise FileNotFoundError(f"no part-*.npy in {[str(folder) for folder in folders]}")
        self.row_shape: tuple[int, ...] = self.shards[0].shape[1:]
        self.dtype = self.shards[0].dtype

    def __len__(self) -> int:
        """Rows in all shards together."""
        return sum(len(shard) for shard in self.shards)

    def gather(self, shard: npt.NDArray[np.integer[Any]], row: npt.NDArray[np.integer[Any]]) -> Array:
        """The rows at (shard[i], row[i]), in that order; copies (len(shard), *row_shape) and nothing more."""
        out = np.empty((len(shard), *self.row_shape), self.dtype)
        for number in np.unique(shard):
            chosen = np.flatnonzero(shard == number)
            out[chosen] = self.shards[number][row[chosen]]
        return out
