"""Dagster's SQLite files, held open while a command works with them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Engine

MOST: Final = 16  # files; a run has one of its own


@contextmanager
def held_open(folder: Path) -> Iterator[None]:
    """Keep a connection to each database of a folder that this process connects to.

    Dagster connects anew for each question. Whenever the last connection to a file is closed, SQLite writes its log
    back and flushes the disk: in a whole run more than a thousand times. Nor does each event wait for the disk: should
    the power fail, the last of them may be missing from Dagster's records, which hold no results.
    """
    held: dict[str, sqlite3.Connection] = {}

    def connected(connection: Any, _record: object) -> None:
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if not Path(path).is_relative_to(folder):
            return
        connection.execute("PRAGMA synchronous = NORMAL")
        if path not in held:
            held[path] = sqlite3.connect(path, check_same_thread=False)
            if len(held) > MOST:
                held.pop(next(iter(held))).close()
        held[path].execute("PRAGMA schema_version").fetchone()  # only who has read counts as connected

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)
        for connection in held.values():
            connection.close()
