"""Pixels and features: one fixed-shape `.npy` file per shard, memory-mapped, rows addressed by (shard, row)."""

import contextlib
import math
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.storage.atomic import atomic_file
from pipeline.storage.room import reserve, reserve_scratch, scratch_file
from pipeline.storage.sealed import DamagedError

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
    described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, described)
        stream.flush()
        reserve(stream.fileno(), stream.tell() + math.prod(shape) * np.dtype(dtype).itemsize, path)
    array: Array = np.lib.format.open_memmap(path, mode="r+")
    return array


def scratch_array(shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
    """Zeros to write to, in a file without a name instead of in memory: a column of all images grows with the crawl.

    The system keeps in memory what is in use and writes the rest to the temporary folder (`TMPDIR`); the file vanishes
    with the array.
    """
    if 0 in shape:
        return np.zeros(shape, dtype)
    with scratch_file() as file:
        reserve_scratch(file.fileno(), math.prod(map(int, shape)) * np.dtype(dtype).itemsize)
        return np.asarray(np.memmap(file, np.dtype(dtype), "w+", shape=tuple(map(int, shape))))


def finished(array: Array) -> Array:
    """The array itself, from now on read-only: what is told of it to others stays true."""
    owner = array
    while isinstance(owner, np.ndarray):
        owner.flags.writeable = False
        owner = owner.base  # type: ignore[assignment] # what it is a view of, at last no array
    return array


def blocks(rows: int) -> Iterator[slice]:
    """Cut columns of `rows` values into runs of BLOCK_ROWS: what is worked at in memory at a time."""
    return (slice(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS))


def open_array(path: Path) -> Array:
    """A read-only memory map of a published `.npy` file; its numbers are verified by `pipeline.storage.verify` alone.

    Raises:
        DamagedError: its header is broken, promises another size, or speaks of Python objects.
    """
    shape, dtype, start = _header(path)
    expected = start + math.prod(shape) * dtype.itemsize
    if path.stat().st_size != expected:
        raise DamagedError(path, f"{path.stat().st_size} bytes where its header promises {expected}")
    if 0 in shape:
        return np.zeros(shape, dtype)
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def array_rows(path: Path) -> int:
    """Rows of a published `.npy` file, by its header.

    Raises:
        DamagedError: the header is broken.
    """
    return _header(path)[0][0]


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type, and where the numbers begin."""
    with path.open("rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            first = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
        except (ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as error:
            raise DamagedError(path, f"its header is broken ({error})") from None
        if dtype.hasobject or min(shape, default=-1) < 0:
            raise DamagedError(path, f"its header is broken (shape {shape}, {dtype})")
        return shape, dtype, stream.tell()


class ArrayShards:
    """Several shards of equal row shape, read as one: `shards.gather(shard, row)`."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Map every `part-*.npy` of the folders; shard numbers run on from one folder to the next."""
        self.offsets = []  # first shard number of each folder
        self.shards: list[Array] = []
        for folder in folders:
            self.offsets.append(len(self.shards))
            # As plain arrays: of a `memmap` every piece that is cut out costs some microseconds more.
            self.shards += [np.asarray(open_array(path)) for path in sorted(folder.glob("part-*.npy"))]
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
        order = np.argsort(shard, kind="stable")
        numbers, starts = np.unique(shard[order], return_index=True)
        for number, own in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
            out[own] = self.shards[number][row[own]]
        return out
