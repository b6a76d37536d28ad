"""One writer per partition: the loser of a race learns it at once and stops."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pipeline.storage.room import explained


class BusyError(RuntimeError):
    """Another process is writing the same partition."""


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; the operating system frees it however the process ends.

    Raises:
        BusyError: somebody else holds it; the message names the process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            raise BusyError(f"{path.stem} is being written by {holder}; wait for it, or stop it") from None
        _sign(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _sign(descriptor: int, path: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    except OSError as error:
        raise explained(error, path) from None


@contextlib.contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for a moment; whoever holds it now is waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
