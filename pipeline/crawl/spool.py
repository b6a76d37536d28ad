"""Picture bytes copied out of a table, one after another in a few large files, so that they can be read alone."""

import contextlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple

from pipeline.storage.atomic import atomic_file

PART_BYTES: Final = 2**30


class Place(NamedTuple):
    """Where one picture's bytes lie."""

    container: str  # file of the spool
    offset: int  # bytes
    size: int  # bytes


class Spool:
    """Writes `part-00000.bin` and so on into a folder, whole or not at all; memory holds one picture."""

    def __init__(self, folder: Path, part_bytes: int = PART_BYTES) -> None:
        """A part is closed before it would grow past `part_bytes`; a larger picture has a part for itself."""
        self.folder = folder
        self.part_bytes = part_bytes
        self.files: dict[Path, int] = {}  # part -> pictures in it
        self._open = contextlib.ExitStack()
        self._stream: BinaryIO | None = None
        self._path = folder
        self._size = 0

    def append(self, data: bytes) -> Place:
        """Copy one picture's bytes."""
        if self._stream is None or (self._size and self._size + len(data) > self.part_bytes):
            self._stream = self._next_part()
        place = Place(self._path.name, self._size, len(data))
        self._stream.write(data)
        self._size += len(data)
        self.files[self._path] += 1
        return place

    def _next_part(self) -> BinaryIO:
        self._open.close()  # publishes the part before
        self._path = self.folder / f"part-{len(self.files):05d}.bin"
        self._size = 0
        self.files[self._path] = 0
        temporary = self._open.enter_context(atomic_file(self._path))
        return self._open.enter_context(temporary.open("wb"))

    def __enter__(self) -> "Spool":
        """Nothing is created before the first picture."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish the last part, or drop it after an exception."""
        self._open.__exit__(kind, error, trace)
