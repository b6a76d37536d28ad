"""Values as bytes for other machines: arrays by name, what may still change laid down anew, nothing left behind."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.storage.arrays import finished, open_array, scratch_array, write_array
from pipeline.storage.shelf import LEAST_BYTES, Shelf, packed, unpacked

ROWS = LEAST_BYTES // 8


def files(shelf: Shelf) -> list[Path]:
    return sorted(shelf.folder.glob("*.raw"))


def test_a_published_array_is_told_by_its_name(tmp_path: Path) -> None:
    with write_array(tmp_path / "part.npy", (4 * ROWS, 2), np.int64) as out:
        out[:] = np.arange(8 * ROWS).reshape(-1, 2)
    part = open_array(tmp_path / "part.npy")
    shelf = Shelf(tmp_path / "shelf")
    for view in (part, part[ROWS:], np.asarray(part[ROWS : 2 * ROWS])):
        with shelf.packed({"view": view}) as data:
            assert files(shelf) == []
            assert len(data) < 1000
            assert np.array_equal(unpacked(data)["view"], view)


@pytest.mark.parametrize("make", [lambda: scratch_array((ROWS,), np.int64), lambda: np.zeros(ROWS, np.int64)])
def test_what_may_change_is_laid_down_for_each_use(tmp_path: Path, make: Any) -> None:
    array, shelf = make(), Shelf(tmp_path)
    for value in (1, 2):
        array[:] = value
        with shelf.packed(array) as data:
            assert len(files(shelf)) == 1
            assert (unpacked(data) == value).all()
        assert files(shelf) == []


def test_what_is_finished_is_laid_down_once_for_as_long_as_it_lives(tmp_path: Path) -> None:
    array, shelf = scratch_array((ROWS,), np.int64), Shelf(tmp_path)
    array[:] = 7
    finished(array)
    for _ in range(2):
        with shelf.packed([array, array[: ROWS // 2]]) as data:
            pass
        assert len(files(shelf)) == 1
    assert (unpacked(data)[0] == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    del array
    assert files(shelf) == []


@pytest.mark.parametrize("rows", [0, 3, 300])
def test_what_arrives_is_equal_and_read_only(tmp_path: Path, rows: int) -> None:
    whole = np.arange(rows * 600, dtype=np.float32).reshape(rows, 600)
    shelf = Shelf(tmp_path)
    for array in (whole, whole.T, whole[:, ::2], whole[::-1]):
        with shelf.packed(array) as data:
            found = unpacked(data)
        assert found.shape == array.shape
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)
        assert found.flags.f_contiguous == (array.flags.f_contiguous or found.size == 0)
        assert not found.flags.writeable


def test_a_task_has_numbers_of_its_own_to_work_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = np.zeros(2 * ROWS)
    number, path, found = unpacked(packed((3, Path("here"), own)))
    found += 1
    assert (number, path, own.max(), found.min()) == (3, tmp_path / "here", 0, 1)


def test_closures_travel(tmp_path: Path) -> None:
    factor, many = 3, np.arange(ROWS)

    def times(number: int, extra: int) -> int:
        return int(many[number]) * factor + extra

    with Shelf(tmp_path).packed(partial(times, extra=1)) as data:
        assert unpacked(data)(5) == 16


def test_the_next_one_clears_what_a_killed_process_left(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from pipeline.storage.shelf import Shelf
shelf = Shelf(Path({str(tmp_path)!r}))
print(shelf.folder.name, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        left = tmp_path / other.stdout.readline().strip()
        Shelf(tmp_path)
        assert left.is_dir()  # somebody still works with it
        os.kill(other.pid, signal.SIGKILL)
    shelf = Shelf(tmp_path)
    assert not left.exists()
    folder = shelf.folder
    shelf.close()
    assert not folder.exists()
