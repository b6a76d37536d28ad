"""All visual evidence of a crawl beside cleanlab's audit of the same features, whole runs with everything they write.

    python benchmarks/evidence_audit.py [--rows 50000] [--dimensions 384]

Ours: ranks, duplicates, k-means, density, HDBSCAN, neighbours over all classes, out-of-fold opinion, confused classes,
published as Parquet. The peer: `cleanlab.Datalab.find_issues(features=...)`, all the issues that it finds in features.
Both run once on both cores, one after the other.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.memory_stages import run
from benchmarks.shopcrawl import ROOT, table
from benchmarks.synthetic import CRAWL, Shape, build_store
from pipeline.storage.artifacts import Store

CLASSES = 100
STAGES = ("duplicates", "rank", "in class", "neighbours", "opinion", "confusion")
PEER = """
import sys, time
from cleanlab import Datalab
from pipeline.stages.classes import ClassOrder
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import Store
from pathlib import Path

store = Store(Path(sys.argv[1]))
order = ClassOrder.read([store.current("listing", sys.argv[2])], [store.current("images", sys.argv[2])])
features = order.gather(ArrayShards([store.current("features", sys.argv[2]).table("features")]), slice(None))
started = time.perf_counter()
lab = Datalab(data={"label": order.class_index.tolist()}, label_name="label", verbosity=0)
lab.find_issues(features=features.astype("float32"))
print(f"\\nseconds {time.perf_counter() - started}")
"""


def rows(images: int = 50_000, dimensions: int = 384) -> list[dict[str, Any]]:
    """Seconds of each of our stages, of all together, and of the peer."""
    folder = ROOT / "build" / "audit"
    shutil.rmtree(folder, ignore_errors=True)
    build_store(Store(folder), Shape(rows=images, class_size=images // CLASSES, dimensions=dimensions))
    for stage in STAGES:  # imports and compiled kernels are paid once, on a store of its own
        warm = folder / "warm"
        if stage == STAGES[0]:
            build_store(Store(warm), Shape(rows=2000, class_size=100, dimensions=dimensions))
        run(str(warm), stage, CRAWL)
    seconds = {stage: _timed(partial(run, str(folder), stage, CRAWL)) for stage in STAGES}
    peer = _peer(folder)
    ours = sum(seconds.values())
    shutil.rmtree(folder)
    told = [{"what": stage, "seconds": f"{value:.1f}"} for stage, value in seconds.items()]
    return [
        *told,
        {"what": "all of ours", "seconds": f"{ours:.1f}"},
        {"what": "cleanlab Datalab", "seconds": f"{peer:.1f}"},
        {"what": "peer / ours", "seconds": f"{peer / ours:.1f}"},
    ]


def _peer(folder: Path) -> float:
    command = [sys.executable, "-c", PEER, str(folder), CRAWL]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "evidence-audit.json")
    options = parser.parse_args()
    found = rows(options.rows, options.dimensions)
    print(table(found))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
