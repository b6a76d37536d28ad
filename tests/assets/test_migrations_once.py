"""However many runs a command makes, the history of Dagster's tables is read once for each kind of database."""

import sqlite3
from pathlib import Path

import dagster as dg
import pytest
from alembic.script import ScriptDirectory

from assets.migrations_once import migrations_once
from assets.run import dagster_instance
from pipeline.storage.artifacts import Store


def test_databases_of_runs_are_of_the_same_revision_and_read_no_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, read = ScriptDirectory._load_revisions, 0

    def counting(self: ScriptDirectory) -> object:
        nonlocal read
        read += 1
        return genuine(self)

    monkeypatch.setattr(ScriptDirectory, "_load_revisions", counting)
    monkeypatch.setenv("DAGSTER_HOME", "")  # set by the instance, and put back
    with dagster_instance(Store(tmp_path)) as instance:
        for _ in range(3):
            dg.materialize([dg.asset(lambda: None, name="a")], instance=instance)
    assert read == 3  # of runs, of events, of schedules
    databases = list((tmp_path / "dagster").rglob("*.db"))
    revisions = set()
    for path in databases:
        with sqlite3.connect(path) as connection:
            revisions |= set(connection.execute("SELECT version_num FROM alembic_version"))
    assert len(databases) == 3 + 3
    assert len(revisions) == 1


def test_alembic_is_as_it_was_afterwards() -> None:
    genuine = vars(ScriptDirectory)["from_config"]
    with migrations_once():
        assert vars(ScriptDirectory)["from_config"] is not genuine
    assert vars(ScriptDirectory)["from_config"] is genuine
