"""Faults that pass are waited for and tried again; what is wrong with data or settings is told at once."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar, cast

import dagster as dg

from assets.command_runs import PROCESS_TAG
from pipeline.storage.locks import BusyError
from pipeline.storage.room import NoRoomError

TRIES: Final = 5
FIRST_WAIT_S: Final = 30  # and twice as long every time after

_PASSING = (BusyError, OSError)
_LASTING = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, NoRoomError)

P = ParamSpec("P")
R = TypeVar("R")


def patient(compute: Callable[P, R]) -> Callable[P, R]:
    """An asset's function that asks Dagster to try again, later and later, where another process writes the same, or
    a disk or a network is out of reach."""

    @functools.wraps(compute)
    def at_once(*args: P.args, **kwargs: P.kwargs) -> R:
        with _patience():
            return compute(*args, **kwargs)

    @functools.wraps(compute)
    def one_by_one(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        with _patience():
            yield from cast("Iterator[Any]", compute(*args, **kwargs))

    return cast("Callable[P, R]", one_by_one) if inspect.isgeneratorfunction(compute) else at_once


@contextmanager
def _patience() -> Iterator[None]:
    try:
        yield
    except _PASSING as error:
        context = dg.AssetExecutionContext.get()
        # Whoever runs it in a terminal is told, and decides himself.
        if isinstance(error, _LASTING) or PROCESS_TAG in context.run.tags:
            raise
        wait = FIRST_WAIT_S * 2**context.retry_number
        context.log.warning(f"{error}; tried again in {wait} s, {TRIES} times at most")
        raise dg.RetryRequested(max_retries=TRIES, seconds_to_wait=wait) from error
