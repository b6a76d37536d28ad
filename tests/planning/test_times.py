"""What artifacts took, and took before: worked by hand from the lines of a store."""

from pathlib import Path

import pytest

from pipeline.planning.figures import Machine
from pipeline.planning.kept import keep_plan
from pipeline.planning.plan import Row
from pipeline.planning.times import Times, times_of
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Facts
from pipeline.storage.work import add_work

MACHINE = Machine(name="here", cores=2, memory_gb=8, disk_gb=10, disk_mb_s=100, gpus=0)


def artifact(store: Store, partition: str, identity: str) -> Artifact:
    return Artifact("model", partition, identity, store.folder("model", partition, identity), Facts(), made=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    told = [
        ("a@0", "one", 5.0, 100.0),
        ("a@1", "one", 7.0, 300.0),
        ("a@0", "two", 50.0, 200.0),
        ("b@0", "one", 1.0, 9.0),
    ]
    lines = [
        {"stage": "model", "partition": partition, "identity": own, "started": 0.0, "seconds": took, "peak_mb": peak}
        for partition, own, took, peak in told
    ]
    add_work(made.history, tmp_path / "locks" / "work.lock", lines)
    return made


def test_the_last_and_the_one_before(store: Store) -> None:
    assert times_of(store, [artifact(store, "a@0", "two")]) == Times(50.0, 5.0, None, 200.0)


def test_seeds_are_added_up_and_a_first_one_has_none_before(store: Store) -> None:
    both = [artifact(store, "a@0", "one"), artifact(store, "a@1", "one")]
    assert times_of(store, both) == Times(12.0, None, None, 300.0)


def test_what_has_no_line_is_not_known(store: Store) -> None:
    both = [artifact(store, "a@0", "two"), artifact(store, "a@1", "lost")]
    assert times_of(store, both) == Times(None, None, None, None)


def test_each_partition_has_its_share_of_the_plan(store: Store) -> None:
    keep_plan(
        store, MACHINE, [Row(stage="model", partitions=("a@0", "a@1", "b@0"), seconds=90.0, disk=0.0, memory_mb=0.0)]
    )
    assert times_of(store, [artifact(store, "a@0", "two"), artifact(store, "b@0", "one")]).planned == 60.0
