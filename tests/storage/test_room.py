"""No room is an error that tells needed and free bytes, before a mapped file could kill the process."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.storage.atomic import publish_bytes
from pipeline.storage.room import NoRoomError, explained, free_bytes, require

LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from pipeline.storage.arrays import scratch_array, write_array
from pipeline.storage.atomic import publish_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
path = Path(sys.argv[1]) / "a.npy"
try:
    {task}
except OSError as error:
    print(type(error).__name__, error)
"""


def said(task: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(task=task), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert list(folder.iterdir()) == []  # no half of anything
    return done.stdout


@pytest.mark.parametrize(
    ("task", "needed"),
    [
        ("with write_array(path, (1000, 2), np.float64) as out: out[:] = 1", "it needs 16,128 bytes"),
        ("scratch_array((1000, 2), np.float64)", "it needs 16,000 bytes"),
        ("publish_bytes(path, bytes(5000))", "it needs more than the 1,000 bytes written so far"),
    ],
)
def test_a_file_that_may_not_grow_says_what_it_needed(tmp_path: Path, task: str, needed: str) -> None:
    told = said(task, tmp_path)
    assert told.startswith("NoRoomError")
    assert needed in told
    assert "free" in told


def test_what_cannot_fit_is_refused_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000))
    require(tmp_path / "not" / "there", 2_000, "a run")
    with pytest.raises(NoRoomError, match="a run needs about 2,001 bytes and 2,000 are free: make room") as refused:
        require(tmp_path, 2_001, "a run")
    assert refused.value.errno == errno.ENOSPC


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    error = PermissionError(errno.EACCES, "no")
    assert explained(error, tmp_path) is error
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FileExistsError):
        publish_bytes(tmp_path / "a" / "b", b"")
    assert free_bytes(tmp_path / "c" / "d") > 0
