"""Values as bytes for other machines that see the same store: an array in a file is told by the file's name.

A published array is named where it lies. One that lies in memory, or in a file without a name, is first laid down in a
folder of the store: once for all where nothing can write to it any more (`pipeline.storage.arrays.finished`), and
otherwise for as long as the bytes are in use.
"""

import contextlib
import io
import pickle
import secrets
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import cloudpickle
import numpy as np

from pipeline.storage.arrays import Array
from pipeline.storage.locks import BusyError, exclusive, in_turn

LEAST_BYTES: Final = 2**16  # smaller arrays travel with the rest


class Shelf:
    """A folder for the arrays that one process shares with others; it goes with the object, or with the process.

    What killed processes left is cleared by the next one that opens a shelf beside theirs.
    """

    def __init__(self, root: Path) -> None:
        """Open a folder of its own below `root`, which all machines must see under this name."""
        self._lock = contextlib.ExitStack()
        with in_turn(root / "lock"):  # or another process would clear the folder before its lock is held
            _clear(root)
            self.folder = root.absolute() / secrets.token_hex(8)
            self._lock.enter_context(exclusive(self.folder / "lock"))
        self._lain: dict[tuple[Any, ...], Path] = {}
        self.close = weakref.finalize(self, _remove, self.folder, self._lock)

    @contextlib.contextmanager
    def packed(self, value: object) -> Iterator[bytes]:
        """`value` as bytes for `unpacked`, for as long as the block lasts.

        Paths in it become absolute, arrays read-only: what a worker wrote to them nobody would ever see.
        """
        passing: list[Path] = []
        try:
            yield _pack(value, lambda array: self._named(array, passing))
        finally:
            for path in passing:
                path.unlink(missing_ok=True)

    def _named(self, array: Array, passing: list[Path]) -> Any:
        if array.nbytes < LEAST_BYTES:
            return _of_bytes, (array.tobytes(_axes(array)), array.dtype, array.shape, _axes(array))
        path, start = _place(array) or (self._lay(array, passing), 0)
        return _of_file, (path, start, array.dtype, array.shape, _axes(array))

    def _lay(self, array: Array, passing: list[Path]) -> Path:
        """A file with the array's numbers; it is one of the passing ones where others could be written to the array."""
        owner = _owner(array)
        key = (id(owner), array.ctypes.data, array.nbytes)
        found = self._lain.get(key)
        if found is None:
            found = self.folder / f"{secrets.token_hex(8)}.raw"
            array.ravel(_axes(array)).tofile(found)
            if owner.flags.writeable:
                passing.append(found)
                return found
            self._lain[key] = found
            weakref.finalize(owner, _forget, self._lain, key)  # its address may be another array's from then on
        return found


def packed(value: object) -> bytes:
    """`value` as bytes for `unpacked`, its arrays' numbers among them."""
    return _pack(value, lambda array: np.asarray(array).__reduce_ex__(5))


def unpacked(data: bytes) -> Any:
    """What was made bytes of, on any machine that sees the store; only ever of bytes that our own processes sent."""
    return pickle.loads(data)  # noqa: S301 - never read from a file, nor from anybody else


def _pack(value: object, array: Callable[[Array], Any]) -> bytes:
    stream = io.BytesIO()
    _Packer(stream, array).dump(value)
    return stream.getvalue()


class _Packer(cloudpickle.Pickler):  # type: ignore[misc] # it has no types
    """Pickles by value what cannot be imported, as closures are; paths absolute, arrays as it is told."""

    def __init__(self, stream: io.BytesIO, array: Callable[[Array], Any]) -> None:
        super().__init__(stream, protocol=5)
        self._array = array

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Path):
            return Path, (str(value.absolute()),)
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return self._array(value)
        return super().reducer_override(value)


def _axes(array: Array) -> Any:
    """How its numbers follow one another: kept, because products of matrices may round differently otherwise."""
    return "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"


def _place(array: Array) -> tuple[Path, int] | None:
    """The file with a name that an array is a view of, and where in it the array begins; None where there is none."""
    owner = _owner(array)
    if not isinstance(owner, np.memmap) or owner.filename is None or not array.flags.forc:
        return None
    if owner.mode != "r":
        owner.flush()  # other machines see what has reached the disk
    return Path(owner.filename), array.ctypes.data - owner.ctypes.data + owner.offset


def _owner(array: Array) -> Array:
    """The array that the numbers belong to: of views of views, the one at the bottom."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _of_bytes(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], axes: Any) -> Array:
    return np.ndarray(shape, dtype, data, order=axes)


def _of_file(path: Path, start: int, dtype: np.dtype[Any], shape: tuple[int, ...], axes: Any) -> Array:
    return np.memmap(path, dtype, "r", start, shape, axes)


def _forget(lain: dict[tuple[Any, ...], Path], key: tuple[Any, ...]) -> None:
    lain.pop(key).unlink(missing_ok=True)


def _clear(root: Path) -> None:
    """Remove the folders below `root` whose process has gone."""
    for folder in root.iterdir():
        if folder.is_dir():
            with contextlib.suppress(BusyError), exclusive(folder / "lock"):
                shutil.rmtree(folder)


def _remove(folder: Path, lock: contextlib.ExitStack) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()
