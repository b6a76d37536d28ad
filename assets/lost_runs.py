"""Runs of the command line whose process was killed, or lost with its machine, and could not say so itself."""

import json
import os
import socket
from typing import Final

import dagster as dg
import psutil

#: Who runs a run: host, process and when that process started, so that a later one of the same number is no match.
PROCESS_TAG: Final = "winnow/process"
UNFINISHED: Final = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def process_tag() -> dict[str, str]:
    """The tag of a run that this process runs."""
    return {PROCESS_TAG: _told(psutil.Process(os.getpid()))}


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
