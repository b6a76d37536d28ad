"""Room on the disk: taken before it is used where its size is known, and told of in bytes where it is not there."""

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Final

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OTHER_FOLDER: Final = "set TMPDIR to a folder on a larger disk, and run again"
_REMEDY: Final = "make room, or move the store to a larger disk, and run again: what is finished stands"


class NoRoomError(OSError):
    """The disk, a quota or a limit on files leaves no room; the message tells needed and free bytes and the remedy."""


def require(folder: Path, needed: int, what: str) -> None:
    """Refuse what cannot fit, before any work.

    Args:
        folder: on the disk that is to hold it; it need not be there yet.
        needed: bytes.
        what: they are for, for the message.

    Raises:
        NoRoomError: fewer bytes are free.
    """
    free = free_bytes(folder)
    if free < needed:
        raise NoRoomError(errno.ENOSPC, f"{what} needs about {needed:,} bytes and {free:,} are free: {_REMEDY}")


def reserve(descriptor: int, size: int, where: Path, remedy: str = _REMEDY) -> None:
    """Take room for an open file now: a full disk is an error here, and kills the process once the file is mapped.

    Raises:
        NoRoomError: it is not there.
    """
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        told = (
            f"no room for {where}: it needs {size:,} bytes and {free_bytes(where):,} are free; the system says: "
            f"{error.strerror}: {remedy}"
        )
        raise NoRoomError(error.errno, told) from None


def reserve_scratch(descriptor: int, size: int) -> None:
    """Take room for a file without a name in the temporary folder.

    Raises:
        NoRoomError: it is not there.
    """
    reserve(descriptor, size, Path(tempfile.gettempdir()), _OTHER_FOLDER)


def scratch_file() -> IO[bytes]:
    """A new file without a name in the temporary folder (`TMPDIR`), which vanishes when it is closed.

    Raises:
        NoRoomError: no folder takes one.
    """
    try:
        return tempfile.TemporaryFile()
    except FileNotFoundError as error:  # what Python says where each folder that it tried refused a byte
        told = f"a scratch file needs more than the 0 bytes written so far; {_scratch_told()}; the system says: "
        raise NoRoomError(errno.ENOSPC, f"{told}{error.strerror}: {_OTHER_FOLDER}") from None


def _scratch_told() -> str:
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        folder = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - what it would have been; nothing is written there
    return f"{free_bytes(Path(folder)):,} are free in {folder} (TMPDIR)"


def explained(error: OSError, where: Path) -> OSError:
    """The error itself, or where it tells of no room, one that says how much was written and how much is free."""
    if error.errno not in _NO_ROOM or isinstance(error, NoRoomError):
        return error
    size = where.stat().st_size if where.is_file() else 0
    told = (
        f"no room for {where}: it needs more than the {size:,} bytes written so far; {free_bytes(where):,} are free "
        f"there, {_scratch_told()}; the system says: {error.strerror}: {_REMEDY}"
    )
    return NoRoomError(error.errno, told)


def free_bytes(path: Path) -> int:
    """On the disk where the path lies, or will."""
    there = path.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free
