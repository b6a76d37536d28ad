"""What became of all tries of one fault, and the table of them."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]  # of the table and its JSON


class Lost(Exception):  # noqa: N818 - it is what happened
    """A try was not survived; the message says what was lost."""


def hold(truth: object, otherwise: str) -> None:
    """Raises Lost unless something is true."""
    if not truth:
        raise Lost(otherwise)


@dataclass
class Tally:
    """One fault: how often it was tried, what survived it, and how long it took until all was as before."""

    fault: str
    tries: int = 0
    survived: int = 0
    seconds: list[float] = field(default_factory=list)  # of recovery
    lost: list[str] = field(default_factory=list)  # what went wrong in each try that was not survived
    found: Counter[str] = field(default_factory=Counter)  # what became of the tries, where that is more than one thing

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """One try; Lost in the block says what was lost."""
        self.tries += 1
        try:
            yield
        except Lost as error:
            self.lost.append(f"{what}: {error}")
        else:
            self.survived += 1

    def timed(self, recover: Callable[[], object]) -> None:
        """Recover, and note how long that took."""
        started = time.perf_counter()
        recover()
        self.seconds.append(time.perf_counter() - started)

    def row(self) -> Row:
        """As a line of the table tells it."""
        middle = round(statistics.median(self.seconds), 3) if self.seconds else None
        worst = round(max(self.seconds), 3) if self.seconds else None
        told = {"fault": self.fault, "tries": self.tries, "survived": self.survived, "lost": self.tries - self.survived}
        told |= {"recovery_median_s": middle, "recovery_worst_s": worst, "what_was_lost": self.lost[:5]}
        return told | {"found": dict(self.found)}


def table(rows: Sequence[Row]) -> str:
    """All faults as Markdown."""
    lines = [
        "| fault | tries | survived | lost | recovery, median s | worst s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        times = [
            f"{row[name]:.2f}" if row[name] is not None else "" for name in ("recovery_median_s", "recovery_worst_s")
        ]
        cells = [str(row["fault"]), *(f"{row[name]:,}" for name in ("tries", "survived", "lost")), *times]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *_found(rows)])


def _found(rows: Sequence[Row]) -> list[str]:
    """What became of the tries of the faults that tell it, as a table below the first."""
    names = sorted({name for row in rows for name in row.get("found", {})})
    if not names:
        return []
    lines = ["", f"| fault | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    told = [row for row in rows if row.get("found")]
    return lines + [
        f"| {' | '.join([row['fault'], *(format(row['found'].get(name, 0), ',') for name in names)])} |" for row in told
    ]
