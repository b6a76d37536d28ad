"""What is derived of an artifact: made once by whoever asks first, whole or not at all, and never counted as made."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.atomic import atomic_file
from pipeline.storage.derived import Built, derived
from pipeline.storage.draft import Draft
from pipeline.storage.locks import BusyError
from pipeline.storage.repair import drop_damaged
from pipeline.storage.verify import verify


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Store(tmp_path).make("images", "spring", "id1", lambda _: {})


def written(text: str, counted: list[str] | None = None) -> Callable[[Draft], Built]:
    def build(draft: Draft) -> Built:
        if counted is not None:
            counted.append(text)
        path = draft.folder / "told.txt"
        with atomic_file(path) as temporary:
            temporary.write_text(text)
        return {path: 1}, {"letters": len(text)}

    return build


def test_it_is_made_once_and_counts_as_no_work(artifact: Artifact) -> None:
    store, counted = Store(artifact.root), list[str]()
    before = store.work(), store.pointers(), store.folders()
    for _ in range(2):
        folder, facts = derived(artifact, "order", {"version": "1"}, written("abc", counted))
        assert (folder, facts) == (artifact.folder / "order", {"version": "1", "letters": 3})
        assert (folder / "told.txt").read_text() == "abc"
    assert counted == ["abc"]
    assert (store.work(), store.pointers(), store.folders()) == before


def test_of_another_origin_it_is_made_anew(artifact: Artifact) -> None:
    derived(artifact, "order", {"version": "1"}, written("abc"))
    folder, facts = derived(artifact, "order", {"version": "2"}, written("de"))
    assert ((folder / "told.txt").read_text(), facts) == ("de", {"version": "2", "letters": 2})
    assert verify(Store(artifact.root), workers=1) == []


def test_who_asks_while_it_is_made_waits_for_it(artifact: Artifact) -> None:
    begun, go_on, counted = threading.Event(), threading.Event(), list[str]()

    def slow(draft: Draft) -> Built:
        begun.set()
        assert go_on.wait(10)
        return written("abc", counted)(draft)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(derived, artifact, "order", {}, slow)
        assert begun.wait(10)
        second = pool.submit(derived, artifact, "order", {}, written("late", counted))
        with pytest.raises(TimeoutError):
            second.result(0.05)
        go_on.set()
        assert first.result(10) == second.result(10)
    assert counted == ["abc"]


def test_what_fails_leaves_nothing_that_counts(artifact: Artifact) -> None:
    def fails(draft: Draft) -> Built:
        (draft.folder / "told.txt.0.partial").write_text("ab")
        raise ValueError("killed")

    with pytest.raises(ValueError, match="killed"):
        derived(artifact, "order", {}, fails)
    folder, _ = derived(artifact, "order", {}, written("abc"))
    assert sorted(path.name for path in folder.iterdir()) == ["ledger", "told.txt"]


@pytest.mark.parametrize("hurt", ["told.txt", "ledger/00000.json"])
def test_damage_is_found_and_what_is_dropped_is_made_anew(artifact: Artifact, hurt: str) -> None:
    store = Store(artifact.root)
    folder, _ = derived(artifact, "order", {}, written("abc"))
    (folder / hurt).write_text("abd")
    found = verify(store, workers=1)
    assert folder / hurt in {damage.path for damage in found}
    drop_damaged(store, found)
    assert store.current("images", "spring").identity == "id1"  # the artifact is none the worse
    derived(artifact, "order", {}, written("abc"))
    assert (folder / "told.txt").read_text() == "abc"
    assert verify(store, workers=1) == []


def test_it_is_not_dropped_while_it_is_made(artifact: Artifact) -> None:
    folder, _ = derived(artifact, "order", {}, written("abc"))
    (folder / "told.txt").write_text("abd")
    found = verify(Store(artifact.root), workers=1)

    def build(draft: Draft) -> Built:
        with pytest.raises(BusyError):
            drop_damaged(Store(artifact.root), found)
        return written("abc")(draft)

    derived(artifact, "order", {"version": "2"}, build)
