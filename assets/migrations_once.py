"""The history of Dagster's tables, read once by a command."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from alembic.script import ScriptDirectory


@contextmanager
def migrations_once() -> Iterator[None]:
    """Read the migrations of Dagster's tables once in this block, however many databases are made.

    Each run has a database of its own, for whose making Dagster imports some ninety files twice over: a quarter of a
    second, spent to learn the name of the last of them, which does not change while a command works.
    """
    genuine = vars(ScriptDirectory)["from_config"]
    ScriptDirectory.from_config = functools.cache(ScriptDirectory.from_config)  # type: ignore[method-assign]
    try:
        yield
    finally:
        ScriptDirectory.from_config = genuine
