"""Opinion and confusion per core, beside their floors and their peers.

    python benchmarks/evidence_probe.py [--dimensions 384 2048] [--json build/benchmarks/evidence_probe.json]

Everything runs on one thread, on made-up features of 100 classes of which a quarter of the labels are wrong. The floor
of the opinion is its matrix products alone: the features' products with themselves once, their logits twice. Solving
for the probes takes as long for any number of images, which few images in many dimensions show most.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from threadpoolctl import threadpool_limits

from benchmarks.shopcrawl import ROOT, table
from pipeline.evidence.confident import class_thresholds, confident_classes, opinions
from pipeline.evidence.confusion import ConfusionSettings, cluster_jointly, confused_groups, confused_pairs
from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence.probe import OpinionSettings
from pipeline.measure import MemorySampler
from pipeline.stages.classes import ClassOrder
from pipeline.stages.population import Population
from pipeline.stages.probing import FoldedImages, probabilities, train_probes
from pipeline.storage.arrays import ArrayShards, write_array
from pipeline.storage.atomic import publish_json

IMAGES = 50_000  # at 384 dimensions; fewer above, so that the bytes are the same
CLASSES = 100
PEER_ITERATIONS = 5
Row = dict[str, Any]


def rows(dimensions: int) -> list[Row]:
    """One row for each source, at so many dimensions."""
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        images = _made_up(Path(folder), IMAGES * 384 // max(dimensions, 384), dimensions)
        features = images.order.gather(images.shards, slice(None))
        floor = _floor(features.astype(np.float32), images)
        chance, seconds, peak = _measured(lambda: _judge(images))
        regression = _seconds(lambda: _regression(features, images))
        verdict = _seconds(lambda: _verdict(chance, images.order.class_index))
        peer = _seconds(lambda: find_label_issues(images.order.class_index, chance, filter_by="confident_learning"))
        predicted = chance.argmax(axis=1)
        groups, joint_seconds, joint_peak = _measured(lambda: _confusion(images, predicted))
    pooled = int(images.order.sizes[groups].sum())
    told = {"dimensions": dimensions, "images": len(images.order)}
    return [
        {
            "source": "opinion",
            **told,
            "images/s/core": round(len(chance) / seconds),
            "seconds": round(seconds, 2),
            "peak MB": round(peak),
            "x floor": round(floor / seconds, 3),
            "peer": f"scikit-learn LogisticRegression, {PEER_ITERATIONS} iterations",
            "x peer": round(regression / seconds, 1),
        },
        {
            "source": "opinion: verdict alone",
            **told,
            "images/s/core": round(len(chance) / verdict),
            "seconds": round(verdict, 3),
            "peer": "cleanlab find_label_issues, same probabilities",
            "x peer": round(peer / verdict, 1),
        },
        {
            "source": "confusion",
            **told | {"images": pooled},
            "images/s/core": round(pooled / joint_seconds),
            "seconds": round(joint_seconds, 2),
            "peak MB": round(joint_peak),
        },
    ]


def _made_up(folder: Path, n: int, dimensions: int) -> FoldedImages:
    """Classes in pairs that lie close together, as confused ones do."""
    rng = np.random.default_rng(0)
    label = np.sort(rng.integers(0, CLASSES, n)).astype(np.int32)
    shown = np.where(rng.random(n) < 0.25, rng.integers(0, CLASSES, n), label)
    centres = rng.normal(size=(CLASSES // 2, dimensions)).repeat(2, axis=0) + rng.normal(size=(CLASSES, dimensions)) / 8
    with write_array(folder / "part-00000.npy", (n, dimensions), np.float16) as stored:
        for start in range(0, n, 4096):
            own = shown[start : start + 4096]
            stored[start : start + 4096] = centres[own] + 3 * rng.normal(size=(len(own), dimensions))
    image_id = rng.permutation(n).astype(np.int64)
    here, none = np.zeros(n, np.int32), np.full(n, -1, np.int8)
    population = Population(
        image_id, label, here.astype(np.int8), np.ones(n, np.bool_), none, here, np.arange(n, dtype=np.int32)
    )
    order = ClassOrder.of(population, CLASSES)
    return FoldedImages(order, ArrayShards([folder]), fold_of_groups(order.image_id, OpinionSettings().folds, 0))


def _judge(images: FoldedImages) -> npt.NDArray[np.float32]:
    """What the stage computes, in three passes over the features; all probabilities are kept for the peers."""
    label, every = images.order.class_index, slice(0, len(images.order))
    probes = train_probes(images, OpinionSettings(), 1).probes
    confidence = np.full(len(label), np.nan, np.float32)
    for block, chance in probabilities(images, probes, every):
        confidence[block] = chance[np.arange(len(block)), label[block]]
    thresholds = class_thresholds(confidence, label, CLASSES)
    kept = np.zeros((len(label), CLASSES), np.float32)
    for block, chance in probabilities(images, probes, every):
        opinions(chance, label[block])
        confident_classes(chance, thresholds)
        kept[block] = chance
    return kept


def _floor(points: npt.NDArray[np.float32], images: FoldedImages) -> float:
    """Seconds of the matrix products alone, everything in memory as float32."""
    weights = np.ones((points.shape[1], CLASSES), np.float32)
    parts = [points[images.fold == fold] for fold in range(OpinionSettings().folds)]

    def multiply() -> None:
        for part in parts:
            for start in range(0, len(part), 8192):
                block = part[start : start + 8192]
                _ = block.T @ block, block @ weights, block @ weights

    return min(_seconds(multiply) for _ in range(2))


def _verdict(chance: npt.NDArray[np.float32], label: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    own = chance[np.arange(len(label)), label]
    return confident_classes(chance, class_thresholds(own, label, CLASSES))


def _regression(features: npt.NDArray[Any], images: FoldedImages) -> None:
    points = features.astype(np.float32)
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few iterations do not converge: the peer is shown at its fastest
        model = LogisticRegression(max_iter=PEER_ITERATIONS, C=0.01)
        folds = PredefinedSplit(images.fold)
        cross_val_predict(model, points, images.order.class_index, cv=folds, method="predict_proba")


def _confusion(images: FoldedImages, predicted: npt.NDArray[np.integer[Any]]) -> list[int]:
    """Cluster the confused groups; returns their classes."""
    order, settings = images.order, ConfusionSettings()
    pairs = confused_pairs(order.class_index, predicted, CLASSES, settings.least_images)
    groups = confused_groups(pairs, order.sizes, settings)
    for classes in groups:
        pool = np.concatenate([np.arange(order.starts[c], order.starts[c + 1]) for c in classes])

        def read(chosen: npt.NDArray[np.intp], pool: npt.NDArray[np.int64] = pool) -> npt.NDArray[np.floating[Any]]:
            return order.gather(images.shards, pool[chosen])

        cluster_jointly(read, order.image_id[pool], len(classes), settings)
    return [c for classes in groups for c in classes]


def _seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _measured(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, the seconds once everything is loaded, and the megabytes by which memory grew the first time."""
    with MemorySampler() as before:
        pass
    with MemorySampler() as memory:
        found = function()
    return found, min(_seconds(function) for _ in range(2)), (memory.peak_bytes - before.peak_bytes) / 1e6


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[384, 2048])
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "evidence_probe.json")
    options = parser.parse_args()
    found = [row for dimensions in options.dimensions for row in rows(dimensions)]
    columns = dict.fromkeys(name for row in found for name in row)
    print(table([{name: row.get(name, "") for name in columns} for row in found]))
    publish_json(options.json, found)


if __name__ == "__main__":
    main()
