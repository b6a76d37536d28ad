"""The history of a store: one sealed line for each computation, what it took, oldest first."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.storage.atomic import publish_bytes, remove_beside
from pipeline.storage.locks import in_turn
from pipeline.storage.sealed import DamagedError, sealed, unsealed

Work = dict[str, Any]  # stage, partition, identity, started, seconds, peak_mb


def read_work(path: Path) -> list[Work]:
    """Every line.

    Raises:
        DamagedError: a line is not what was written.
    """
    lines = sound_lines(path)
    for number, line in enumerate(lines, 1):
        if line is None:
            raise DamagedError(path, f"line {number} is not what was written: its checksum does not fit")
    return [line for line in lines if line is not None]


def sound_lines(path: Path) -> list[Work | None]:
    """What each line tells; None for a damaged one."""
    if not path.exists():
        return []
    return [unsealed(line) for line in path.read_bytes().splitlines(keepends=True)]


def add_work(path: Path, lock: Path, lines: Iterable[Work]) -> None:
    """Put lines at the end. The file is written anew: an appended line could be torn, and glued to the next.

    Raises:
        DamagedError: a line that stands there is damaged.
    """
    with in_turn(lock):
        write_work(path, [*read_work(path), *lines])


def merged_work(*histories: Iterable[Work]) -> list[Work]:
    """Every line of some histories once, oldest first."""
    lines = {sealed(line): line for history in histories for line in history}
    return sorted(lines.values(), key=lambda line: (float(line["started"]), line["stage"], line["partition"]))


def write_work(path: Path, lines: Iterable[Work]) -> None:
    """Write the whole history; call only while holding its lock."""
    remove_beside(path)
    publish_bytes(path, b"".join(sealed(line) for line in lines))
