"""Decoding beside its floor: a bare loop of simplejpeg and cv2, per core; and memory beside the crawl's size.

    python benchmarks/decode.py [RESULT.json]

The pictures are made: 500 x 375 JPEGs, quality 90, 4:2:0, of smooth noise in four sizes plus grain, about 54 kB each.
The floor reads the file, decodes it (simplejpeg.decode_jpeg) and resizes it (cv2.resize, area): no fingerprints, no
checks, no survival. "full" decodes at full size as usual; "scaled" has our own shrinking while decoding, which ours
uses at 64 pixels and cannot use at 224. Rates are images per second and process, by wall time and by processor time
(for ours that of the workers and of the parent); with two workers the floor runs in two processes at once. Floor and
ours alternate; a ratio is the median over the rounds. On a machine that does other work only processor time tells.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pyarrow as pa
import simplejpeg

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.workers import DecodePool, Source
from pipeline.measure import MemorySampler
from pipeline.records import LISTING
from pipeline.stages.images import make_images
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.atomic import publish_json
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import write_table

HEIGHT, WIDTH = 375, 500
PICTURES = 200
IMAGES = 400  # decoded per process and round
ROUNDS = 5
CRAWLS = (1_000, 8_000)
FACTORS = {64: 2, 224: 1}  # by which ours shrinks these pictures while decoding, for each goal


def make_pictures(folder: Path) -> list[str]:
    """Write the pictures; returns their names."""
    random = np.random.default_rng(0)
    names = []
    for number in range(PICTURES):
        picture = random.normal(128, 4, (HEIGHT, WIDTH, 3)).astype(np.float32)
        for cells, strength in ((4, 70), (16, 35), (64, 18), (200, 8)):
            noise = random.normal(0, strength, (cells * HEIGHT // WIDTH, cells, 3)).astype(np.float32)
            picture += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        pixels = picture.clip(0, 255).astype(np.uint8)
        names.append(f"{number:03d}.jpg")
        (folder / names[-1]).write_bytes(simplejpeg.encode_jpeg(pixels, quality=90, colorsubsampling="420"))
    return names


def bare_loop(paths: Sequence[str], side: int, factor: int) -> float:
    """The floor; runs in a process of its own and returns the processor seconds it took."""
    cv2.setNumThreads(1)
    started = time.process_time()
    least = {"min_height": -(-HEIGHT // factor), "min_width": -(-WIDTH // factor)} if factor > 1 else {}
    for path in paths:
        picture = simplejpeg.decode_jpeg(Path(path).read_bytes(), **least)
        cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return time.process_time() - started


def pool_seconds() -> float:
    """Processor seconds so far of this process and its decoding processes."""
    workers = [child for child in psutil.Process().children() if "pipeline.crawl.worker" in child.cmdline()]
    spent = [process.cpu_times() for process in (psutil.Process(), *workers)]
    return float(sum(times.user + times.system for times in spent))


def compare(folder: Path, names: list[str], side: int, workers: int, bare: ProcessPoolExecutor) -> dict[str, Any]:
    """Rates of floor and ours with that many processes at once, and the medians of their ratios."""
    wanted = [names[at % PICTURES] for at in range(IMAGES)]
    paths = [str(folder / name) for name in wanted]

    def floor(factor: int) -> tuple[float, float]:
        started = time.perf_counter()
        spent = sum(bare.map(bare_loop, *zip(*[(paths, side, factor)] * workers, strict=True)))
        return IMAGES / (time.perf_counter() - started), IMAGES * workers / spent

    with DecodePool(CrawlFiles(str(folder)), DecodeSettings(image_size=side), workers) as pool:
        sources = [Source(name) for name in wanted] * workers

        def ours() -> tuple[float, float]:
            started, spent = time.perf_counter(), pool_seconds()
            pool.decode(sources)
            return IMAGES / (time.perf_counter() - started), IMAGES * workers / (pool_seconds() - spent)

        ours()  # the workers are up, the files in memory
        rounds = [(floor(1), floor(FACTORS[side]), ours()) for _ in range(ROUNDS)]
    figures: dict[str, Any] = {"image_size": side, "workers": workers}
    for clock, name in enumerate(("wall", "cpu")):
        full, scaled, mine = (np.array([column[clock] for column in one]) for one in zip(*rounds, strict=True))
        figures |= {
            f"floor_full_{name}": round(float(np.median(full)), 1),
            f"floor_scaled_{name}": round(float(np.median(scaled)), 1),
            f"ours_{name}": round(float(np.median(mine)), 1),
            f"to_full_{name}": round(float(np.median(mine / full)), 3),
            f"to_scaled_{name}": round(float(np.median(mine / scaled)), 3),
        }
    return figures


def make_listing(store: Store, names: list[str], images: int) -> Artifact:
    """A listing of so many images, which share the pictures."""

    def build(draft: Draft) -> Facts:
        rows = [
            {"image_id": at, "crawl": "made", "path": names[at % PICTURES], "class_index": 0, "split": "train"}
            for at in range(images)
        ]
        path = draft.table("listing") / "part-00000.parquet"
        draft.finish(0, {path: write_table(path, LISTING, [pa.Table.from_pylist(rows, schema=LISTING)])})
        return {"listed": images, "containers": None}

    return store.make("listing", "made", f"{images}", build)


def measure_memory(folder: Path, names: list[str], scratch: Path) -> list[dict[str, Any]]:
    """Peak memory of the whole stage (this process and its workers) at two crawl sizes."""
    figures = []
    for images in CRAWLS:
        store = Store(scratch / f"store{images}")
        listing = make_listing(store, names, images)
        started = time.perf_counter()
        with MemorySampler() as memory:
            made = make_images(store, listing, CrawlFiles(str(folder)), DecodeSettings(shard_mb=8), workers=2)
        seconds = time.perf_counter() - started
        figures.append(
            {
                "images": made.facts["usable"],
                "peak_mb": round(memory.peak_bytes / 1e6, 1),
                "images_per_second": round(images / seconds, 1),
            }
        )
    return figures


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", nargs="?", type=Path, default=Path("build/benchmarks/decode.json"))
    result = parser.parse_args().result
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProcessPoolExecutor(2, get_context("spawn")) as bare,
    ):
        folder = Path(scratch) / "crawl"
        folder.mkdir()
        names = make_pictures(folder)
        memory = measure_memory(folder, names, Path(scratch))
        list(bare.map(bare_loop, *zip(*[([], 64, 1)] * 2, strict=True)))  # both are up
        speed = [compare(folder, names, side, workers, bare) for side in FACTORS for workers in (1, 2)]
    for line in (*speed, *memory):
        print("  ".join(f"{name} {value}" for name, value in line.items()))
    publish_json(result, {"speed": speed, "memory": memory})


if __name__ == "__main__":
    main()
