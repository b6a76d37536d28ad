"""Parts that an earlier artifact holds are linked by what they were made of, records and facts and all."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.storage.artifacts import WHOLE, Artifact, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.parts import EarlierParts, keyed, link_parts, part_records
from pipeline.storage.tables import part_path, read_table, write_table
from pipeline.storage.verify import verify

SCHEMA = pa.schema([pa.field("x", pa.int64())])


def publish(store: Store, identity: str, keys: str) -> tuple[Artifact, list[int]]:
    """Two tables with a part for each key, which tell the key; and which parts had to be written."""
    written = []

    def build(draft: Draft) -> Facts:
        for number in EarlierParts(store, "stage").left(draft, list(keys)):
            written.append(number)
            table = pa.table({"x": [ord(keys[number])]}, schema=SCHEMA)
            paths = [part_path(draft.table(name), number) for name in ("t", "u")]
            facts = {"letter": keys[number]} | keyed(keys[number])
            draft.finish(number, {path: write_table(path, SCHEMA, [table]) for path in paths}, facts)
        return {}

    return store.make("stage", WHOLE, identity, build), written


def said(artifact: Artifact, table: str = "t") -> str:
    return "".join(map(chr, read_table(artifact.table(table))["x"].to_pylist()))


def inode(artifact: Artifact, table: str, number: int) -> int:
    return part_path(artifact.table(table), number).stat().st_ino


def test_parts_are_linked_under_their_new_numbers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, written = publish(store, "one", "abc")
    assert written == [0, 1, 2]
    second, written = publish(store, "two", "xcab")
    assert written == [0]
    assert said(second) == said(second, "u") == "xcab"
    assert [inode(second, "u", k) for k in (1, 2, 3)] == [inode(first, "u", k) for k in (2, 0, 1)]
    assert [facts["letter"] for _, _, facts in Draft(second.folder).shards()] == list("xcab")
    rebuilt, written = publish(Store(tmp_path / "rebuilt"), "two", "xcab")
    assert written == [0, 1, 2, 3]
    files = [
        {str(path.relative_to(one.folder)): path.read_bytes() for path in one.folder.rglob("*") if path.is_file()}
        for one in (second, rebuilt)
    ]
    assert files[0] == files[1]


def test_what_an_artifact_before_the_current_one_holds_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "one", "ab")
    publish(store, "two", "c")
    assert publish(store, "three", "bc")[1] == []


def test_a_link_outlives_the_artifact_that_it_was_made_from(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, _ = publish(store, "one", "ab")
    second, _ = publish(store, "two", "ba")
    for path in sorted(first.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    first.folder.rmdir()
    assert said(second) == "ba"
    assert [damage.path.name for damage in verify(store, workers=1)] == []


def test_a_part_left_by_a_killed_run_is_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "one", "ab")
    left = part_path(Draft(store.folder("stage", WHOLE, "two")).table("t"), 0)
    left.write_bytes(b"begun")
    second, written = publish(store, "two", "b")
    assert written == []
    assert said(second) == "b"


def test_where_no_links_can_be_made_parts_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    store = Store(tmp_path)
    first, _ = publish(store, "one", "ab")
    monkeypatch.setattr(os, "link", refuse)
    second, written = publish(store, "two", "b")
    assert (written, said(second)) == ([], "b")
    assert inode(second, "t", 0) != inode(first, "t", 1)
    assert verify(store, workers=1) == []


def test_parts_of_another_stage_are_linked_with_their_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, _ = publish(store, "one", "ab")
    records = part_records(first, ["u"])
    assert [part["u"]["rows"] for part in records] == [1, 1]

    def build(draft: Draft) -> Facts:
        link_parts(draft, 0, (first, 1), records[1])
        return {}

    other = store.make("other", WHOLE, "one", build)
    assert said(other, "u") == "b"
    assert verify(store, workers=1) == []
