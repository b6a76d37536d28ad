"""Peak memory of a stage: this process and everything it started."""

import threading
import time
from types import TracebackType
from typing import Self

import psutil

INTERVAL_S = 0.2
#: Between two samples the sampler waits at least so many times what the last one took of a processor: a machine with
#: many processes has a long list to look through.
WAITED = 100


class MemorySampler:
    """Samples the resident memory of the process tree while the block runs; `peak_bytes` afterwards.

    Shared pages (memory-mapped shards, forked code) count once per process, so the figure is an upper bound.
    """

    def __init__(self) -> None:
        """Nothing is sampled before the block is entered."""
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        process = psutil.Process()
        while True:
            started = time.thread_time()
            self.peak_bytes = max(self.peak_bytes, _tree_bytes(process))
            if self._stop.wait(max(INTERVAL_S, WAITED * (time.thread_time() - started))):
                return


def _tree_bytes(process: psutil.Process) -> int:
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended between the listing and the question
    return total
