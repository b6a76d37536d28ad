"""Map a pure function over shards on this machine, results in the order of the tasks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

AHEAD: Final = 2  # tasks a worker that are taken before their turn to be told
Task = TypeVar("Task")
Result = TypeVar("Result")


def map_shards(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Apply `function` to each task on `workers` threads.

    Threads, because the work of a shard is done inside numpy, faiss and Arrow, which release the interpreter's lock;
    a task and its result must still be plain values, so that another engine can send them to another machine.
    An exception of any task ends the iteration; tasks not yet begun are dropped. No more than AHEAD tasks a worker are
    taken and not yet told of, so that memory is bounded by those.
    """
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
