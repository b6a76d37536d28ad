"""Dagster's launcher of runs on its own machine, which also knows whether the process of a run is still there."""

from typing import Final

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

from assets.command_runs import PROCESS_TAG

_CLOCK: Final = 1.0  # seconds by which the system's and Dagster's clocks may tell other times


class WatchedRuns(DefaultRunLauncher):
    """With Dagster's own, a run whose process was killed with the daemon is *Started* for ever, and the queue waits.

    `run_monitoring` asks for the health of what has started; what is lost is recorded as failed and, as `run_retries`
    say, begun again. The daemon must be on the machine whose runs it starts, as it is.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process lives that a run began in.

        A run of the command line is none of this launcher's; its next command ends it (`assets.command_runs`).
        """
        if PROCESS_TAG in run.tags or _lives(self._instance, run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the process of this run is gone; was it killed?")


def _lives(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a process told that it runs this, and is there; a later one of the same number is another."""
    for told in reversed(instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        data = told.dagster_event.engine_event_data if told.dagster_event is not None else None
        number = data.metadata.get("pid") if data is not None else None
        if number is not None and told.step_key is None:
            try:
                process = psutil.Process(int(str(number.value)))
                dead = process.status() == psutil.STATUS_ZOMBIE  # which nobody has asked after yet
                return not dead and bool(process.create_time() <= told.timestamp + _CLOCK)
            except psutil.NoSuchProcess:
                return False
    return True  # none has told of itself yet
