"""A notice of every run that failed, posted as JSON to the address in WINNOW_WEBHOOK."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import dagster as dg

WEBHOOK_VARIABLE: Final = "WINNOW_WEBHOOK"
TRIES: Final = 3
FIRST_WAIT_S: Final = 2.0  # and twice as long after that
TIMEOUT_S: Final = 10.0


@dg.run_failure_sensor(
    name="failure_notices",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Posts each run that failed to the address in {WEBHOOK_VARIABLE}; without one, nothing.",
)
def failure_notices(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Tell of a failed run; that it could not be told is no fault of the run, and stands in the sensor's log."""
    address = os.environ.get(WEBHOOK_VARIABLE, "")
    if not address:
        return dg.SkipReason(f"{WEBHOOK_VARIABLE} names no address")
    trouble = post(address, notice(context))
    if trouble:
        context.log.error(f"the notice of run {context.dagster_run.run_id} could not be posted: {trouble}")
    return None


def notice(context: dg.RunFailureSensorContext) -> dict[str, Any]:
    """What is told of a run: which, of what, where it failed and the first line of the error, which may name a file."""
    run = context.dagster_run
    failed = context.get_step_failure_events()
    told = failed[0].step_failure_data.error if failed else context.failure_event.job_failure_data.error
    while told is not None and told.cause is not None:  # Dagster's own error stands around that of the stage
        told = told.cause
    message = told.message if told is not None else context.failure_event.message or ""
    # A blocking check that failed is named on the second line, and nothing but our own names stands there.
    shown = 2 if told is not None and told.cls_name == "DagsterAssetCheckFailedError" else 1
    return {
        "run": run.run_id,
        "job": run.job_name,
        "step": failed[0].step_key if failed else None,
        "partition": run.tags.get("dagster/partition"),
        "error": " ".join(message.strip().splitlines()[:shown]),
    }


def post(address: str, told: dict[str, Any], wait: Callable[[float], None] = time.sleep) -> str | None:
    """Post something as JSON.

    Args:
        address: http or https.
        told: what is posted.
        wait: called with seconds between two tries.

    Returns:
        Why it did not arrive, without the address, which may hold a secret; None where it did.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        return f"{WEBHOOK_VARIABLE} must be an http or https address"
    body, trouble = json.dumps(told).encode(), None
    for number in range(TRIES):
        if number:
            wait(FIRST_WAIT_S * 2 ** (number - 1))
        try:
            request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
                address, body, {"Content-Type": "application/json"}, method="POST"
            )
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
                return None
        except urllib.error.HTTPError as error:
            trouble = f"status {error.code}"
        except (OSError, ValueError) as error:
            trouble = type(error).__name__
    return trouble
