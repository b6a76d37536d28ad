"""Runs of the command line: how the UI tells them apart, and those whose process was killed before it could say so."""

import json
import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import dagster as dg
import psutil

#: Who runs a run: host, process and when that process started, so that a later one of the same number is no match.
PROCESS_TAG: Final = ".dagster/winnow-process"  # the UI does not show tags that begin so
#: What it makes, which the UI does not say of these runs, and the command that several of them belong to.
ASSETS_TAG: Final = "winnow/assets"
COMMAND_TAG: Final = "winnow/command"
UNFINISHED: Final = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def command_tags(assets: Iterable[str]) -> dict[str, str]:
    """The tags of a run in which this process makes some assets."""
    process = psutil.Process(os.getpid())
    started = datetime.fromtimestamp(process.create_time(), UTC)
    return {
        PROCESS_TAG: _told(process),
        ASSETS_TAG: ", ".join(assets),
        COMMAND_TAG: f"{process.pid} of {started:%Y-%m-%d %H:%M:%S}",
    }


def end_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Record as failed the runs of this machine's command line whose process is gone; returns their ids.

    As long as they count as running, the queue holds back what waits for their place.
    """
    lost = [run for run in instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))) if _is_lost(run)]
    for run in lost:
        instance.report_run_failed(
            run, "The process that ran this was killed. The next `winnow run` goes on from there."
        )
    return [run.run_id for run in lost]


def _is_lost(run: dg.DagsterRun) -> bool:
    tag = run.tags.get(PROCESS_TAG)
    if tag is None:  # of the UI, whose own server watches over it
        return False
    host, number, _ = json.loads(tag)
    if host != socket.gethostname():
        return False
    try:
        return _told(psutil.Process(number)) != tag
    except psutil.NoSuchProcess:
        return True


def _told(process: psutil.Process) -> str:
    return json.dumps([socket.gethostname(), process.pid, process.create_time()])
