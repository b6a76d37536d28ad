"""Neighbours and duplicates per core, beside their floors and their peers.

    python benchmarks/evidence_neighbours.py [--dimensions 384 2048] [--json build/benchmarks/evidence_neighbours.json]

Everything runs on one thread and is timed by the processor, so that other work hardly shows. Features are made up as
networks give them, many dimensions of which 32 vary, of 100 classes, a quarter of the labels wrong. The floor of the
neighbours is the product of all rows with all rows, not looked at. Floor and faiss's flat search are timed on some of
the queries; faiss's cells are probed in twos until they find as many true neighbours as ours. Hashes are those of
pictures and of some copies of each, up to 8 bits changed; the peer compares all with all.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.shopcrawl import ROOT, table
from pipeline.evidence.hashes import block_choices, distinct_pairs, near_pairs
from pipeline.evidence.neighbours import NeighbourSettings, unit_rows
from pipeline.evidence.same_picture import same_picture, thumbnails
from pipeline.measure import MemorySampler
from pipeline.stages.classes import ClassOrder
from pipeline.stages.neighbour_layout import Search, lay_out
from pipeline.stages.neighbour_search import recall, search_all
from pipeline.stages.population import Population
from pipeline.storage.arrays import ArrayShards, open_array, write_array
from pipeline.storage.atomic import publish_json

IMAGES = 50_000  # at 384 dimensions; fewer above, so that the bytes are the same
EXACT_IMAGES = 15_000
CLASSES = 100
VARYING = 32  # dimensions that the made-up features vary in
QUERIES = 1000  # that floor and flat search are timed on
HASHES = 50_000
PAIRS = 8192  # pictures compared with a copy
Row = dict[str, Any]
Floats = npt.NDArray[np.float32]


def rows(dimensions: int) -> list[Row]:
    """One row for each way to search, and for the steps of the duplicates, at so many dimensions."""
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        everything = IMAGES * 384 // max(dimensions, 384)
        return [
            _searched(Path(folder) / "exact", min(EXACT_IMAGES, everything), dimensions, exact=True),
            _searched(Path(folder) / "cells", everything, dimensions, exact=False),
            _hashes(),
            _looks(),
        ]


def _searched(folder: Path, n: int, dimensions: int, *, exact: bool) -> Row:
    order, shards = _made_up(folder / "features", n, dimensions)
    settings = NeighbourSettings(exact_images=n if exact else 1)
    runs = [Search(order, shards, order.image_id, settings, folder / f"scratch{k}") for k in range(3)]
    first, peak = _peak(partial(_search, runs[0]))
    timed = [(_seconds(partial(_search, run))) for run in runs[1:]]
    seconds = min(timed)
    units, _ = unit_rows(order.gather(shards, slice(None)))
    flat = _seconds(lambda: faiss.knn(units[:QUERIES], units, settings.k + 1, metric=faiss.METRIC_INNER_PRODUCT))
    product = np.empty((512, n), np.float32)  # its memory is there before
    product[:] = 0
    floor = min(_seconds(lambda: np.matmul(units[:512], units.T, out=product)) for _ in range(3)) * n / 512
    row = {
        "source": "neighbours, every pair" if exact else "neighbours, by cells",
        "dimensions": dimensions,
        "images": n,
        "images/s/core": round(n / seconds),
        "seconds": round(seconds, 2),
        "peak MB": round(peak),
        "recall": round(first, 4),
        "x floor": round(floor / seconds, 2),
        "x faiss flat": round(flat * n / QUERIES / seconds, 2),
    }
    if exact:
        return row | {"x faiss cells, same recall": ""}
    return row | {"x faiss cells, same recall": round(_cells_of_faiss(units, settings.k, first) / seconds, 2)}


def _search(search: Search) -> float:
    """What the stage computes; gives the recall."""
    layout = lay_out(search, 1)
    found = np.full((len(search.order), search.settings.k), -1, np.int64)
    start = 0
    for folder in search_all(search, layout, 1, lambda _: None):
        own = open_array(folder / "nearest.npy")
        found[layout.rows[start : start + len(own)]] = own
        start += len(own)
    return recall(search, layout, found)


def _cells_of_faiss(units: Floats, k: int, wanted: float) -> float:
    """Seconds of faiss's inverted lists, training and all queries, once they find as many true neighbours."""
    n, d = len(units), units.shape[1]
    index: Any = faiss.index_factory(d, f"IVF{2 * math.isqrt(n)},Flat", faiss.METRIC_INNER_PRODUCT)

    def fill() -> None:
        index.train(units)
        index.add(units)

    built: float = _seconds(fill)
    asked = units[np.random.default_rng(0).choice(n, QUERIES, replace=False)]
    _, truth = faiss.knn(asked, units, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    for index.nprobe in range(2, 65, 2):
        _, found = index.search(asked, k + 1)
        if (found[:, :, None] == truth[:, None, :]).any(axis=1).mean() >= min(wanted, 0.999):
            break
    asking = _seconds(lambda: index.search(asked, k + 1))
    return built + asking * n / QUERIES


def _hashes() -> Row:
    rng = np.random.default_rng(0)
    parents = rng.integers(0, 2**64, HASHES, np.uint64)[rng.integers(0, HASHES // 2, HASHES)]
    changed = np.zeros(HASHES, np.uint64)
    for _ in range(8):
        changed |= np.uint64(1) << rng.integers(0, 64, HASHES, np.uint64)
    hashes = np.sort(parents ^ (changed & rng.integers(0, 2**64, HASHES, np.uint64)))
    distance = 6
    found = _near(hashes, distance)
    seconds = _seconds(partial(_near, hashes, distance))
    index: Any = faiss.IndexBinaryFlat(64)
    codes = hashes.view(np.uint8).reshape(-1, 8)
    index.add(codes)
    ends, _, labels = index.range_search(codes, distance + 1)
    others = labels > np.repeat(np.arange(HASHES), np.diff(ends.astype(np.int64)))
    peer = _seconds(lambda: index.range_search(codes, distance + 1))
    return {
        "source": "duplicates: near hashes",
        "hashes": HASHES,
        "hashes/s/core": round(HASHES / seconds),
        "seconds": round(seconds, 2),
        "recall": round(len(found) / int(others.sum()), 4),
        "x faiss IndexBinaryFlat": round(peer / seconds, 2),
    }


def _near(hashes: npt.NDArray[np.uint64], distance: int) -> npt.NDArray[np.int64]:
    pairs = [near_pairs(hashes, mask, distance) for mask in block_choices(len(hashes), distance)]
    return distinct_pairs(np.concatenate(pairs), len(hashes))


def _looks() -> Row:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1024, 64, 64, 3)).astype(np.uint8)
    shrinking = min(_seconds(lambda: thumbnails(pixels)) for _ in range(2))
    thumbs = np.tile(thumbnails(pixels), (PAIRS // 1024, 1, 1, 1))
    copies = thumbs + rng.normal(size=thumbs.shape).astype(np.float32)
    seconds = min(_seconds(lambda: same_picture(thumbs, copies, 6.0)) for _ in range(2))
    return {
        "source": "duplicates: looking",
        "pairs/s/core": round(PAIRS / seconds),
        "thumbnails/s/core, 64 pixels": round(len(pixels) / shrinking),
    }


def _made_up(folder: Path, n: int, dimensions: int) -> tuple[ClassOrder, ArrayShards]:
    rng = np.random.default_rng(0)
    label = np.sort(rng.integers(0, CLASSES, n)).astype(np.int32)
    shown = np.where(rng.random(n) < 0.25, rng.integers(0, CLASSES, n), label)
    centres, spread = rng.normal(size=(CLASSES, VARYING)), rng.normal(size=(VARYING, dimensions)) / VARYING**0.5
    with write_array(folder / "part-00000.npy", (n, dimensions), np.float16) as stored:
        for start in range(0, n, 4096):
            own = shown[start : start + 4096]
            place = centres[own] + 0.5 * rng.normal(size=(len(own), VARYING))
            stored[start : start + 4096] = place @ spread + 0.1 * rng.normal(size=(len(own), dimensions))
    here, none = np.zeros(n, np.int32), np.full(n, -1, np.int8)
    population = Population(
        rng.permutation(n), label, here.astype(np.int8), np.ones(n, np.bool_), none, here, np.arange(n, dtype=np.int32)
    )
    return ClassOrder.of(population, CLASSES), ArrayShards([folder])


def _seconds(function: Callable[[], Any]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def _peak(function: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and the megabytes by which memory grew."""
    with MemorySampler() as before:
        pass
    with MemorySampler() as memory:
        found = function()
    return found, (memory.peak_bytes - before.peak_bytes) / 1e6


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[384, 2048])
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "evidence_neighbours.json")
    options = parser.parse_args()
    found = [row for dimensions in options.dimensions for row in rows(dimensions)]
    columns = dict.fromkeys(name for row in found for name in row)
    print(table([{name: row.get(name, "") for name in columns} for row in found]))
    publish_json(options.json, found)


if __name__ == "__main__":
    main()
