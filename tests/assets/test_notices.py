"""Notices of failed runs, to a real server that also refuses at times."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from assets.metadata import Outcome
from assets.notices import TRIES, failure_notices, notice, post

Hook = tuple[str, list[int], list[dict[str, Any]]]


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A server's address, what it answers next (200 where nothing is left), and what it was told."""
    answers: list[int] = []
    told: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop(0) if answers else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook?token=secret", answers, told
    server.shutdown()
    server.server_close()


def failed(outcome: Exception | None = None) -> tuple[dg.DagsterInstance, dg.RunFailureSensorContext]:
    """A run of a partition that failed, by an error or by its blocking check, and what Dagster gives the sensor."""
    check = dg.AssetCheckSpec("taken", asset="broken", blocking=True)

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["shop"]), check_specs=[check])
    def broken() -> Outcome:
        if outcome is not None:
            raise outcome
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="taken", passed=False)])

    instance = dg.DagsterInstance.ephemeral()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    done = dg.materialize([broken], instance=instance, partition_key="shop", raise_on_error=False, run_config=quiet)
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_notices",
        dagster_event=done.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=done.dagster_run,
    )
    return instance, context.for_run_failure()


def test_a_failed_run_is_told_with_what_failed_and_no_more(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    address, answers, told = hook
    _, context = failed(ValueError("no picture of it can be used:\n/srv/secret/path"))
    monkeypatch.setenv("WINNOW_WEBHOOK", address)
    monkeypatch.setattr("assets.notices.FIRST_WAIT_S", 0.0)
    answers.append(500)
    failure_notices(context)
    assert len(told) == 2  # the first was refused
    assert told[1] == notice(context)
    run = context.dagster_run
    assert told[1] == {
        "run": run.run_id,
        "job": run.job_name,
        "step": "broken",
        "partition": "shop",
        "error": "ValueError: no picture of it can be used:",
    }


def test_a_blocking_check_is_named() -> None:
    _, context = failed()
    error = notice(context)["error"]
    assert "1 blocking asset check failed with ERROR severity" in error
    assert "taken" in error
    assert "\n" not in error


def test_what_cannot_be_posted_is_no_fault_of_the_run(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    address, answers, told = hook
    waits: list[float] = []
    answers += [500, 503, 500]
    assert post(address, {"run": "1"}, waits.append) == "status 500"
    assert len(told) == TRIES
    assert waits == [2.0, 4.0]
    assert post("http://127.0.0.1:9/hook?token=secret", {}, waits.append) == "URLError"
    for elsewhere in ("file:///etc/passwd", "ftp://host/x", "host/x", ""):
        assert post(elsewhere, {}) == "WINNOW_WEBHOOK must be an http or https address"
    _, context = failed()
    monkeypatch.setenv("WINNOW_WEBHOOK", "file:///etc/passwd")
    failure_notices(context)  # and nothing is raised


def test_without_an_address_nothing_is_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINNOW_WEBHOOK", raising=False)
    _, context = failed()
    assert "names no address" in str(failure_notices(context))
