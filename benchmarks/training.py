"""The training loop beside the same network's bare forward and backward pass, taking turns on one machine.

    python -m benchmarks.training [--network resnet18] [--image-size 32] [--batch-size 128] [--batches 8] [--rounds 5]
    python -m benchmarks.training --processes 1 2 [...]

The loop reads stored pixels, augments, weighs, steps, logs margins; the bare pass has one batch ready in memory and
does nothing else. Of each the fastest round counts, so that other work on the machine does not. The loader alone shows
how far it is from holding the network up. With `--processes` the loop alone runs on so many processes, one number
after the other: on CPUs one core each, on GPUs one device each. Prints a table and writes JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.shopcrawl import ROOT, table
from models.batches import TrainingBatches
from models.data import TrainingSet
from models.gang import Gang, has_bfloat16, join_gang, leave_gang
from models.margins import Margins
from models.networks import Classifier, build_network, normalise
from models.optimizers import make_optimizer
from models.position import Position
from models.settings import TrainingSettings
from models.tasks import Classification
from models.train import Training, train
from pipeline.measure import MemorySampler
from pipeline.storage.arrays import ArrayShards, write_array

CLASSES = 24
SIZES = ("network", "image-size", "batch-size", "batches", "rounds")
RANK = int(os.environ.get("RANK", "0"))


def main() -> None:
    """Measure and tell."""
    options = _options()
    rows = _scaling(options) if options.processes else [_compared(options)]
    if RANK == 0:
        print(table(rows))
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=1))
        print(f"\nwritten to {options.json}")


def _compared(options: argparse.Namespace) -> dict[str, Any]:
    """The loop, the bare pass and the loader on the processes there are."""
    gang = join_gang()
    settings = TrainingSettings(network=options.network, epochs=1, batch_size=options.batch_size, warmup_epochs=0)
    with tempfile.TemporaryDirectory() as folder, MemorySampler() as memory:
        source = _made_up(Path(folder), options)
        bench = Bench(settings, source, gang)
        seconds = bench.fastest(options.rounds)
    leave_gang()
    images = len(source)
    return {
        "network": options.network,
        "pixels a side": options.image_size,
        "batch": options.batch_size,
        "device": gang.device.type,
        "processes": gang.processes,
        **{f"{name}, images/s": round(images / own, 1) for name, own in seconds.items()},
        "loop / bare": f"{seconds['bare'] / seconds['loop']:.3f}",
        "loader / loop": f"{seconds['loop'] / seconds['loader']:.0f}x",
        "peak MB": round(memory.peak_bytes / 1e6),
    }


def _scaling(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Images a second of the loop on several numbers of processes, and how much of the first's rate each one keeps."""
    cores = sorted(os.sched_getaffinity(0))
    rows: list[dict[str, Any]] = []
    for processes in options.processes:
        with tempfile.TemporaryDirectory() as folder:
            told = Path(folder) / "row.json"
            sizes = [f"--{name}={getattr(options, name.replace('-', '_'))}" for name in SIZES]
            torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            command = [sys.executable, "-m", *torchrun, "-m", "benchmarks.training", *sizes, f"--json={told}"]
            os.sched_setaffinity(0, cores[:processes])  # the processes share them: one thread each
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            own = json.loads(told.read_text())[0]
        rate = own["loop, images/s"]
        each = rows[0]["images/s"] / rows[0]["processes"] if rows else rate / processes
        told_of = {"processes": processes, "images/s": rate, "peak MB of rank 0": own["peak MB"]}
        rows.append(told_of | {"efficiency": f"{rate / processes / each:.2f}"})
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "training.json")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--batches", type=int, default=8, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, nargs="*", default=[], help="numbers of them, to compare the loop on")
    return parser.parse_args()


def _made_up(folder: Path, options: argparse.Namespace) -> TrainingSet:
    """Stored pixels of as many images as a round sees."""
    rng = np.random.default_rng(0)
    images, side = options.batches * options.batch_size, options.image_size
    with write_array(folder / "part-00000.npy", (images, side, side, 3), np.uint8) as pixels:
        pixels[:] = rng.integers(0, 256, pixels.shape, np.uint8)
    return TrainingSet(
        pixels=ArrayShards([folder]),
        image_id=np.arange(images),
        shard=np.zeros(images, np.int32),
        row=np.arange(images, dtype=np.int32),
        class_index=rng.integers(0, CLASSES, images).astype(np.int32),
        weight=np.ones(images, np.float32),
        repeats=np.ones(images, np.int32),
        stage=np.zeros(images, np.int32),
    )


class Bench:
    """One network, trained by the loop and by hand."""

    def __init__(self, settings: TrainingSettings, source: TrainingSet, gang: Gang) -> None:
        """Set up the loop as the worker does, and a batch for the bare pass."""
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        self.gang, self.settings, self.source = gang, settings, source
        self.network: Classifier = build_network(settings.network, CLASSES, 0).to(gang.device)
        self.batches = TrainingBatches(
            source=source, settings=settings, seed=0, rank=gang.rank, processes=gang.processes
        )
        self.autocast = has_bfloat16(gang.device)
        self.training = Training(
            network=gang.wrap(self.network),
            optimizer=make_optimizer(self.network, settings),
            task=Classification(settings=settings, device=gang.device, autocast=self.autocast),
            batches=self.batches,
            settings=settings,
            gang=gang,
            margins=Margins.unseen(len(source)),
            average=None,
            evaluate=lambda: None,
            stop_asked=lambda: False,
            after_batch=lambda _position, _last: None,
            after_epoch=lambda _position: None,
        )
        first = next(iter(self.batches.read(0, range(1))))
        self.images = normalise(first.pixels.to(gang.device))
        self.label = first.class_index.to(gang.device)

    def fastest(self, rounds: int) -> dict[str, float]:
        """Seconds of the fastest round of each, the first one not counted."""
        ways: dict[str, Callable[[], None]] = {"bare": self._bare, "loop": self._loop, "loader": self._loader}
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                if self.gang.device.type == "cuda":
                    torch.cuda.synchronize()
                taken[name].append(time.perf_counter() - started)
        return {name: min(own[1:]) for name, own in taken.items()}

    def _bare(self) -> None:
        self.network.train()
        for _ in range(len(self.source) // self.settings.batch_size):
            self.network.zero_grad(set_to_none=True)
            with torch.autocast(self.gang.device.type, torch.bfloat16, enabled=self.autocast):
                logits = self.network(self.images)
            F.cross_entropy(logits.float(), self.label).backward()  # type: ignore[no-untyped-call]

    def _loop(self) -> None:
        train(self.training, Position())

    def _loader(self) -> None:
        for _ in self.batches.read(0, range(len(self.source) // self.settings.batch_size)):
            pass


if __name__ == "__main__":
    main()
