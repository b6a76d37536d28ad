"""Runs of the command line in the UI; those whose process was killed are ended by the next command."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest

from assets.command_runs import ASSETS_TAG, COMMAND_TAG, PROCESS_TAG, command_tags, end_lost_runs


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@dg.job
def nothing() -> None:
    pass


def started(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    run = instance.create_run_for_job(nothing, tags=tags)
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "nothing"), run.run_id)
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def ended_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_run_whose_process_is_gone_has_failed(instance: dg.DagsterInstance) -> None:
    run = started(instance, {PROCESS_TAG: json.dumps([socket.gethostname(), ended_process(), 0.0])})
    assert status(instance, run) == dg.DagsterRunStatus.STARTED
    assert end_lost_runs(instance) == [run]
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE
    assert end_lost_runs(instance) == []


def test_another_process_of_the_same_number_is_no_sign_of_life(instance: dg.DagsterInstance) -> None:
    run = started(instance, {PROCESS_TAG: json.dumps([socket.gethostname(), os.getpid(), 1.0])})
    assert end_lost_runs(instance) == [run]


def test_what_still_runs_is_left_alone(instance: dg.DagsterInstance) -> None:
    runs = [
        started(instance, command_tags([])),
        started(instance, {}),  # of the UI
        started(instance, {PROCESS_TAG: json.dumps(["elsewhere", ended_process(), 0.0])}),
    ]
    assert end_lost_runs(instance) == []
    assert {status(instance, run) for run in runs} == {dg.DagsterRunStatus.STARTED}


def test_the_runs_of_one_command_are_found_together(instance: dg.DagsterInstance) -> None:
    first, second = (command_tags(assets) for assets in (["manifest", "model"], ["report"]))
    assert first[ASSETS_TAG] == "manifest, model"
    assert first[COMMAND_TAG] == second[COMMAND_TAG]
    runs = [started(instance, tags) for tags in (first, second, {})]
    found = instance.get_runs(dg.RunsFilter(tags={COMMAND_TAG: first[COMMAND_TAG]}))
    assert {run.run_id for run in found} == set(runs[:2])
