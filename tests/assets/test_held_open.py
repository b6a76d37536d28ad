"""SQLite writes its log back when the last connection closes: while a command works, none of Dagster's is the last."""

from pathlib import Path

import dagster as dg
import sqlalchemy as db
from sqlalchemy.pool import NullPool

from assets import held_open as module
from assets.held_open import held_open
from assets.run import dagster_instance
from pipeline.storage.artifacts import Store


def write(path: Path) -> int:
    """A connection of its own, as Dagster makes them; how much it waits for the disk."""
    with db.create_engine(f"sqlite:///{path}", poolclass=NullPool).begin() as connection:
        connection.execute(db.text("PRAGMA journal_mode=WAL"))
        connection.execute(db.text("CREATE TABLE IF NOT EXISTS t (a)"))
        connection.execute(db.text("INSERT INTO t VALUES (1)"))
        return int(connection.execute(db.text("PRAGMA synchronous")).scalar_one())


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def test_a_file_stays_open_as_long_as_the_block(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in" / "a.db", tmp_path / "b.db"
    inside.parent.mkdir()
    with held_open(inside.parent):
        assert [write(inside), write(inside)] == [1, 1]
        assert write(outside) == 2
        assert log_of(inside).exists()
        assert not log_of(outside).exists()
    assert not log_of(inside).exists()
    assert write(inside) == 2
    assert not log_of(inside).exists()


def test_no_more_than_a_few_files_are_held(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(module.MOST + 1)]
    with held_open(tmp_path):
        for path in paths:
            write(path)
            write(path)
        assert [log_of(path).exists() for path in paths] == [False] + [True] * module.MOST


def test_what_the_command_line_records_is_there_afterwards(tmp_path: Path) -> None:
    with dagster_instance(Store(tmp_path)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("a"))
        assert list(tmp_path.rglob("*.db-wal"))
    assert not list(tmp_path.rglob("*.db-wal"))
    with dagster_instance(Store(tmp_path)) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("a")) is not None
