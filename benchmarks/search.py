"""How long it takes to try many recipes, and in how much memory.

    python benchmarks/search.py [--images 11000 1000000] [--recipes 16] [--samples 5] [--dimensions 512] [--classes 24]

Made-up features, labels and weights; the probes are those of `winnow search` with its own settings. The floor is their
matrix products alone, measured in the same process. Prints a table and writes JSON.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.shopcrawl import ROOT, table
from models.probes import Inputs, Trials, train_probes
from models.search_settings import SearchSettings
from pipeline.measure import MemorySampler
from pipeline.storage.arrays import blocks, scratch_array

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
FLOOR_STEPS = 5


def main() -> None:
    """Try the recipes on crawls of each size."""
    options = _options()
    rows = [_row(images, options) for images in options.images]
    print(table(rows))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1))
    print(f"\nwritten to {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "search.json")
    parser.add_argument("--images", type=int, nargs="+", default=[11_000, 1_000_000])
    parser.add_argument("--recipes", type=int, default=16)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--classes", type=int, default=24)
    return parser.parse_args()


def _row(images: int, options: argparse.Namespace) -> dict[str, Any]:
    settings = SearchSettings()
    features, trials = _made_up(images, options)
    started = time.perf_counter()
    with MemorySampler() as memory:
        inputs = Inputs.of(features)
        train_probes(inputs, trials, options.classes, settings, DEVICE)
    seconds = time.perf_counter() - started
    columns = options.recipes * options.samples * len(settings.penalties) * options.classes
    steps = settings.epochs_of(images) * -(-images // settings.batch_size)
    floor = steps * _step_seconds(settings.batch_size, options.dimensions + 1, columns)
    return {
        "images": images,
        "dimensions": options.dimensions,
        "probes": options.recipes * options.samples * len(settings.penalties),
        "epochs": settings.epochs_of(images),
        "seconds": round(seconds, 1),
        "of the products alone": f"{floor / seconds:.2f}",
        "peak MB": round(memory.peak_bytes / 1e6),
        "device": DEVICE.type,
    }


def _made_up(images: int, options: argparse.Namespace) -> tuple[Any, Trials]:
    """Features around a centre for each class, a quarter of the labels wrong, and random weights; on the disk."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(options.classes, options.dimensions)).astype(np.float32)
    features = scratch_array((images, options.dimensions), np.float16)
    label, weight = (scratch_array((images, options.recipes), dtype) for dtype in (np.int32, np.float32))
    for block in blocks(images):
        for at in range(block.start, block.stop, 8192):
            own = slice(at, min(at + 8192, block.stop))
            true = rng.integers(0, options.classes, own.stop - at)
            given = np.where(rng.random(len(true)) < 0.25, rng.integers(0, options.classes, len(true)), true)
            features[own] = centres[true] + 3 * rng.normal(size=(len(true), options.dimensions)).astype(np.float32)
            label[own] = given[:, None]
            weight[own] = rng.random((len(true), options.recipes), np.float32)
    stage = scratch_array((images, options.recipes), np.int8)
    return features, Trials(label, weight, stage, Trials.draws(np.arange(images), options.samples))


def _step_seconds(batch: int, inputs: int, columns: int) -> float:
    """The two products of a step."""
    rows, solution, error = (
        torch.randn(*shape, device=DEVICE) for shape in ((batch, inputs), (inputs, columns), (batch, columns))
    )
    for count in (1, FLOOR_STEPS):
        started = time.perf_counter()
        for _ in range(count):
            _ = rows @ solution, rows.T @ error
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - started) / FLOOR_STEPS


if __name__ == "__main__":
    main()
