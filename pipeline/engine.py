"""Map a pure function over shards on this machine, results in the order of the tasks."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_shards(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Apply `function` to each task on `workers` threads.

    Threads, because the work of a shard is done inside numpy, faiss and Arrow, which release the interpreter's lock;
    a task and its result must still be plain values, so that another engine can send them to another machine.
    An exception of any task ends the iteration; tasks not yet begun are dropped.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(function, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
