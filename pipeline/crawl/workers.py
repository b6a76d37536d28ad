"""Decoding an untrusted crawl in killable processes: an image that hangs or kills its decoder costs itself only."""

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles, DefectError
from pipeline.crawl.worker import READY, ROW, USABLE, WAITING, defect_row
from pipeline.storage.room import reserve

_BATCH: Final = 32  # images handed over at once: a round trip costs little beside them, a worker never idles long
_TIMERS: Final = (signal.SIGPROF, signal.SIGALRM)
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Source(NamedTuple):
    """Where one picture's bytes lie. With a size: in a container; without: a file of its own."""

    path: str  # inside the crawl, or the container's, as listed (untrusted)
    offset: int = 0
    size: int | None = None


@dataclass(frozen=True)
class Results:
    """What came of a list of sources, in its order. The pixels are overwritten by the pool's next `decode`."""

    pixels: npt.NDArray[np.uint8]  # [N, S, S, 3], RGB; only the usable rows mean anything
    rows: npt.NDArray[Any]  # [N] of `worker.ROW`

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Which of them are pictures, [N]."""
        mask: npt.NDArray[np.bool_] = self.rows["state"] == USABLE
        return mask


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    ready: bool = False
    batch: Sequence[int] = field(default=())  # the slots it is at


class DecodePool:
    """Worker processes that read and decode, for as long as the `with` block lasts.

    Each image may use `settings.timeout_s` processor seconds (`timeout`) and `settings.memory_mb` of memory (`memory`).
    An image whose decoder dies twice is `crashed`; once could be anybody's doing, so it is tried again. Workers are
    programs of their own, not forks, so the caller may have threads. Nothing of theirs is left behind when the block
    ends or the caller is killed: what they write lies in files without names.
    """

    def __init__(
        self,
        files: CrawlFiles,
        settings: DecodeSettings,
        workers: int,
        *,
        containers: CrawlFiles | None = None,
        scratch: Path | None = None,
    ) -> None:
        """Nothing is started before the block is entered.

        Args:
            files: where sources without a size lie.
            settings: what is decoded, and the limits.
            workers: processes, at least 1.
            containers: where sources with a size lie; the crawl itself if None.
            scratch: a folder on a disk with room for the pixels of one `decode`; the system's temporary folder if None.
        """
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self._settings = settings
        self._job = json.dumps(
            {"files": files.address, "containers": (containers or files).address, "settings": asdict(settings)}
        ).encode()
        self._count = workers
        self._workers: list[_Worker] = []
        self._waiting: deque[Sequence[int]] = deque()
        self._suspects: set[int] = set()
        self._scratch = scratch or Path(tempfile.gettempdir())
        self._pixels = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 closed with the pool
        self._rows = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115

    def __enter__(self) -> Self:
        """Start the workers."""
        self._workers = [self._start() for _ in range(self._count)]
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """End every worker, at work or not: none holds anything worth keeping."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.wait()
            worker.connection.close()
        self._workers = []
        self._pixels.close()
        self._rows.close()

    def decode(self, sources: Sequence[Source], on_progress: Callable[[int], None] | None = None) -> Results:
        """Decode the sources; every one of them ends as pixels or as a named defect.

        Args:
            sources: N of them; N x S x S x 3 bytes of scratch are used, so N bounds the memory.
            on_progress: told how many images were done since it was last called.

        Raises:
            RuntimeError: the workers cannot start.
            NoRoomError: there is no room for the pixels.
        """
        slots = len(sources)
        self._clear(slots)
        self._waiting.extend(range(at, min(at + _BATCH, slots)) for at in range(0, slots, _BATCH))
        done = 0
        while done < slots:
            self._hand_out(sources)
            for connection in wait([worker.connection for worker in self._workers]):
                worker = next(worker for worker in self._workers if worker.connection is connection)
                finished = self._hear(worker)
                done += finished
                if finished and on_progress is not None:
                    on_progress(finished)
        return Results(self._map_pixels(slots), self._read_rows(range(slots)))

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        descriptors = (theirs.fileno(), self._pixels.fileno(), self._rows.fileno())
        with theirs:
            process = subprocess.Popen(
                # -P: a crawl's folder may be the current one, and may hold a numpy.py.
                [sys.executable, "-P", "-m", "pipeline.crawl.worker", *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        ours.send_bytes(self._job)
        return _Worker(process, ours)

    def _hand_out(self, sources: Sequence[Source]) -> None:
        for worker in self._workers:
            if worker.ready and not worker.batch and self._waiting:
                worker.batch = self._waiting.popleft()
                with contextlib.suppress(ConnectionError):  # it died since: `wait` reports it at once
                    worker.connection.send_bytes(json.dumps([(slot, *sources[slot]) for slot in worker.batch]).encode())

    def _hear(self, worker: _Worker) -> int:
        """Take one message of a worker, or its death; returns how many images are done by it."""
        try:
            message = worker.connection.recv_bytes()
        except (EOFError, ConnectionError):
            return self._bury(worker)
        finished = len(worker.batch)
        worker.ready = True
        worker.batch = ()
        return 0 if message == READY else finished

    def _bury(self, worker: _Worker) -> int:
        status = worker.process.wait()
        worker.connection.close()
        if not worker.ready:
            raise RuntimeError(f"a decoding process could not start (exit status {status}): its error stands above")
        self._workers[self._workers.index(worker)] = self._start()
        batch = worker.batch
        finished = int(np.count_nonzero(self._read_rows(batch)["state"] != WAITING)) if batch else 0
        if finished == len(batch):
            return finished
        culprit = batch[finished]  # a batch is worked at in order
        if -status in _TIMERS:
            self._condemn(culprit, DefectError("timeout", f"more than {self._settings.timeout_s:g} seconds"))
        elif culprit in self._suspects:
            self._condemn(culprit, DefectError("crashed", _death(status)))
        else:
            self._suspects.add(culprit)
            self._waiting.appendleft(batch[finished:])
            return finished
        if batch[finished + 1 :]:
            self._waiting.appendleft(batch[finished + 1 :])
        return finished + 1

    def _condemn(self, slot: int, defect: DefectError) -> None:
        os.pwrite(self._rows.fileno(), defect_row(defect), slot * ROW.itemsize)

    def _clear(self, slots: int) -> None:
        self._suspects.clear()
        os.ftruncate(self._rows.fileno(), 0)
        if slots:  # room is taken now, where a full disk is our error, not later, where it would kill a worker
            reserve(self._rows.fileno(), slots * ROW.itemsize, self._scratch)
            reserve(self._pixels.fileno(), slots * self._slot_bytes, self._scratch)

    @property
    def _slot_bytes(self) -> int:
        return self._settings.image_size**2 * 3

    def _read_rows(self, slots: Sequence[int]) -> npt.NDArray[Any]:
        """Rows of consecutive slots."""
        size = len(slots) * ROW.itemsize
        return np.frombuffer(os.pread(self._rows.fileno(), size, slots[0] * ROW.itemsize) if slots else b"", ROW)

    def _map_pixels(self, slots: int) -> npt.NDArray[np.uint8]:
        side = self._settings.image_size
        if not slots:
            return np.zeros((0, side, side, 3), np.uint8)
        view = mmap.mmap(self._pixels.fileno(), slots * self._slot_bytes, access=mmap.ACCESS_READ)
        return np.frombuffer(view, np.uint8).reshape(slots, side, side, 3)


def _death(status: int) -> str:
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
