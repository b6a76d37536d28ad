"""Identity, caching, resuming by shard, and one writer at a time."""

import json
import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store, identity
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import BusyError, exclusive


@dataclass(frozen=True, kw_only=True)
class Knobs:
    k: int = 8


def test_identity_depends_on_everything_it_is_given() -> None:
    base = identity("stage", "1", Knobs(), ["a", "b"])
    assert base == identity("stage", "1", {"k": 8}, ["a", "b"])
    others = [
        identity("other", "1", Knobs(), ["a", "b"]),
        identity("stage", "2", Knobs(), ["a", "b"]),
        identity("stage", "1", Knobs(k=9), ["a", "b"]),
        identity("stage", "1", Knobs(), ["b", "a"]),
        identity("stage", "1", Knobs(), ["a"]),
    ]
    assert len({base, *others}) == 6
    assert len(base) == 32


class Builder:
    """Writes three shards, counting them; dies once when told to."""

    def __init__(self, die_at: int | None = None) -> None:
        self.written: list[int] = []
        self.die_at = die_at

    def __call__(self, draft: Draft) -> Facts:
        for shard in range(3):
            if draft.finished(shard) is not None:
                continue
            if shard == self.die_at:
                (draft.table("t") / "part-00001.bin.1.partial").write_bytes(b"half")
                raise KeyboardInterrupt
            path = draft.table("t") / f"part-{shard:05d}.bin"
            publish_bytes(path, bytes([shard]) * 10)
            draft.finish(shard, {path: 10}, {"shard": shard})
            self.written.append(shard)
        return {"rows": 30}


def test_the_same_identity_is_not_made_twice(tmp_path: Path) -> None:
    store, builder = Store(tmp_path), Builder()
    first = store.make("stage", "all", "id1", builder)
    again = store.make("stage", "all", "id1", builder)
    assert (first.made, again.made) == (True, False)
    assert builder.written == [0, 1, 2]
    assert again.facts == {"rows": 30}
    assert [line["stage"] for line in store.work()] == ["stage"]
    record = json.loads((first.folder / "artifact.json").read_text())
    assert record["files"]["t/part-00001.bin"]["rows"] == 10
    assert record["files"]["t/part-00001.bin"]["bytes"] == 10


def test_what_a_lost_process_left_half_written_is_no_part_of_the_artifact(tmp_path: Path) -> None:
    def build(draft: Draft) -> Facts:
        (draft.table("t") / "part-00001.bin.1.partial").write_bytes(b"half")  # others write the whole
        return Builder()(draft)

    made = Store(tmp_path).make("stage", "all", "id1", build)
    assert sorted(path.name for path in made.table("t").iterdir()) == [f"part-{shard:05d}.bin" for shard in range(3)]


def test_a_killed_build_goes_on_where_it_was_and_ends_the_same(tmp_path: Path) -> None:
    killed, whole = Store(tmp_path / "killed"), Store(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        killed.make("stage", "all", "id1", Builder(die_at=1))
    with pytest.raises(NotMadeError):
        killed.current("stage")
    second = Builder()
    resumed = killed.make("stage", "all", "id1", second)
    assert second.written == [1, 2]
    undisturbed = whole.make("stage", "all", "id1", Builder())
    assert contents(resumed) == contents(undisturbed)


def contents(artifact: Artifact) -> dict[str, bytes]:
    files = (path for path in artifact.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(artifact.folder)): path.read_bytes() for path in files}


def test_current_follows_the_last_make_and_old_identities_stay_cached(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for wanted in ("id1", "id2"):
        store.make("stage", "crawl-a", wanted, Builder())
    assert store.current("stage", "crawl-a").identity == "id2"
    assert store.make("stage", "crawl-a", "id1", Builder()).made is False
    assert store.current("stage", "crawl-a").identity == "id1"
    assert store.partitions("stage") == ["crawl-a"]
    with pytest.raises(NotMadeError, match="holds no stage of crawl-b yet"):
        store.current("stage", "crawl-b")


@pytest.mark.parametrize("name", ["../up", "", "A", "a/b", ".hidden", "a" * 200])
def test_names_that_could_leave_the_store_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        Store(tmp_path).make("stage", name, "id1", Builder())


def hold(path: Path, held: Any, done: Any) -> None:
    with exclusive(path):
        held.set()
        done.wait(30)


def test_the_loser_of_a_race_learns_who_holds_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    path = tmp_path / "locks" / "stage.all.lock"
    other = context.Process(target=hold, args=(path, held, done))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(BusyError, match=rf"stage\.all is being written by process {other.pid}"):
            Store(tmp_path).make("stage", "all", "id1", Builder())
    finally:
        done.set()
        other.join(30)
    assert Store(tmp_path).make("stage", "all", "id1", Builder()).made


def test_stages_made_together_are_found_one_by_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    asked: list[list[str]] = []

    def build(drafts: dict[str, Draft]) -> dict[str, Facts]:
        asked.append(sorted(drafts))
        return {stage: {"name": stage} for stage in drafts}

    first = store.make_together(WHOLE, {"x": "1", "y": "1"}, build)
    assert [(artifact.stage, artifact.facts["name"], artifact.made) for artifact in first] == [
        ("x", "x", True),
        ("y", "y", True),
    ]
    second = store.make_together(WHOLE, {"y": "2", "x": "1"}, build)
    assert [(artifact.stage, artifact.made) for artifact in second] == [("y", True), ("x", False)]
    assert asked == [["x", "y"], ["y"]]
    assert [line["stage"] for line in store.work()] == ["x", "y", "y"]
    assert store.current("y").identity == "2"


def test_nothing_is_made_while_another_process_makes_one_of_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with exclusive(tmp_path / "locks" / "y.all.lock"), pytest.raises(BusyError):
        store.make_together(WHOLE, {"x": "1", "y": "1"}, lambda drafts: {stage: {} for stage in drafts})
    assert store.partitions("x") == []
