"""The launcher of `deploy/`: a run whose process is gone is known to be."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
import yaml
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus

from assets.command_runs import command_tags
from assets.launcher import WatchedRuns
from tests.deploy.places import DEPLOY


@dg.job
def nothing() -> None:
    pass


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    told = yaml.safe_load((DEPLOY / "one-machine" / "dagster.yaml").read_text())
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides={"run_launcher": told["run_launcher"]}) as made:
        yield made


def run_in(instance: dg.DagsterInstance, pid: int | None, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    run = instance.create_run_for_job(nothing, tags=tags)
    if pid is not None:
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    return run


def health(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerStatus:
    assert isinstance(instance.run_launcher, WatchedRuns)
    assert instance.run_launcher.supports_check_run_worker_health
    return instance.run_launcher.check_run_worker_health(run).status


def ended_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_run_lives_as_long_as_its_process(instance: dg.DagsterInstance) -> None:
    assert health(instance, run_in(instance, os.getpid())) == WorkerStatus.RUNNING
    assert health(instance, run_in(instance, ended_process())) == WorkerStatus.FAILED
    assert health(instance, run_in(instance, None)) == WorkerStatus.RUNNING  # it has only been asked for


def test_a_dead_process_whose_parent_has_not_asked_is_dead(instance: dg.DagsterInstance) -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as done:
        assert done.stdout is not None
        done.stdout.read()  # until it ends
        while psutil.Process(done.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert health(instance, run_in(instance, done.pid)) == WorkerStatus.FAILED


def test_the_latest_process_of_a_run_counts(instance: dg.DagsterInstance) -> None:
    run = run_in(instance, ended_process())
    instance.report_engine_event("Executing steps", run, EngineEventData.in_process(os.getpid()))
    assert health(instance, run) == WorkerStatus.RUNNING


def test_a_later_process_of_the_same_number_is_another(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(instance, os.getpid())
    monkeypatch.setattr("psutil.Process.create_time", lambda _process: 2**40)
    assert health(instance, run) == WorkerStatus.FAILED


def test_runs_of_the_command_line_are_left_to_it(instance: dg.DagsterInstance) -> None:
    assert health(instance, run_in(instance, ended_process(), command_tags([]))) == WorkerStatus.RUNNING
