"""Shards on the machines of a Ray cluster, which mount the same store; or on one of our own on this machine.

A task is sent to a process of some machine as bytes, and its result comes back as bytes; of arrays in files the names
alone (`pipeline.storage.shelf`). A task whose process or machine is lost begins anew elsewhere: what it publishes is
there whole or not at all, and the same whoever made it.
"""

import dataclasses
import functools
import importlib
import logging
import os
import secrets
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from threadpoolctl import threadpool_limits

from pipeline.engine import AHEAD, Result, Task
from pipeline.storage.shelf import Shelf, packed, unpacked

RETRIES: Final = 3  # of a task whose process or machine is lost
GRACE_SECONDS: Final = 60.0  # for tasks that are at work when a map ends early
#: Before Ray is imported: a cluster of our own then speaks over the loopback alone, to those who know its token, and
#: its processes wait for others no more than our threads would.
_ALONE: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_worker_niceness": "0"}


class LostTaskError(RuntimeError):
    """A task's process or machine was lost again and again, or the whole cluster was."""


@dataclass(frozen=True)
class RayCluster:
    """A cluster to send shards to; connected to once a process, when the first map begins. A core has a task."""

    address: (
        str | None
    )  # HOST:PORT of the cluster, "auto" for the one that this machine belongs to; None: one of our own
    workers: int  # cores of our own
    scratch: Path  # a folder that all machines see under this name
    gpus: int = 0  # of each task

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """As `pipeline.engine.Cluster.map`.

        Raises:
            ConnectionError: there is no such cluster.
            LostTaskError: a task was lost more than RETRIES times.
        """
        ray = _connected(self.address, self.workers)
        send = ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES, max_calls=0)(_work).remote
        most = AHEAD * max(1, int(ray.cluster_resources().get("GPU" if self.gpus else "CPU", 0)))
        waiting: deque[Any] = deque()
        with self._shelf.packed(function) as opened:
            told, token = ray.put(opened), secrets.token_hex(8)
            try:
                for task in tasks:
                    waiting.append(send(token, told, packed(task)))
                    if len(waiting) > most:
                        yield _heard(ray, waiting.popleft())
                while waiting:
                    yield _heard(ray, waiting.popleft())
            finally:
                _drop(ray, list(waiting))
                if self.gpus:  # its processes would hold their networks on the cards, which a training wants
                    ray.shutdown()

    def accelerated(self) -> Self:
        """As `pipeline.engine.Cluster.accelerated`."""
        ray = _connected(self.address, self.workers)
        return dataclasses.replace(self, gpus=int(ray.cluster_resources().get("GPU", 0) >= 1))

    @functools.cached_property
    def _shelf(self) -> Shelf:
        return Shelf(self.scratch)


def _connected(address: str | None, workers: int) -> Any:
    """Ray, as a module without types, once this process is connected."""
    if address is None:
        for name, value in (_ALONE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}).items():
            os.environ.setdefault(name, value)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = importlib.import_module("ray")  # it reads the environment
    except ModuleNotFoundError:
        raise ModuleNotFoundError('run.engine = "ray" needs Ray: pip install "winnow[ray]"') from None
    if not ray.is_initialized():
        own = {"address": "local", "num_cpus": workers, "include_dashboard": False}
        try:
            ray.init(
                **(own if address is None else {"address": address}), log_to_driver=False, logging_level=logging.ERROR
            )
        except ConnectionError:
            raise ConnectionError("run.ray_address: no Ray cluster answers there, or it asks for a token") from None
    return ray


def _drop(ray: Any, waiting: list[Any]) -> None:
    """Have tasks that are not begun never begin, and return once the others have ended."""
    for each in waiting:
        ray.cancel(each)
    if waiting:
        ray.wait(waiting, num_returns=len(waiting), timeout=GRACE_SECONDS)


def _heard(ray: Any, answer: Any) -> Any:
    """What a task found.

    Raises:
        LostTaskError: nothing, for good.
        Exception: whatever the task raised.
    """
    try:
        done, found = unpacked(ray.get(answer))
    except ray.exceptions.RayError as error:
        kind = type(error).__name__  # alone: the rest names machines
        raise LostTaskError(f"a task was lost {RETRIES + 1} times, or its cluster was ({kind})") from None
    if not done:
        raise _rebuilt(*found)
    return found


@dataclass(frozen=True)
class _Sent:
    """A function's bytes, told apart by their token."""

    token: str
    data: bytes = field(compare=False)


def _work(token: str, function: bytes, task: bytes) -> bytes:
    """Do one task, in whichever process it was sent to; a number of threads would show in the last digits."""
    try:
        with threadpool_limits(1):
            return packed((True, _opened(_Sent(token, function))(unpacked(task))))
    except Exception as error:
        return _failure(error)


@functools.lru_cache(maxsize=1)
def _opened(sent: _Sent) -> Callable[[Any], Any]:
    """The function of a map; the files it names are opened once in each process."""
    function: Callable[[Any], Any] = unpacked(sent.data)
    return function


def _failure(error: Exception) -> bytes:
    """An exception as bytes: its class, what it was made of and what it holds; many cannot be pickled as they are."""
    trace = "".join(traceback.format_exception(error))
    try:
        return packed((False, (type(error), error.args, error.__dict__, trace)))
    except Exception:
        return packed((False, (RuntimeError, (f"{type(error).__name__}: {error}",), {}, trace)))


def _rebuilt(kind: type[Exception], args: tuple[Any, ...], held: dict[str, Any], trace: str) -> Exception:
    error = kind.__new__(kind, *args)  # `__init__` of ours takes something else
    error.__dict__.update(held)
    error.add_note(f"in the process that the task was sent to:\n{trace}")
    return error
