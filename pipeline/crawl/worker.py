"""One decoding process: reads and decodes what its parent names, under limits the kernel enforces.

The process trusts its parent and nothing else. It is ended by the kernel, even where its parent is gone, when an image
goes past its processor or wall time; it ends itself when the parent's end of the connection closes. Pixels and rows go
straight into two files the parent opened, so that only short messages cross the connection:

    parent -> worker   {"files", "containers", "settings"} once; then lists of [slot, path, offset, size] (JSON)
    worker -> parent   READY once; then DONE after every list
"""

import json
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any, Final

import cv2
import numpy as np
import psutil

from pipeline.crawl.decode import Decoded, DecodeSettings, decode
from pipeline.crawl.files import CrawlFiles, DefectError
from pipeline.records import DEFECTS

READY: Final = b"ready"
DONE: Final = b"done"

#: Row states. A defect's state is FIRST_DEFECT + its position in DEFECTS.
WAITING: Final = 0
USABLE: Final = 1
FIRST_DEFECT: Final = 2

#: Wall time over processor time: reading from a slow store, waiting for a busy machine.
WALL_FACTOR: Final = 10

#: What is known of one slot's image. All zero: nothing yet. `detail` is UTF-8.
ROW: Final = np.dtype(
    [
        ("state", "u1"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("sha256", "S64"),
        ("perceptual_hash", "<u8"),
        ("detail", "S200"),
    ]
)


def usable_row(decoded: Decoded) -> bytes:
    """The row of a decoded picture."""
    row = (USABLE, decoded.width, decoded.height, decoded.sha256, decoded.perceptual_hash, b"")
    return np.array(row, ROW).tobytes()


def defect_row(defect: DefectError) -> bytes:
    """The row of a picture that cannot be used."""
    state = FIRST_DEFECT + DEFECTS.index(defect.code)
    return np.array((state, 0, 0, b"", 0, defect.detail.encode(errors="replace")), ROW).tobytes()


def _limit(settings: DecodeSettings) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = psutil.Process().memory_info().vms + settings.memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; ending workers is the parent's task
    cv2.setNumThreads(1)
    # Decoding libraries write what hostile files make them write: none of it belongs on a terminal.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)


def _arm(seconds: float) -> None:
    """Have the kernel end this process after so much processor time, or ten times as much wall time. 0 disarms."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, WALL_FACTOR * seconds)


def _serve(connection: Connection, pixels: int, rows: int) -> None:
    job: dict[str, Any] = json.loads(connection.recv_bytes())
    settings = DecodeSettings(**job["settings"] | {"formats": tuple(job["settings"]["formats"])})
    files, containers = CrawlFiles(job["files"]), CrawlFiles(job["containers"])
    slot_bytes = settings.image_size**2 * 3
    _limit(settings)
    connection.send_bytes(READY)
    while True:
        for slot, path, offset, size in json.loads(connection.recv_bytes()):
            _arm(settings.timeout_s)
            try:
                place = files if size is None else containers
                decoded = decode(place.read(path, settings.max_bytes, offset, size), settings)
            except DefectError as defect:
                row = defect_row(defect)
            else:
                os.pwrite(pixels, decoded.pixels.data, slot * slot_bytes)
                row = usable_row(decoded)
            os.pwrite(rows, row, slot * ROW.itemsize)  # last: a row that stands tells that its pixels do
        _arm(0)
        connection.send_bytes(DONE)


if __name__ == "__main__":
    try:
        with Connection(int(sys.argv[1])) as parent:
            _serve(parent, int(sys.argv[2]), int(sys.argv[3]))
    except (EOFError, ConnectionError):
        pass  # the parent is gone, or has no more work
