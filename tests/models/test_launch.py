"""Jobs under torchrun: they run, they fail with their cause, they end with whoever started them."""

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from models.gang import Gang
from models.launch import TrainingError, launch
from models.specification import TrainingJob
from models.worker import run_training
from pipeline.storage.artifacts import Draft
from pipeline.storage.tables import read_table
from tests.models.conftest import SETTINGS

LONG = dataclasses.replace(SETTINGS, epochs=1000)


def members(job_file: Path) -> list[psutil.Process]:
    """Every process that names the job: torchrun and its workers."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if str(job_file) in process.cmdline():
                found.append(process)
    return found


def workers(job_file: Path) -> list[psutil.Process]:
    return [process for process in members(job_file) if "torch.distributed.run" not in process.cmdline()]


@pytest.fixture
def one_core() -> Iterator[None]:
    """Workers take one thread, as the tests do that train in their own process."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.mark.usefixtures("one_core")
def test_a_worker_killed_in_the_middle_is_told_of_and_made_up_for(
    trained: Path, make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """Signal 9 after some batches with a checkpoint each: the next attempt ends with the undisturbed weights."""
    job, path = make_job(tmp_path / "out", checkpoint_seconds=0), tmp_path / "job.json"
    job.save(path)

    def kill_in_second_epoch(event: dict[str, Any]) -> None:
        if event["event"] == "epoch" and event["epoch"] == 1:
            for worker in workers(path):
                worker.kill()

    with pytest.raises(TrainingError, match=r"job\.json failed with exit status 1"):
        launch(path, 1, kill_in_second_epoch)
    assert members(path) == []
    assert Draft(job.out).finished(0) is None
    texts: list[str] = []
    run_training(job, Gang(), lambda event: texts.append(event.get("text", "")), lambda: False)
    assert "going on after step" in texts[0]
    assert (job.out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert read_table(job.out / "margins").equals(read_table(trained / "margins"))


def test_two_processes_train_one_model_and_an_interrupt_saves_it(
    make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """Ctrl-C in the first epoch leaves a checkpoint of that moment and no process; the next launch goes on from it."""
    job, path = make_job(tmp_path / "out"), tmp_path / "job.json"
    job.save(path)

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(path, 2, interrupt)
    assert members(path) == []
    assert len(list((job.out / "checkpoint").glob("step-*.pt"))) == 1
    events: list[dict[str, Any]] = []
    launch(path, 2, events.append)
    assert "going on after step" in next(event["text"] for event in events if event["event"] == "message")
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2, 3]
    assert events[-1]["epochs"] == 3
    assert read_table(job.out / "curve")["images"].to_pylist() == [51, 102, 153]
    assert read_table(job.out / "margins")["sightings"].to_pylist() == [3] * 51


def test_a_job_that_fails_says_why(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    job, path = make_job(tmp_path / "out", manifest=tmp_path / "nowhere"), tmp_path / "job.json"
    job.save(path)
    with pytest.raises(TrainingError, match=r"exit status 1: FileNotFoundError: .*nowhere holds no table") as failure:
        launch(path, 1, lambda _event: None)
    assert "Traceback" in str(failure.value)
    assert members(path) == []


def test_workers_end_when_torchrun_is_killed(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    """No torchrun can end its workers then: they notice by themselves, and save where they stand."""
    job, path = make_job(tmp_path / "out", settings=LONG), tmp_path / "job.json"
    job.save(path)

    def kill_torchrun(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] < 2 * LONG.batch_size:
            for process in set(members(path)) - set(workers(path)):
                process.send_signal(signal.SIGKILL)

    with pytest.raises(TrainingError, match="exit status -9"):
        launch(path, 1, kill_torchrun)
    assert members(path) == []
    assert len(list((job.out / "checkpoint").glob("step-*.pt"))) == 1


def test_no_process_is_no_gang(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="processes must be at least 1"):
        launch(tmp_path / "job.json", 0, lambda _event: None)
