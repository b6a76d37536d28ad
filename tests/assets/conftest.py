"""One small run of the whole graph, shared by the tests that look at its store."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.demo.crawl import write_demo_crawl
from pipeline.demo.noise import DemoSettings

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class SmallRun:
    """A drawn crawl, the store it was run into, and the settings file."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def winnow(self, *arguments: str) -> str:
        """The command line, as a user calls it; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "assets.cli", *arguments, "--store", str(self.store)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *arguments: str) -> str:
        return self.winnow("run", "crawl", *arguments)

    def work(self) -> list[str]:
        """Every computation so far, as `stage/partition`."""
        lines = [json.loads(line) for line in (self.store / "work.jsonl").read_text().splitlines()]
        return [f"{line['stage']}/{line['partition']}" for line in lines]

    def work_since(self, before: Sequence[str]) -> list[str]:
        return self.work()[len(before) :]


SETTINGS = """
recipes = ["baseline", "kmeans-size"]
[images]
image_size = 32
[training]
epochs = 1
batch_size = 64
[kmeans]
clusters = 3
"""


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """A crawl of some five hundred pictures, run once with two recipes."""
    folder = tmp_path_factory.mktemp("run")
    write_demo_crawl(folder / "crawl", DemoSettings(train_images=500, val_images=20, test_images=30))
    (folder / "winnow.toml").write_text(SETTINGS)
    made = SmallRun(folder)
    made.run()
    return made
