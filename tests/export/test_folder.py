"""A folder that is there whole or not at all."""

import json
from pathlib import Path

import pytest

from pipeline.export.folder import publish_folder
from pipeline.export.formats import make_export
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import BusyError
from tests.export.export_store import Made


def build(draft: Draft) -> Facts:
    publish_bytes(draft.folder / "told.txt", b"told")
    draft.finish(0, {draft.folder / "told.txt": 1})
    publish_bytes(draft.folder / "beside.txt", b"beside")
    return {"images": 1}


def test_what_stands_is_found_and_nothing_else_touched(tmp_path: Path) -> None:
    goal = tmp_path / "out"
    assert publish_folder(goal, "one", tmp_path / "locks", build).made
    assert sorted(path.name for path in goal.rglob("*")) == ["beside.txt", "export.json", "told.txt"]
    assert set(json.loads((goal / "export.json").read_text())["files"]) == {"told.txt", "beside.txt"}
    assert not publish_folder(goal, "one", tmp_path / "locks", build).made
    with pytest.raises(ValueError, match="stands there already"):
        publish_folder(goal, "other", tmp_path / "locks", build)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(ValueError, match="stands there already"):
        publish_folder(tmp_path / "mine", "one", tmp_path / "locks", build)
    (tmp_path / "empty").mkdir()
    assert publish_folder(tmp_path / "empty", "one", tmp_path / "locks", build).made


def test_a_beginning_of_something_else_is_cleared_and_a_stranger_s_folder_is_not(tmp_path: Path) -> None:
    def fails(draft: Draft) -> Facts:
        publish_bytes(draft.folder / "old.txt", b"old")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        publish_folder(tmp_path / "out", "one", tmp_path / "locks", fails)
    assert not (tmp_path / "out").exists()
    publish_folder(tmp_path / "out", "two", tmp_path / "locks", build)
    assert not (tmp_path / "out" / "old.txt").exists()
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "file").touch()
    with pytest.raises(ValueError, match="is in the way, and no export left it there"):
        publish_folder(tmp_path / "new", "one", tmp_path / "locks", build)
    assert (tmp_path / "new.partial" / "file").exists()


def test_one_that_was_finished_but_not_renamed_is_not_built_again(tmp_path: Path) -> None:
    publish_folder(tmp_path / "out", "one", tmp_path / "locks", build)
    (tmp_path / "out").rename(tmp_path / "out.partial")
    (tmp_path / "out.partial" / "ledger").mkdir()

    def never(draft: Draft) -> Facts:
        raise AssertionError(draft)

    publish_folder(tmp_path / "out", "one", tmp_path / "locks", never)
    assert not (tmp_path / "out" / "ledger").exists()


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    def meanwhile(draft: Draft) -> Facts:
        publish_folder(tmp_path / "out", "one", tmp_path / "locks", build)
        return {"draft": str(draft)}

    with pytest.raises(BusyError):
        publish_folder(tmp_path / "out", "one", tmp_path / "locks", meanwhile)


def test_a_format_is_known_by_its_name(one: Made, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown format 'webdatset'; did you mean webdataset"):
        make_export(one.store, one.source(), "webdatset", tmp_path / "out")
    with pytest.raises(ValueError, match="known are list, weights, webdataset, huggingface, csv"):
        make_export(one.store, one.source(), "x", tmp_path / "out")
