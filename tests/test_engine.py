"""Shards come back in order, on one thread or many, and an exception is not swallowed."""

import threading
from collections.abc import Iterator

import pytest

from pipeline.engine import AHEAD, map_shards


@pytest.mark.parametrize("workers", [1, 3])
def test_results_keep_the_order_of_the_tasks(workers: int) -> None:
    first_may_end = threading.Event()

    def work(task: int) -> int:
        if task == 0 and workers > 1:
            assert first_may_end.wait(10)
        if task == 2:
            first_may_end.set()
        return task * task

    assert list(map_shards(work, range(6), workers)) == [0, 1, 4, 9, 16, 25]


def test_a_failure_ends_the_map() -> None:
    def work(task: int) -> int:
        if task == 1:
            raise ValueError("task 1")
        return task

    results = map_shards(work, range(100), 1)
    assert next(results) == 0
    with pytest.raises(ValueError, match="task 1"):
        next(results)


def test_no_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        list(map_shards(abs, [1], 0))


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(100):
            taken.append(task)
            yield task

    results = map_shards(abs, tasks(), 2)
    assert next(results) == 0
    assert len(taken) <= 2 * AHEAD + 1
    assert list(results) == list(range(1, 100))
