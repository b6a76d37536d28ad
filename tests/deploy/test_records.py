"""Dagster takes both `dagster.yaml` and means by them what they say; a team's records lie in a real PostgreSQL."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

from tests.deploy.places import DEPLOY

SERVER = shutil.which("postgres")
PASSWORD = "of the test"  # noqa: S105 - of a server that ends with the test


@dg.asset(pool="gpu")
def trained() -> None:
    pass


@dg.asset
def unpooled() -> None:
    pass


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A DAGSTER_HOME with one of the files, as it is deployed."""

    def home(kind: str) -> Path:
        shutil.copy(DEPLOY / kind / "dagster.yaml", tmp_path)
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        return tmp_path

    return home


def check_limits(instance: dg.DagsterInstance, runs: int) -> None:
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, QueuedRunCoordinator)
    limits = instance.get_concurrency_config()
    assert limits.run_queue_config is not None
    assert limits.run_queue_config.max_concurrent_runs == runs
    assert limits.pool_config.default_pool_limit == 1
    assert limits.pool_config.pool_granularity == PoolGranularity.RUN
    assert instance.run_monitoring_enabled
    assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 120
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 2
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert instance.get_settings("retention")["sensor"]["purge_after_days"]["skipped"] == 7


def materialise(instance: dg.DagsterInstance) -> str:
    quiet: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = dg.materialize([trained, unpooled], instance=instance, run_config=quiet)
    return result.run_id


def test_one_machine(at_home: Callable[[str], Path]) -> None:
    home = at_home("one-machine")
    with dg.DagsterInstance.get() as instance:
        check_limits(instance, 1)
        run = materialise(instance)
    assert list(home.rglob("*.db"))
    with dg.DagsterInstance.get() as another:
        assert another.get_run_by_id(run) is not None


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port on loopback of a PostgreSQL server of our own, which asks for a password."""
    if SERVER is None or shutil.which("initdb") is None:
        pytest.skip("no `postgres` and `initdb` on the PATH to keep a team's records in")
    folder = tmp_path_factory.mktemp("postgres")
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody")
        for parent in folder.parents:
            if parent.name.startswith(("pytest-", "popen-")):  # of pytest, and of its processes
                parent.chmod(parent.stat().st_mode | 0o011)  # to be passed through, not read
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    data = folder / "data"
    made = ["initdb", "--no-sync", "-D", str(data), "-U", "winnow", "-A", "scram-sha-256", "--pwfile", str(secret)]
    subprocess.run(made, check=True, cwd=folder, capture_output=True, **user)
    settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off")
    options = [word for setting in settings for word in ("-c", setting)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SERVER, "-D", str(data), "-p", str(port), *options], cwd=folder, stderr=log, **user)
    try:
        deadline = time.monotonic() + 60
        while b"ready to accept connections" not in (folder / "log").read_bytes():
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def test_a_team(postgres: int, at_home: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    home = at_home("team")
    told = {"HOST": "127.0.0.1", "PORT": str(postgres), "NAME": "postgres", "USER": "winnow", "PASSWORD": PASSWORD}
    for name, value in told.items():
        monkeypatch.setenv(f"WINNOW_DATABASE_{name}", value)
    with dg.DagsterInstance.get() as instance:
        check_limits(instance, 4)
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert [(limit["key"], limit["limit"]) for limit in queue.tag_concurrency_limits] == [("dagster/partition", 1)]
        run = materialise(instance)
    assert not list(home.rglob("*.db"))
    with dg.DagsterInstance.get() as another:
        found = another.get_run_by_id(run)
        assert found is not None
        assert found.status == dg.DagsterRunStatus.SUCCESS
        assert found.run_op_concurrency is not None
        assert found.run_op_concurrency.root_key_counts == {"gpu": 1}
        assert another.get_latest_materialization_event(dg.AssetKey("trained")) is not None


def test_a_team_without_its_password_is_told(at_home: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    at_home("team")
    for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD"):
        monkeypatch.delenv(f"WINNOW_DATABASE_{name}", raising=False)
    with pytest.raises(dg.DagsterInvalidConfigError, match="WINNOW_DATABASE_PASSWORD"), dg.DagsterInstance.get():
        pass
