"""The whole command killed or asked to stop at any moment; a decoding process and a training rank killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.faults.copies import contents
from benchmarks.faults.stops import check_bytes
from benchmarks.faults.tally import Tally, hold
from pipeline.demo.crawl import write_demo_crawl
from pipeline.demo.noise import DemoSettings
from pipeline.storage.artifacts import Store
from pipeline.storage.atomic import TEMPORARY_SUFFIX
from pipeline.storage.verify import verify

ROOT: Final = Path(__file__).resolve().parents[2]
SETTINGS: Final = """
recipes = ["baseline", "kmeans-size"]
[images]
image_size = 32
[training]
epochs = 1
batch_size = 64
[kmeans]
clusters = 3
[run]
workers = 2
"""
_TIMED: Final = ("curve/part-00000.parquet", "ledger/00000.json", "artifact.json")
#: Tests that kill a process of a gang and count what it cost.
KILLS: Final = {
    "kill -9 of a decoding process": "tests/crawl/test_workers.py::test_a_worker_killed_from_outside_costs_nothing",
    "kill -9 of a training rank": "tests/models/test_launch.py::test_a_killed_process_is_made_up_for",
    "kill -9 of torchrun": "tests/models/test_launch.py::test_workers_end_when_torchrun_is_killed",
}


def whole_runs(work: Path, tries: int, seed: int) -> list[Tally]:
    """`winnow run` ended by SIGKILL and SIGTERM in turn, run again, and compared with an undisturbed run."""
    prepare(work)
    begun = time.monotonic()
    _end(start(work, "whole"), None)
    length, whole = time.monotonic() - begun, told(Store(work / "whole"))
    tallies = {kind: Tally(f"{kind.name} to the whole `winnow run`") for kind in (signal.SIGKILL, signal.SIGTERM)}
    rng = np.random.default_rng([seed, 50])
    for number in range(tries):
        kind = (signal.SIGKILL, signal.SIGTERM)[number % 2]
        after = float(rng.uniform(0.1, 0.9) * length)
        with tallies[kind].attempt(f"{after:.1f} s"):
            _one_run(work, kind, after, whole, tallies[kind])
    return list(tallies.values())


def prepare(work: Path) -> None:
    """A small crawl and settings for it, in a new folder."""
    work.mkdir(parents=True)
    write_demo_crawl(work / "crawl", DemoSettings(train_images=500, val_images=20, test_images=30))
    (work / "winnow.toml").write_text(SETTINGS)


def _one_run(work: Path, kind: signal.Signals, after: float, whole: dict[str, bytes], tally: Tally) -> None:
    store = Store(work / "stopped")
    shutil.rmtree(store.root, ignore_errors=True)
    run = start(work, "stopped")
    time.sleep(after)
    _end(run, kind)
    damage = verify(store, workers=2)
    hold(not damage, f"what stands is damaged: {damage[:1]}")
    tally.timed(lambda: hold(_end(start(work, "stopped"), None) == 0, "the next run failed"))
    check_bytes(told(store), whole)
    strays = [path for path in store.root.rglob(f"*{TEMPORARY_SUFFIX}") if "dagster" not in path.parts]
    hold(not strays, f"left behind: {strays}")


def start(work: Path, store: str) -> subprocess.Popen[bytes]:
    """Begin `winnow run` over what was prepared."""
    command = [sys.executable, "-m", "assets.cli", "run", "crawl", "--store", store]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(run: subprocess.Popen[bytes], kind: signal.Signals | None) -> int:
    if kind is not None:
        run.send_signal(kind)
    return run.wait()


def told(store: Store) -> dict[str, bytes]:
    """All that is published and tells no time: not the report, nor a model's curve and the records that sum it up."""
    kept = contents(store).items()
    timed = ("artifacts/report/", "current/report/")
    return {
        name: data
        for name, data in kept
        if not name.startswith(timed) and not (name.startswith("artifacts/model/") and name.endswith(_TIMED))
    }


def gang_kills() -> list[Tally]:
    """Processes of the decoding pool and of a training killed, as the tests do it."""
    tallies = []
    for fault, test in KILLS.items():
        tally = Tally(fault)
        with tally.attempt(test):
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", test]
            tally.timed(partial(_passes, command))
        tallies.append(tally)
    return tallies


def _passes(command: list[str]) -> None:
    status = subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode
    hold(status == 0, f"the test ended with {status}")
