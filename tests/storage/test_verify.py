"""Damage is found, named, and costs no more than the shard it lies in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.documents import change_document, read_document
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.repair import drop_damaged
from pipeline.storage.sealed import DamagedError
from pipeline.storage.tables import part_path, write_table
from pipeline.storage.verify import require_sound, unmade, verify

SCHEMA = pa.schema([pa.field("image_id", pa.int64(), nullable=False)])


class Maker:
    """A stage of three shards, a table and an array each; remembers which it made."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, draft: Draft) -> Facts:
        for shard in range(3):
            if draft.finished(shard) is None:
                self.made.append(shard)
                table, array = part_path(draft.table("t"), shard), draft.table("x") / f"part-{shard:05d}.npy"
                rows = write_table(table, SCHEMA, [pa.table({"image_id": [shard, shard + 1]})])
                with write_array(array, (4, 2), np.float16) as out:
                    out[:] = shard
                draft.finish(shard, {table: rows, array: 4})
        return {"rows": 6}


def make(store: Store, maker: Callable[[Draft], Facts]) -> Artifact:
    return store.make("stage", "all", "id1", maker)


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and "locks" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    make(made, Maker())
    for name in ("crawls", "settings"):
        change_document(tmp_path, name, {}, lambda _: {"a": {"address": "/somewhere"}})
    return made


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_a_whole_store_is_whole(store: Store) -> None:
    seen: list[int] = []
    assert verify(store, workers=2, on_progress=seen.append) == []
    # Six files of shards, three ledgers, the artifact, its pointer, the history, two documents and their copies.
    assert sum(seen) == 6 + 3 + 1 + 1 + 1 + 4


@pytest.mark.parametrize("broken", ["t/part-00001.parquet", "x/part-00001.npy", "ledger/00001.json"])
@pytest.mark.parametrize("fault", [flip, lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink])
def test_the_shard_of_a_damaged_file_is_made_again_and_no_other(
    store: Store, broken: str, fault: Callable[[Path], None]
) -> None:
    before = contents(store.root)
    path = store.current("stage").folder / broken
    fault(path)
    found = verify(store, workers=1)
    if path.exists() or "ledger" not in broken:
        assert path in {damage.path for damage in found}
    drop_damaged(store, found)
    assert unmade(store) == [("stage", "all")]
    assert make(store, again := Maker()).made
    assert again.made == [1]
    assert verify(store, workers=1) == []
    after = contents(store.root)
    assert {name: data for name, data in after.items() if name != "work.jsonl"} == {
        name: data for name, data in before.items() if name != "work.jsonl"
    }


def test_of_a_damaged_record_nothing_but_the_record_is_made_again(store: Store) -> None:
    flip(store.current("stage").folder / "artifact.json")
    drop_damaged(store, verify(store, workers=1))
    make(store, again := Maker())
    assert again.made == []
    assert verify(store, workers=1) == []


@pytest.mark.parametrize(
    "name", ["current/stage/all.json", "crawls.json", "settings.json", "copies/crawls.json", "copies/settings.json"]
)
def test_pointers_and_documents_are_mended_at_once(store: Store, name: str) -> None:
    before = contents(store.root)
    flip(store.root / name)
    (damage,) = verify(store, workers=1)
    assert damage.path == store.root / name
    drop_damaged(store, [damage])
    assert contents(store.root) == before
    assert read_document(store.root, "crawls", {}) == {"a": {"address": "/somewhere"}}


@pytest.mark.parametrize("fault", [flip, lambda path: path.write_bytes(b""), Path.unlink])
def test_a_history_is_told_again_of_what_is_there(store: Store, fault: Callable[[Path], None]) -> None:
    fault(store.history)
    (damage,) = verify(store, workers=1)
    assert damage.path == store.history
    drop_damaged(store, [damage])
    assert verify(store, workers=1) == []
    assert [line["identity"] for line in store.work()] == ["id1"]


def test_a_document_whose_copy_is_damaged_too_says_what_to_do(store: Store) -> None:
    flip(store.root / "crawls.json")
    flip(store.root / "copies" / "crawls.json")
    with pytest.raises(ValueError, match=r"crawls\.json and its copy are both damaged: remove them"):
        drop_damaged(store, verify(store, workers=1))


def test_a_twin_restores_what_no_run_can_make(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def build(draft: Draft) -> Facts:
        files = {part_path(draft.table(name), 0): 1 for name in ("told", "copy")}
        for path in files:
            write_table(path, SCHEMA, [pa.table({"image_id": [5]})])
        draft.finish(0, files)
        return {}

    artifact = store.make("verdicts", "all", "id1", build)
    before = contents(tmp_path)
    flip(artifact.folder / "told" / "part-00000.parquet")
    drop_damaged(store, verify(store, workers=1))
    assert contents(tmp_path) == before


def test_damage_in_what_a_killed_run_left_is_found_before_it_is_built_upon(tmp_path: Path) -> None:
    store, first = Store(tmp_path), Maker()

    def killed(draft: Draft) -> Facts:
        first(draft)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(store, killed)
    (folder,) = store.folders()
    flip(folder / "x" / "part-00002.npy")
    drop_damaged(store, verify(store, workers=1))
    make(store, again := Maker())
    assert again.made == [2]
    assert verify(store, workers=1) == []


def test_a_file_is_looked_at_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"anybody's")
    require_sound(path)  # of no artifact

    def build(draft: Draft) -> Facts:
        publish_bytes(draft.folder / "weights.bin", b"whole")
        draft.finish(0, {draft.folder / "weights.bin": 1})
        return {}

    own = Store(tmp_path).make("model", "a@0", "id1", build).folder / "weights.bin"
    require_sound(own)
    flip(own)
    with pytest.raises(DamagedError, match=r"weights\.bin: its sha256 is not what was recorded; `winnow verify --rep"):
        require_sound(own)
