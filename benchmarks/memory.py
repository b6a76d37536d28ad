"""Peak memory of every evidence stage on synthetic crawls of growing size whose largest class stays the same.

    python benchmarks/memory.py [--rows 200000 1000000 4000000] [--stages kmeans density ...]

Each stage runs in a process of its own. What counts is the memory the process has allocated (anonymous pages): mapped
feature files are the page cache's and can be dropped at any time. Writes a table and JSON.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.shopcrawl import ROOT, table
from pipeline.records import CLASSES, IMAGES, LISTING
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Draft, Facts, Store
from pipeline.storage.tables import part_path, write_table

CLASS_SIZE = 2000  # every class: the largest does not grow with the crawl
PART_ROWS = 50_000
DIMENSIONS = 32
CRAWL = "synthetic"
WORDS = 5_000  # different words in the titles
#: In the order in which they read each other.
STAGES = (
    "duplicates",
    "rank",
    "kmeans",
    "density",
    "hdbscan",
    "neighbours",
    "opinion",
    "confusion",
    "keyword",
    "semantic",
    "evidence",
)


def main() -> None:
    """Build the crawls one after another, run every stage on each, and tell what it took."""
    options = _options()
    results: list[dict[str, Any]] = []
    for rows in options.rows:
        folder = options.folder / str(rows)
        shutil.rmtree(folder, ignore_errors=True)
        _build(Store(folder), rows)
        for stage in options.stages:
            results.append(_measure(folder, rows, stage))
            print(json.dumps(results[-1]), flush=True)
        shutil.rmtree(folder)
    print(f"\n{table(_by_stage(results))}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"class_size": CLASS_SIZE, "dimensions": DIMENSIONS, "rows": results}, indent=1))
    print(f"\nwritten to {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "memory")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "memory.json")
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000, 4_000_000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    return parser.parse_args()


def _measure(folder: Path, rows: int, stage: str) -> dict[str, Any]:
    """Run one stage in a process of its own and watch its anonymous memory."""
    program = f"from benchmarks.memory_stages import run; run({str(folder)!r}, {stage!r}, {CRAWL!r})"
    started, peak = time.monotonic(), 0
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    while process.poll() is None:
        peak = max(peak, _anonymous_bytes(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{stage} failed on {rows} rows")
    return {"rows": rows, "stage": stage, "peak_mb": round(peak / 1e6), "seconds": round(time.monotonic() - started, 1)}


def _anonymous_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has just ended
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def _by_stage(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = sorted({result["rows"] for result in results})
    found = {(result["stage"], result["rows"]): result for result in results}
    return [
        {"stage": stage}
        | {f"{count:,} rows, MB": found[stage, count]["peak_mb"] for count in rows}
        | {f"{count:,} rows, s": found[stage, count]["seconds"] for count in rows}
        for stage in dict.fromkeys(result["stage"] for result in results)
    ]


def _build(store: Store, rows: int) -> None:
    """A crawl of classes of CLASS_SIZE images: features in clusters, a quarter of them of another class, titles."""
    store.make("listing", CRAWL, "l", lambda draft: _listing(draft, rows))
    store.make("images", CRAWL, "i", lambda draft: _images(draft, rows))
    store.make("features", CRAWL, "f", lambda draft: _features(draft, rows))


def _parts(rows: int) -> Iterator[tuple[int, npt.NDArray[np.int64], np.random.Generator]]:
    for number, start in enumerate(range(0, rows, PART_ROWS)):
        yield number, np.arange(start, min(start + PART_ROWS, rows)), np.random.default_rng([rows, number])


def _listing(draft: Draft, rows: int) -> Facts:
    classes = -(-rows // CLASS_SIZE)
    files: dict[Path, int] = {}
    words = np.array([f"word{k}" for k in range(WORDS)])
    for number, at, rng in _parts(rows):
        titles = words[rng.integers(0, WORDS, (8, len(at)))]
        columns = {
            "image_id": _id(at),
            "crawl": pa.array([CRAWL] * len(at)),
            "path": pa.array(np.char.add(at.astype(str), ".jpg")),
            "class_index": (at // CLASS_SIZE).astype(np.int32),
            "query_id": (at // CLASS_SIZE * 4 + at % 4).astype(np.int32),
            "rank": (at % CLASS_SIZE // 4 + 1).astype(np.int32),
            "title": pa.array([" ".join(title) for title in titles.T]),
            "split": pa.array(["train"] * len(at)),
        }
        full = {field.name: columns.get(field.name, pa.nulls(len(at), field.type)) for field in LISTING}
        path = part_path(draft.table("listing"), number)
        files[path] = write_table(path, LISTING, [pa.table(full, schema=LISTING)])
    catalogue = [
        {"class_index": k, "wnid": f"n{k}", "lemmas": [f"word{k % WORDS}"], "gloss": f"a word{(k * 7) % WORDS} thing"}
        for k in range(classes)
    ]
    path = part_path(draft.table("classes"), 0)
    files[path] = write_table(path, CLASSES, [pa.Table.from_pylist(catalogue, schema=CLASSES)])
    draft.finish(0, files)
    return {"listed": rows, "classes": classes}


def _id(at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Different, scattered ids, as hashes are (an odd factor permutes the 64-bit numbers)."""
    return (at.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)


def _images(draft: Draft, rows: int) -> Facts:
    for number, at, rng in _parts(rows):
        columns = {
            "image_id": _id(at),
            "status": pa.array(["usable"] * len(at)),
            "sha256": pa.array([f"{value:064x}" for value in at]),
            "perceptual_hash": rng.integers(0, 2**63, len(at)).astype(np.uint64),
            "shard": np.full(len(at), number, np.int32),
            "row": np.arange(len(at), dtype=np.int32),
        }
        full = {field.name: columns.get(field.name, pa.nulls(len(at), field.type)) for field in IMAGES}
        path = part_path(draft.table("images"), number)
        files = {path: write_table(path, IMAGES, [pa.table(full, schema=IMAGES)])}
        pixels = draft.table("pixels") / f"part-{number:05d}.npy"
        with write_array(pixels, (len(at), 8, 8, 3), np.uint8) as stored:
            stored[:] = rng.integers(0, 256, stored.shape, np.uint8)
        draft.finish(number, files | {pixels: len(at)})
    return {"listed": rows, "usable": rows, "quarantined": 0}


def _features(draft: Draft, rows: int) -> Facts:
    classes = -(-rows // CLASS_SIZE)
    centres = np.random.default_rng(0).normal(size=(classes, DIMENSIONS)).astype(np.float32) * 2
    for number, at, rng in _parts(rows):
        shown = np.where(rng.random(len(at)) < 0.25, rng.integers(0, classes, len(at)), at // CLASS_SIZE)
        path = draft.table("features") / f"part-{number:05d}.npy"
        with write_array(path, (len(at), DIMENSIONS), np.float16) as stored:
            stored[:] = centres[shown] + rng.normal(size=stored.shape)
        draft.finish(number, {path: len(at)})
    return {"images": rows}


if __name__ == "__main__":
    main()
