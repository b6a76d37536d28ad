"""How far a stage is: a bar in the terminal, a line every few seconds in the Dagster UI."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[int], None]
Log = Callable[[str], None]
LOG_EVERY_S = 5.0


class ProgressReporter(Protocol):
    """Shows the advance of one stage at a time."""

    def track(self, title: str, total: int | None, log: Log) -> AbstractContextManager[Advance]:
        """A block in which `advance(n)` says that n more of `total` (None: unknown) are done; `log` is the run's."""
        ...

    def say(self, text: str) -> None:
        """One finished line."""
        ...


class LogProgress:
    """Progress as lines of the run's log: what the Dagster UI shows."""

    @contextmanager
    def track(self, title: str, total: int | None, log: Log) -> Iterator[Advance]:
        """See ProgressReporter."""
        started = last = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last >= LOG_EVERY_S and done:
                last = now
                log(f"{title}: {done:,}" + (_to_go(done, total, now - started) if total else ""))

        yield advance

    def say(self, text: str) -> None:
        """Nothing: the UI has the run's own events."""


def _to_go(done: int, total: int, seconds: float) -> str:
    return f" of {total:,}, about {(total - done) * seconds / done:.0f} s to go"


class TerminalProgress:
    """Progress as a bar with the expected time, on the terminal; plain lines where the output is a file."""

    def __init__(self, console: Console) -> None:
        """Draw on this console."""
        self.console = console

    @contextmanager
    def track(self, title: str, total: int | None, log: Log) -> Iterator[Advance]:  # noqa: ARG002 - the bar is the log here
        """See ProgressReporter."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        if not self.console.is_terminal:
            self.say(f"{title} ...")
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(title, total=total)
            yield lambda count: progress.advance(task, count)

    def say(self, text: str) -> None:
        """Print the line above whatever bar is showing."""
        self.console.print(text, markup=False, highlight=False)
