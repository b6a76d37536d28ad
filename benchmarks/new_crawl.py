"""What evidence inside the classes costs again when one class in a hundred has changed.

python -m benchmarks.new_crawl [--rows 100000]
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.synthetic import CRAWL, PART_ROWS, Shape, build_store
from pipeline.evidence.density import DensitySettings
from pipeline.evidence.hdbscan import HdbscanSettings
from pipeline.evidence.kmeans import KMeansSettings
from pipeline.evidence.rank import RankSettings
from pipeline.stages.class_evidence import make_class_evidence
from pipeline.stages.class_sources import class_sources
from pipeline.stages.rank import make_rank
from pipeline.storage.arrays import open_array, write_array
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Draft, Facts

CLASSES = 100


def changed(draft: Draft, before: Artifact, class_size: int) -> Facts:
    """The features with those of the first class turned round."""
    for number, path in enumerate(sorted(before.table("features").glob("part-*.npy"))):
        own = np.array(open_array(path))
        own[: max(0, class_size - number * PART_ROWS)] *= -1
        goal = draft.table("features") / path.name
        with write_array(goal, own.shape, own.dtype) as out:
            out[:] = own
        draft.finish(number, {goal: len(own)})
    return before.facts


def measure(store: Store) -> float:
    """Seconds of k-means, density and HDBSCAN on one thread."""
    sources = class_sources(KMeansSettings(), DensitySettings(), HdbscanSettings())
    started = time.process_time()
    make_class_evidence(store, [CRAWL], sources, workers=1)
    return time.process_time() - started


def main() -> None:
    """Print the processor seconds of the first time and of the second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    folder = Path(tempfile.mkdtemp())
    try:
        store = Store(folder)
        build_store(store, Shape(rows=rows, class_size=rows // CLASSES, dimensions=128))
        make_rank(store, [CRAWL], RankSettings(), workers=1)
        first = measure(store)
        before = store.current("features", CRAWL)
        store.make("features", CRAWL, "changed", lambda draft: changed(draft, before, rows // CLASSES))
        second = measure(store)
    finally:
        shutil.rmtree(folder)
    print(f"{rows:,} images, {CLASSES} classes: all {first:.1f} s of processor, one class changed {second:.2f} s")
    print(f"{second / first:.1%} of the whole")


if __name__ == "__main__":
    main()
