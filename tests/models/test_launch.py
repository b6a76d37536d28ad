"""Jobs under torchrun: they run, they fail with their cause, they end with whoever started them."""

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from models.launch import RESTARTS, TrainingError, _Attempt, _attempt, launch
from models.specification import TrainingJob
from pipeline.storage.tables import read_table
from tests.models.conftest import SETTINGS

LOST = "a process was lost: all start anew, from what was saved last"
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


@dataclass
class Killer:
    """Listens to a job, and sends signal 9 to one of its processes whenever it has got further, so many times."""

    job_file: Path
    kills: int
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    events: list[dict[str, Any]] = field(default_factory=list)
    reached: int = 0  # images done at the last kill

    def hear(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if self.kills > 0 and event["event"] == "progress" and event["done"] >= self.reached + 2 * SETTINGS.batch_size:
            self.reached, self.kills = event["done"], self.kills - 1
            found = workers(self.job_file)
            found[self.rng.integers(len(found))].kill()

    def texts(self) -> list[str]:
        return [event["text"] for event in self.events if event["event"] == "message"]


@pytest.mark.usefixtures("one_core")
@pytest.mark.slow
def test_a_killed_process_is_made_up_for(trained: Path, make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    """With a checkpoint after every batch: the same launch ends with the undisturbed weights."""
    job, path = make_job(tmp_path / "out", checkpoint_seconds=0), tmp_path / "job.json"
    job.save(path)
    killer = Killer(path, kills=1)
    launch(path, 1, killer.hear)
    assert killer.kills == 0
    first, second = killer.texts()
    assert first == LOST
    assert second.startswith("going on after step")
    assert members(path) == []
    assert (job.out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert read_table(job.out / "margins").equals(read_table(trained / "margins"))


@pytest.mark.slow
def test_a_gang_outlives_the_loss_of_any_of_its_processes(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    """Twenty times one of two, by chance: what comes out is what comes out without any."""
    settings = dataclasses.replace(SETTINGS, epochs=40)
    for name, kills in (("undisturbed", 0), ("killed", 20)):
        job, path = make_job(tmp_path / name, settings=settings, checkpoint_seconds=0), tmp_path / f"{name}.json"
        job.save(path)
        killer = Killer(path, kills)
        launch(path, 2, killer.hear)
        assert killer.kills == 0
        assert killer.texts().count(LOST) == kills
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    assert (killed / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    assert read_table(killed / "margins").equals(read_table(undisturbed / "margins"))


def test_a_job_that_gets_no_further_is_given_up(
    make_job: Callable[..., TrainingJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it has done anything, again and again."""
    job, path = make_job(tmp_path / "out"), tmp_path / "job.json"
    job.save(path)
    attempts: list[int] = []

    def attempt(_job: list[str], _processes: int, _on_event: Callable[[dict[str, Any]], None]) -> _Attempt:
        attempts.append(len(attempts))
        return _Attempt(status=1, reached=16 * min(len(attempts), 2), cause=None, too_many=0, tail="")

    monkeypatch.setattr("models.launch._attempt", attempt)
    with pytest.raises(TrainingError, match="a process was lost and told no cause"):
        launch(path, 1, lambda _event: None)
    assert len(attempts) == 2 + RESTARTS + 1


def test_pieces_become_smaller_until_the_device_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, told = [], []

    def attempt(job: list[str], _processes: int, _on_event: Callable[[dict[str, Any]], None]) -> _Attempt:
        asked.append(job[2:])
        most = int(job[2]) if job[2:] else 7
        return _Attempt(status=int(most > least), reached=0, cause="no room", too_many=most * (most > least), tail="")

    monkeypatch.setattr("models.launch._attempt", attempt)
    least = 1
    launch(tmp_path / "job.json", 2, lambda event: told.append(event["text"]))
    assert asked == [[], ["3"], ["1"]]
    assert told[1] == (
        "the device has no room for 3 images at once: all start anew, from what was saved last, with at most 1"
    )
    least = 0
    with pytest.raises(TrainingError, match="no room"):
        launch(tmp_path / "job.json", 2, lambda _event: None)
    assert asked[3:] == [[], ["3"], ["1"]]


#: Python imports it by its name as it starts: here is a device that has room for so many images of a training.
SMALL_DEVICE = """
import torch
from models import networks

def forward(self, images, whole=networks.Classifier.forward):
    if self.training and len(images) > 4:
        raise torch.OutOfMemoryError("made up")
    return whole(self, images)

networks.Classifier.forward = forward
"""


@pytest.mark.slow
def test_two_processes_train_in_halves_on_a_device_without_room(
    make_job: Callable[..., TrainingJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is, byte for byte, the one that pieces of that size from the start would have given."""
    (tmp_path / "sitecustomize.py").write_text(SMALL_DEVICE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]))
    jobs = {name: make_job(tmp_path / name) for name in ("small", "known")}
    for name, job in jobs.items():
        job.save(tmp_path / f"{name}.json")
    killer = Killer(tmp_path / "small.json", kills=0)
    launch(tmp_path / "small.json", 2, killer.hear)
    assert len(killer.texts()) == 1
    assert killer.texts()[0].endswith("all start anew, from what was saved last, with at most 3")
    assert _attempt([str(tmp_path / "known.json"), "watched", "3"], 2, lambda _event: None).status == 0
    small, known = ((job.out / "model.safetensors").read_bytes() for job in jobs.values())
    assert small == known


def test_two_processes_train_one_model_whatever_befalls_them(
    make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """Ctrl-C in the first epoch leaves a checkpoint of that moment and no process; the next launch goes on from it.

    There one of the processes is killed: the other ends, and both start anew.
    """
    job, path = make_job(tmp_path / "out", checkpoint_seconds=0), tmp_path / "job.json"
    job.save(path)

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(path, 2, interrupt)
    assert members(path) == []
    assert 1 <= len(list((job.out / "checkpoint").glob("step-*.pt"))) <= 2
    killer = Killer(path, kills=1)
    launch(path, 2, killer.hear)
    assert killer.kills == 0
    texts = killer.texts()
    assert [text == LOST for text in texts] == [False, True, False]
    assert all(text.startswith("going on after step") for text in texts if text != LOST)
    epochs = [event for event in killer.events if event["event"] == "epoch"]
    assert [event["epochs"] for event in epochs] == [3] * len(epochs)
    assert {event["epoch"] for event in epochs} == {1, 2, 3}
    assert read_table(job.out / "curve")["images"].to_pylist() == [51, 102, 153]
    assert read_table(job.out / "margins")["sightings"].to_pylist() == [3] * 51


def test_a_job_that_fails_says_why(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    job, path = make_job(tmp_path / "out", manifest=tmp_path / "nowhere"), tmp_path / "job.json"
    job.save(path)
    with pytest.raises(TrainingError, match=r"exit status 1: FileNotFoundError: .*nowhere holds no table") as failure:
        launch(path, 1, lambda _event: None)
    assert "Traceback" in str(failure.value)
    assert members(path) == []


@pytest.mark.slow
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
