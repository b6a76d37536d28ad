"""The engine on a real Ray cluster: order, bounds, errors, lost processes; a cluster of our own is for nobody else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.engine import AHEAD, map_shards
from pipeline.ray_cluster import LostTaskError, RayCluster
from pipeline.storage.room import NoRoomError
from pipeline.storage.sealed import DamagedError
from tests.ray_nodes import connected_to, ray_nodes

CORES = 2
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    with ray_nodes(0, CORES) as started:
        yield started


@pytest.fixture
def cluster(nodes: Any, tmp_path: Path) -> RayCluster:
    return connected_to(nodes, tmp_path / "scratch")


def test_results_keep_the_order_of_the_tasks_and_come_from_other_processes(cluster: RayCluster) -> None:
    def work(task: int) -> tuple[int, int]:
        time.sleep(0.2 if task == 0 else 0)
        return task * task, os.getpid()

    found = list(map_shards(work, range(8), cluster))
    assert [square for square, _ in found] == [task * task for task in range(8)]
    assert os.getpid() not in {process for _, process in found}


def test_tasks_are_taken_as_they_are_needed(cluster: RayCluster) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(40):
            taken.append(task)
            yield task

    results = map_shards(abs, tasks(), cluster)
    assert next(results) == 0
    assert len(taken) <= CORES * AHEAD + 1
    assert list(results) == list(range(1, 40))


@pytest.mark.parametrize(
    ("kind", "told"), [(ValueError, ("task 1",)), (DamagedError, (Path("/part"), "no")), (NoRoomError, (28, "no room"))]
)
def test_a_failure_ends_the_map_as_what_it_was(
    cluster: RayCluster, kind: type[Exception], told: tuple[Any, ...]
) -> None:
    def work(task: int) -> int:
        if task == 1:
            raise kind(*told)
        return task

    error = kind(*told)

    results = map_shards(work, range(100), cluster)
    assert next(results) == 0
    with pytest.raises(type(error)) as raised:
        next(results)
    assert str(raised.value) == str(error)
    assert vars(raised.value).keys() >= vars(error).keys()
    assert any("in work" in note for note in raised.value.__notes__)


def test_what_is_written_to_an_argument_is_refused_and_not_lost(cluster: RayCluster) -> None:
    found = np.zeros(3)

    def work(task: int) -> None:
        found[task] = 1

    with pytest.raises(ValueError, match="read-only"):
        list(map_shards(work, range(3), cluster))


def test_a_lost_process_costs_its_task_another_try(cluster: RayCluster, tmp_path: Path) -> None:
    def work(task: int) -> int:
        if task == 1 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    assert list(map_shards(work, range(3), cluster)) == [0, 1, 2]


def test_a_task_that_always_loses_its_process_is_told_without_addresses(cluster: RayCluster) -> None:
    def work(task: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return task

    with pytest.raises(LostTaskError, match=r"^a task was lost 4 times, or its cluster was \(\w+\)$"):
        list(map_shards(work, [0], cluster))


def test_a_cluster_of_our_own_hears_the_loopback_alone_and_asks_for_a_token(tmp_path: Path) -> None:
    program = f"""
import os, psutil
from pathlib import Path
from pipeline.ray_cluster import RayCluster
assert list(RayCluster(None, 1, Path({str(tmp_path)!r})).map(abs, [-1, -2])) == [1, 2]
heard = {{
    at.laddr.ip
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]
    for at in process.net_connections("inet")
    if at.status == psutil.CONN_LISTEN
}}
print(sorted(heard), os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"]))
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heard, rest = told.stdout.strip().rsplit("]", 1)
    assert heard
    assert {ip.strip(" '[").removeprefix("::ffff:") for ip in heard.split(",")} == {"127.0.0.1"}
    assert rest.split() == ["token", "64"]
