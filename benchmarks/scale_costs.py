"""What 10^8 and 10^9 images would take: hours, disk, files and dollars, from rates measured on a real crawl.

    python -m benchmarks.scale_costs [--images 100000000 1000000000] [--machine machine.toml]
        [--gpu-dollars 3] [--core-dollars 0.05] [--crawl path/to/crawl]

`winnow plan` measures this machine on a sample of the crawl, with the network and the pictures that are asked for; its
laws of growth then tell of larger crawls on the machine described. Prices are the caller's: dollars an hour of a GPU
and of a core. Classes are skewed as in benchmarks/scale_crawl.py, 3,200 images in the mean.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from assets.plan import Order, foretell, read_machine
from assets.run import crawls_at
from assets.settings import Settings
from benchmarks.scale_crawl import ScaleCrawl
from benchmarks.shopcrawl import ROOT, extracted, table
from models.settings import TrainingSettings
from pipeline.crawl.decode import DecodeSettings
from pipeline.planning.figures import CrawlFigures, Machine
from pipeline.planning.plan import GB, Planner, Row, described, gpu_hours, total_seconds
from pipeline.stages.classes import SHARD_IMAGES, stretches
from pipeline.storage.artifacts import Store
from pipeline.storage.sealed import sealed

CLASS_IMAGES: Final = 3200  # in the mean: WebVision 2.0's 16 million of 5,000 classes
POPULATION_BYTES: Final = 30  # an image, of the numeric columns that stages after decoding work on
_FILES: Final = ("images/part-00000.parquet", "pixels/part-00000.npy")
#: Of a finished shard of images in its ledger.
RECORD_BYTES: Final = len(
    sealed(
        {
            "files": {name: {"rows": 1000, "bytes": 10**8, "sha256": "0" * 64} for name in _FILES},
            "facts": {"listed": 1000, "usable": 1000, "reasons": {"broken": 1}},
        },
        1,
    )
)
Told = list[dict[str, Any]]


def main() -> None:
    """Measure once, tell of every size."""
    options = _options()
    settings = dataclasses.replace(
        Settings(),
        recipes=tuple(options.recipes),
        seeds=(0,),
        images=DecodeSettings(image_size=options.image_size),
        training=TrainingSettings(network=options.network, epochs=options.epochs),
    )
    crawl = options.crawl or extracted(options.folder)
    store = Store(options.folder / "scale-costs")
    planner, _ = foretell(store, crawls_at([str(crawl)], settings), Order(settings, None, 1500, False), Console())
    machine = read_machine(options.machine)
    results: dict[str, Any] = {}
    for images in options.images:
        own = at_scale(planner, machine, images)
        rows = own.rows()
        results[str(images)] = {
            "stages": stages(own, rows),
            "sums": sums(own, rows, options.gpu_dollars, options.core_dollars),
            "files": files(own, max(1, settings.images.shard_mb * 2**20 // (options.image_size**2 * 3))),
        }
        for name, told in results[str(images)].items():
            print(f"\n{images:,} images on {machine.name}: {name}\n{table(told)}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    settings_told = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.json.write_text(json.dumps({"settings": settings_told, **results}, indent=1))
    print(f"\nwritten to {options.json}")


def at_scale(planner: Planner, machine: Machine, images: int) -> Planner:
    """The same run over so many images on the machine that is described."""
    classes = max(1, images // CLASS_IMAGES)
    sizes = ScaleCrawl(name="x", rows=images, classes=classes, dimensions=0).sizes()
    clean = 50 * classes  # val, as many as the source had: 50 a class
    crawl = CrawlFigures(
        images=images + clean,
        train=images,
        val=clean,
        test=0,
        class_sizes=tuple(sizes.tolist()),
        text_coverage=planner.crawl.text_coverage,
    )
    return dataclasses.replace(planner, crawl=crawl, machine=machine, rates=described(planner.rates, machine))


def stages(planner: Planner, rows: list[Row]) -> Told:
    """Hours and disk of each stage, the longest first; those under a hundredth of the whole are one line."""
    whole = total_seconds(rows)
    large = sorted((row for row in rows if row.seconds >= whole / 100), key=lambda row: -row.seconds)
    small = [row for row in rows if row not in large]
    told = [_stage(row.stage, [row], planner.machine) for row in large]
    return [*told, _stage(f"the {len(small)} others", small, planner.machine)]


def _stage(name: str, rows: list[Row], machine: Machine) -> dict[str, Any]:
    return {
        "stage": name,
        "hours": f"{total_seconds(rows) / 3600:,.1f}",
        "GPU-hours": f"{gpu_hours(rows, machine.gpus):,.0f}",
        "disk, TB": f"{sum(row.disk for row in rows) / 1e12:.2f}",
        "memory, GB": f"{max(row.memory_mb for row in rows) / 1e3:,.1f}",
    }


def sums(planner: Planner, rows: list[Row], gpu_dollars: float, core_dollars: float) -> Told:
    """The whole run in hours and dollars; cores are paid for while no GPU works, and GPUs while they do."""
    images, machine = planner.crawl.images, planner.machine
    gpus = gpu_hours(rows, machine.gpus)
    cores = machine.cores * sum(row.seconds for row in rows if not (row.network and machine.gpus)) / 3600
    dollars = gpus * gpu_dollars + cores * core_dollars
    return [
        {
            "days": f"{total_seconds(rows) / 86400:,.1f}",
            "GPU-hours": f"{gpus:,.0f}",
            "GPU-hours a million images": f"{gpus / images * 1e6:,.2f}",
            "core-hours": f"{cores:,.0f}",
            "dollars": f"{dollars:,.0f}",
            "dollars a million images": f"{dollars / images * 1e6:,.2f}",
            "disk, TB": f"{sum(row.disk for row in rows) / 1e12:.1f}",
        }
    ]


def files(planner: Planner, shard: int) -> Told:
    """Files of the largest artifacts, in shards of so many pictures, and what tells where everything is."""
    images, features = planner.crawl.images, planner.rates.features
    decoded, judged = -(-images // shard), len(stretches(np.array(planner.crawl.class_sizes)))
    return [
        {"what": f"shards of images and features, {shard:,} pictures each", "number or size": f"{decoded:,}"},
        {"what": "files of images, pixels and features", "number or size": f"{3 * decoded:,}"},
        {
            "what": f"parts of each table of evidence, at most {SHARD_IMAGES:,} rows or a class",
            "number or size": f"{judged:,}",
        },
        {"what": "ledgers of images, MB", "number or size": f"{decoded * RECORD_BYTES / 1e6:,.0f}"},
        {"what": "numeric columns of all images, GB", "number or size": f"{images * POPULATION_BYTES / GB:,.0f}"},
        {"what": f"features of {features} numbers, TB", "number or size": f"{2 * features * images / 1e12:,.2f}"},
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "scale_costs.json")
    parser.add_argument("--crawl", type=Path, help="that the rates are measured on; the shopcrawl, if left out")
    parser.add_argument("--machine", type=Path, default=ROOT / "benchmarks" / "scale_machine.toml")
    parser.add_argument("--images", type=int, nargs="+", default=[16_000_000, 100_000_000, 1_000_000_000])
    parser.add_argument("--recipes", nargs="+", default=["baseline", "fused"])
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument(
        "--gpu-dollars", type=float, default=3.0, help="an hour of a GPU, with its share of the machine"
    )
    parser.add_argument("--core-dollars", type=float, default=0.05, help="an hour of a core, where no GPU works")
    return parser.parse_args()


if __name__ == "__main__":
    main()
