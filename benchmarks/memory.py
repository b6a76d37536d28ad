"""Peak memory of every evidence stage on synthetic crawls of growing size whose largest class stays the same.

    python benchmarks/memory.py [--rows 200000 1000000 4000000] [--stages kmeans density ...]

Each stage runs in a process of its own. What counts is the memory the process has allocated (anonymous pages): mapped
feature files are the page cache's and can be dropped at any time. Writes a table and JSON.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.shopcrawl import ROOT, table
from benchmarks.synthetic import CRAWL, Shape, build_store
from pipeline.storage.artifacts import Store

CLASS_SIZE = 2000  # every class: the largest does not grow with the crawl
DIMENSIONS = 32
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
        shape = Shape(rows=rows, class_size=CLASS_SIZE, dimensions=DIMENSIONS)
        build_store(Store(folder), shape)
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
    run = watched(f"from benchmarks.memory_stages import run; run({str(folder)!r}, {stage!r}, {CRAWL!r})")
    return {"rows": rows, "stage": stage, "peak_mb": round(run.peak_bytes / 1e6), "seconds": round(run.seconds, 1)}


class Watched(NamedTuple):
    """What a program took."""

    seconds: float
    cpu_seconds: float  # of its processor: what a busy machine does not change
    peak_bytes: int  # anonymous memory, looked at every 50 ms


def watched(program: str) -> Watched:
    """Run Python source in a process of its own.

    Raises:
        RuntimeError: it failed; its error stands above.
    """
    started, before, peak = time.monotonic(), _children_seconds(), 0
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    while process.poll() is None:
        peak = max(peak, _anonymous_bytes(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"failed: {program}")
    return Watched(time.monotonic() - started, _children_seconds() - before, peak)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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


if __name__ == "__main__":
    main()
