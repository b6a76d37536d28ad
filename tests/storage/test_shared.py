"""Two machines, each with a folder of its own, and one bucket: who makes what, who takes it, who wins."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from assets.share import share
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.aside import Aside
from pipeline.storage.bucket import Bucket
from pipeline.storage.derived import Built, derived
from pipeline.storage.documents import change_document, read_document
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.repair import drop_damaged
from pipeline.storage.shared import Shared, absent
from pipeline.storage.tables import read_table, write_table
from pipeline.storage.verify import verify
from tests.storage.s3 import s3_server

SCHEMA = pa.schema({"value": pa.int64()})
QUIET = Console(quiet=True)
Machines = tuple[Store, Store]


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with s3_server(every=10):
        yield


@pytest.fixture
def machines(server: None, tmp_path: Path) -> Machines:  # noqa: ARG001 - it has to run
    address = f"s3://winnow/{tmp_path.name}"
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    for store in (here, there):
        share(store, address, QUIET)
    return here, there


def make(store: Store, value: int = 1, *, wanted: str = "made", built: list[Store] | None = None) -> Artifact:
    def build(draft: Draft) -> Facts:
        if built is not None:
            built.append(store)
        part, page = draft.table("numbers") / "part-00000.parquet", draft.folder / "page.html"
        page.write_text(f"<p>{value}</p>")
        rows = write_table(part, SCHEMA, [pa.table({"value": [value]}, schema=SCHEMA)])
        draft.finish(0, {part: rows, page: 1}, {"of": value})
        return {"sum": value}

    return store.make("adding", "all", wanted, build)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_one_made_the_other_takes(machines: Machines) -> None:
    here, there = machines
    built: list[Store] = []
    first = make(here, built=built)
    there.pull()
    second = there.current("adding")
    assert second.facts == {"sum": 1}
    assert (second.folder / "page.html").read_text() == "<p>1</p>"
    assert absent(second.folder) == {"numbers/part-00000.parquet"}  # a table comes when it is asked for
    assert not (second.folder / "numbers").exists()
    assert read_table(second.table("numbers"))["value"].to_pylist() == [1]
    assert absent(second.folder) == set()
    own = contents(first.folder)
    assert {name: data for name, data in contents(second.folder).items() if name != "absent.json"} == own
    assert make(there, built=built).made is False
    assert built == [here]
    assert there.work() == here.work()
    assert verify(there, workers=1) == []


def test_of_two_that_make_the_same_the_first_to_publish_wins(machines: Machines) -> None:
    here, there = machines

    def late(draft: Draft) -> Facts:
        make(here, 1)  # the other machine is faster, and its floats differ
        part = draft.table("numbers") / "part-00000.parquet"
        draft.finish(0, {part: write_table(part, SCHEMA, [pa.table({"value": [2]}, schema=SCHEMA)])})
        return {"sum": 2}

    lost = there.make("adding", "all", "made", late)
    assert not lost.made
    assert lost.facts == {"sum": 1}
    assert read_table(lost.table("numbers"))["value"].to_pylist() == [1]
    assert contents(lost.folder / "ledger") == contents(here.current("adding").folder / "ledger")
    third = Store(here.root.with_name("third"))
    share(third, Shared.of(here.root).bucket.address, QUIET)  # type: ignore[union-attr]
    assert read_table(third.current("adding").table("numbers"))["value"].to_pylist() == [1]


def test_what_was_made_before_it_was_shared_is_given(server: None, tmp_path: Path) -> None:  # noqa: ARG001
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    make(here, 1, wanted="older")
    make(here, 2, wanted="newer")
    for store in (here, there):
        share(store, f"s3://winnow/{tmp_path.name}/", QUIET)
    assert [artifact.identity for artifact in there.versions("adding")] == ["newer", "older"]
    assert read_table(there.versions("adding")[1].table("numbers"))["value"].to_pylist() == [1]


def test_a_kill_between_publishing_here_and_there_is_mended(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machines

    def killed(_: Shared, folder: Path) -> bool:
        raise KeyboardInterrupt(folder)

    with monkeypatch.context() as patch:
        patch.setattr(Shared, "give", killed)
        with pytest.raises(KeyboardInterrupt):
            make(here)
    assert there.find("adding", "all", "made") is None
    built: list[Store] = []
    make(here, built=built)
    there.pull()
    assert there.current("adding").facts == {"sum": 1}
    assert built == []


def test_what_is_damaged_here_comes_again_and_is_not_made_again(machines: Machines) -> None:
    here, _ = machines
    part = make(here).table("numbers") / "part-00000.parquet"
    sound = part.read_bytes()
    part.write_bytes(sound[:-1] + b"x")
    found = verify(here, workers=1)
    assert [damage.path for damage in found] == [part]
    drop_damaged(here, found)
    built: list[Store] = []
    make(here, built=built).table("numbers")
    assert part.read_bytes() == sound
    assert built == []


def test_what_is_derived_stays_with_the_machine_that_derived_it(machines: Machines) -> None:
    here, there = machines

    def build(draft: Draft) -> Built:
        (draft.folder / "x").write_text("x")
        return {draft.folder / "x": 1}, {}

    derived(make(here), "order", {}, build)
    share(here, Shared.of(here.root).bucket.address, QUIET)  # type: ignore[union-attr] # it is shared
    there.pull()
    taken = there.current("adding")
    assert not (taken.folder / "order").exists()
    assert (derived(taken, "order", {}, build)[0] / "x").read_text() == "x"
    assert verify(there, workers=1) == []


def test_what_is_damaged_in_the_bucket_is_not_taken(machines: Machines) -> None:
    here, there = machines
    make(here)
    bucket = Shared.of(here.root).bucket  # type: ignore[union-attr]
    (key,) = (key for key in bucket.list("artifacts") if key.endswith(".parquet"))
    bucket.write(key, b"another's bytes")
    there.pull()
    with pytest.raises(ValueError, match="is not what was written: remove it") as caught:
        there.current("adding").table("numbers")
    assert key in str(caught.value)
    assert not list(there.root.rglob("*.parquet"))


def test_what_is_removed_by_one_is_gone_at_the_other(machines: Machines) -> None:
    here, there = machines
    folder = make(here).folder
    there.pull()
    taken = there.current("adding").folder
    Shared.of(here.root).drop(folder)  # type: ignore[union-attr]
    there.pull()
    assert not taken.exists()
    assert Shared.of(here.root).bucket.list("artifacts") == {}  # type: ignore[union-attr]


def test_documents_of_both_are_joined(machines: Machines) -> None:
    here, there = machines
    change_document(here.root, "crawls", {}, lambda told: told | {"a": 1})
    change_document(there.root, "crawls", {}, lambda told: told | {"b": 2})
    assert read_document(there.root, "crawls", {}) == {"a": 1, "b": 2}
    here.pull()
    assert read_document(here.root, "crawls", {}) == {"a": 1, "b": 2}


def test_what_is_current_aside_is_not_current_for_others(machines: Machines) -> None:
    here, there = machines
    make(Aside(here.root))
    there.pull()
    assert there.partitions("adding") == []
    assert there.find("adding", "all", "made") is not None


def test_a_store_stays_in_the_bucket_it_is_shared_in(machines: Machines, tmp_path: Path) -> None:
    here, _ = machines
    with pytest.raises(ValueError, match="is shared in s3://winnow/"):
        share(here, "s3://winnow/elsewhere", QUIET)
    with pytest.raises(LookupError, match="winnow share s3://BUCKET/PREFIX"):
        share(Store(tmp_path / "alone"), "", QUIET)
    with pytest.raises(OSError, match="bucket"):
        share(Store(tmp_path / "lost"), "s3://nowhere-at-all/store", QUIET)
    assert Shared.of(tmp_path / "lost") is None
    assert Bucket("s3://winnow/a/").address == "s3://winnow/a"
