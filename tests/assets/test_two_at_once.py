"""Two runs of one crawl over one store at the same moment, each in a process of its own, both through Dagster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.demo.crawl import write_demo_crawl
from pipeline.demo.noise import DemoSettings
from pipeline.storage.artifacts import Store
from pipeline.storage.verify import verify
from tests.assets.conftest import ROOT, SETTINGS, SmallRun


@pytest.mark.slow
def test_what_one_is_at_the_other_says_and_nothing_is_made_twice(tmp_path: Path) -> None:
    """Both begin with the listing: one makes it, and the other says who is at it, here or at a later stage."""
    write_demo_crawl(tmp_path / "crawl", DemoSettings(train_images=500, val_images=20, test_images=30))
    (tmp_path / "winnow.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "assets.cli", "run", "crawl", "--store", str(tmp_path / "store")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    runs = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    told = [run.communicate(timeout=500)[0] for run in runs]
    ended = [run.returncode for run in runs]
    assert 0 in ended, told
    for status, text in zip(ended, told, strict=True):
        if status != 0:
            assert (
                f"is being written by process {' '.join(str(run.pid) for run in runs if run.returncode == 0)} on"
                in text
            )
    made = SmallRun(tmp_path)
    assert not verify(Store(made.store), workers=1)
    assert len(made.work()) == len(set(made.work()))
    assert "0 stages computed" in made.run()
