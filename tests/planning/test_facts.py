"""Plan beside fact, on a store of two stages."""

from pathlib import Path

import pytest

from pipeline.planning.facts import facts_of, whole
from pipeline.planning.figures import Machine
from pipeline.planning.kept import keep_calibration, keep_plan, kept_calibration, kept_plan
from pipeline.planning.plan import Row
from pipeline.storage.artifacts import Store
from pipeline.storage.draft import Draft, Facts

ROWS = [
    Row(stage="manifest", partitions=("a", "b"), seconds=3.0, disk=10.0, memory_mb=5.0),
    Row(stage="model", partitions=("a@0",), seconds=60.0, disk=0.0, memory_mb=5.0, network=True),
]


def make(store: Store, stage: str, partition: str, identity: str, bytes_written: int) -> None:
    def build(draft: Draft) -> Facts:
        path = draft.table("t") / "file"
        path.write_bytes(b"x" * bytes_written)
        draft.finish(0, {path: 1})
        return {}

    store.make(stage, partition, identity, build)


def test_only_what_is_current_and_planned_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert facts_of(store, ROWS) == {}
    make(store, "manifest", "a", "old", 100_000)
    make(store, "manifest", "a", "new", 500)
    make(store, "manifest", "unplanned", "x", 100_000)
    fact = facts_of(store, ROWS)["manifest"]
    assert fact.made == 1
    assert not whole(ROWS[0], fact), "manifest b is still to come"
    assert 500 < fact.disk < 50_000
    assert fact.seconds == pytest.approx(store.work()[1]["seconds"])
    make(store, "manifest", "b", "new", 500)
    facts = facts_of(store, ROWS)
    assert whole(ROWS[0], facts["manifest"])
    assert facts["manifest"].seconds == pytest.approx(store.work()[1]["seconds"] + store.work()[3]["seconds"])
    assert "model" not in facts
    assert not whole(ROWS[1], facts.get("model"))


def test_plan_and_calibration_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert kept_plan(store) is None
    machine = Machine(name="here", cores=3)
    keep_plan(store, machine, ROWS)
    assert kept_plan(store) == (machine, ROWS)
    assert kept_calibration(store, "k") is None
    keep_calibration(store, "k", {"rates": 1})
    assert kept_calibration(store, "k") == {"rates": 1}
    assert kept_calibration(store, "other machine") is None
