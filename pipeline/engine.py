"""Map a pure function over shards, on this machine or on a cluster, results in the order of the tasks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol, Self, TypeVar

AHEAD: Final = 2  # tasks a worker that are taken before their turn to be told
Task = TypeVar("Task")
Result = TypeVar("Result")


class Cluster(Protocol):
    """Machines that see the same store and work at shards together (`pipeline.ray_cluster`)."""

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """As `map_shards`, each task in some process of some machine.

        What the function and a task hold reaches that process as a copy that is read and not written: whatever it finds
        it returns, or publishes as files.
        """

    def accelerated(self) -> Self:
        """The same machines, each task with a GPU of its own where any of them has one."""


#: who works at the shards of a stage: so many threads of this process, or the machines of a cluster
Workers = int | Cluster


def map_shards(function: Callable[[Task], Result], tasks: Iterable[Task], workers: Workers) -> Iterator[Result]:
    """Apply `function` to each task, on threads of this process or on a cluster.

    Threads, because the work of a shard is done inside numpy, faiss and Arrow, which release the interpreter's lock.
    On a cluster function, tasks and results must be values that can be sent to another machine, or name files.
    An exception of any task ends the iteration; tasks not yet begun are dropped. No more than AHEAD tasks a worker are
    taken and not yet told of, so that memory is bounded by those.
    """
    return _on_threads(function, tasks, workers) if isinstance(workers, int) else workers.map(function, tasks)


def _on_threads(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
