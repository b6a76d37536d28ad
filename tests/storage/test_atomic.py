"""Files are there whole or not at all."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from pipeline.storage.atomic import (
    atomic_file,
    checksum,
    publish_bytes,
    publish_json,
    read_json,
    remove_beside,
    remove_temporaries,
)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    publish_bytes(path, b"old")

    def stopped() -> None:
        with atomic_file(path) as temporary:
            temporary.write_bytes(b"new, half writ")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_appears_only_after_the_block(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.bin"
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    publish_json(tmp_path / "a", {"b": 1, "a": [1.5, None]})
    publish_json(tmp_path / "b", {"a": [1.5, None], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_json(tmp_path / "a") == {"a": [1.5, None], "b": 1}


def test_nan_is_refused_in_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        publish_json(tmp_path / "a", float("nan"))
    assert not (tmp_path / "a").exists()


def test_checksum_is_sha256(tmp_path: Path) -> None:
    publish_bytes(tmp_path / "a", b"abc" * 100_000)
    assert checksum(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_only_temporaries_are_cleared(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x.npy.77.partial").write_bytes(b"half")
    (tmp_path / "deep" / "x.npy").write_bytes(b"whole")
    remove_temporaries(tmp_path)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x.npy"]


def test_data_is_flushed_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    flush, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        told.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "data")
        flush(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        told.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamed)
    publish_bytes(tmp_path / "a.bin", b"whole")
    assert told == ["data", "rename", "folder"]


def test_only_what_killed_writers_of_one_file_left_is_cleared(tmp_path: Path) -> None:
    for name in ("a.json", "a.json.7.partial", "b.json.7.partial"):
        (tmp_path / name).write_bytes(b"x")
    remove_beside(tmp_path / "a.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json.7.partial"]
