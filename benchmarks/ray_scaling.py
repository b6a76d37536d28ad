"""How much faster two workers of a Ray cluster are than one.

    python -m benchmarks.ray_scaling [--pictures 4000] [--rows 20000] [--json build/benchmarks/ray_scaling.json]

Both stages run on a cluster of this machine alone: decoding of made-up JPEGs of 500 x 375 pixels, a shard a task, and
k-means, density and HDBSCAN of made-up features, a class a task. Before the clock starts every worker has had a task.
Efficiency is the time of one worker over twice that of two; it needs two cores with nothing else to do.
Prints a table and writes JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.decode import make_listing, make_pictures
from benchmarks.shopcrawl import ROOT, table
from benchmarks.synthetic import CRAWL, Shape, build_store
from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.evidence.density import DensitySettings
from pipeline.evidence.hdbscan import HdbscanSettings
from pipeline.evidence.kmeans import KMeansSettings
from pipeline.evidence.rank import RankSettings
from pipeline.ray_cluster import RayCluster
from pipeline.stages.class_evidence import make_class_evidence
from pipeline.stages.class_sources import class_sources
from pipeline.stages.images import make_images
from pipeline.stages.rank import make_rank
from pipeline.storage.artifacts import Store

WORKERS: Final = (1, 2)
CLASS_SIZE, DIMENSIONS = 500, 64


def main() -> None:
    """Measure each number of workers in a process of its own, for a process knows one cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=4_000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "ray_scaling.json")
    parser.add_argument("--workers", type=int, help="measure these alone, and print the seconds as JSON")
    options = parser.parse_args()
    if options.workers is not None:
        print(json.dumps(_seconds(options.workers, options.pictures, options.rows)))
        return
    sizes = [f"--pictures={options.pictures}", f"--rows={options.rows}"]
    one, two = (_apart(workers, sizes) for workers in WORKERS)
    rows = [
        {
            "stage": stage,
            "1 worker, s": round(one[stage], 1),
            "2 workers, s": round(two[stage], 1),
            "efficiency": round(one[stage] / (2 * two[stage]), 3),
        }
        for stage in one
    ]
    print(table(rows))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1))
    print(f"\nwritten to {options.json}")


def _apart(workers: int, sizes: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.ray_scaling", f"--workers={workers}", *sizes]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds: dict[str, float] = json.loads(told.stdout)
    return seconds


def _seconds(workers: int, pictures: int, rows: int) -> dict[str, float]:
    """Wall time of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        crawl = root / "crawl"
        crawl.mkdir()
        store = Store(root / "store")
        listing = make_listing(store, make_pictures(crawl), pictures)
        build_store(store, Shape(rows=rows, class_size=CLASS_SIZE, dimensions=DIMENSIONS))
        make_rank(store, [CRAWL], RankSettings(), workers=1)
        cluster = RayCluster(None, workers, store.root / "scratch")
        list(cluster.map(time.sleep, [1.0] * workers))  # all are up
        sources = class_sources(KMeansSettings(), DensitySettings(), HdbscanSettings())
        shards = DecodeSettings(image_size=64, shard_mb=4)  # 341 pictures each: several for each worker
        started = time.perf_counter()
        make_images(store, listing, CrawlFiles(str(crawl)), shards, workers=cluster)
        decoded = time.perf_counter()
        make_class_evidence(store, [CRAWL], sources, workers=cluster)
        return {"decode": decoded - started, "evidence": time.perf_counter() - decoded}


if __name__ == "__main__":
    main()
