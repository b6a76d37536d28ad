"""Evidence inside a class beside its peers and its floors: images a second and core, on made-up embeddings.

    python benchmarks/evidence_classes.py [--dimensions 512 2048]

Everything runs on one thread from float16 features as they are stored, and is timed by the processor time of this
process, the best of some rounds in which ours and the peers take turns, so that other work on the machine moves the
ratios little. A floor is the time of the matrix products alone. Memory is what one call allocates through numpy.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import faiss
import hdbscan
import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from benchmarks.shopcrawl import ROOT, table
from pipeline.evidence.density import BLOCK_ROWS, DensitySettings, class_density
from pipeline.evidence.hdbscan import HdbscanSettings, group_class
from pipeline.evidence.kmeans import KMeansSettings, cluster_class
from pipeline.evidence.levels import descending_levels
from pipeline.evidence.principal import POWERS

#: Images of a class that is measured and timed, of the mean class of WebVision 2.0 (whose definition of density takes
#: scipy too long in more than 512 dimensions), and of a class larger than the density's square.
CLASS: Final = 1500
MEAN_CLASS: Final = 3200
LARGE_CLASS: Final = 12_000
INERTIA_CLASSES: Final = 4

Half = npt.NDArray[np.float16]
Job = Callable[[], Any]


def rows(dimensions: int) -> list[dict[str, Any]]:
    """One row for each source: its rate, its memory, and how it compares with its floors and its peers."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        sizes = (CLASS, MEAN_CLASS) if dimensions <= 512 else (CLASS,)
        density = [_density_row(dimensions, images) for images in sizes]
        return [_kmeans_row(dimensions), *density, _hdbscan_row(dimensions)]


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "evidence_classes.json")
    parser.add_argument("--dimensions", type=int, nargs="+", default=[512, 2048])
    options = parser.parse_args()
    found = [row for dimensions in options.dimensions for row in rows(dimensions)]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1))
    print(f"{table(found)}\n\nwritten to {options.json}")


def embeddings(images: int, dimensions: int, seed: int) -> Half:
    """Features of one made-up class: a dozen kinds of picture of unequal share and spread, a fifth scattered.

    Variances fall from one principal component to the next as they do in the features of trained networks, and, as in
    theirs, nothing is negative.
    """
    rng = np.random.default_rng(seed)
    kind = rng.choice(12, images, p=rng.dirichlet(np.full(12, 0.7)))
    latent = rng.standard_normal((images, dimensions), np.float32) * rng.uniform(0.4, 1.2, 12)[kind, None]
    latent += 1.2 * rng.standard_normal((12, dimensions), np.float32)[kind]
    scattered = rng.random(images) < 0.2
    latent[scattered] = 1.6 * rng.standard_normal((int(scattered.sum()), dimensions), np.float32)
    latent *= np.arange(1, dimensions + 1) ** -0.6
    mixed = latent.astype(np.float32) @ rng.standard_normal((dimensions, dimensions), np.float32) * dimensions**-0.5
    half: Half = np.maximum(mixed, 0).astype(np.float16)
    return half


def _kmeans_row(dimensions: int) -> dict[str, Any]:
    settings = KMeansSettings()
    classes = [embeddings(CLASS, dimensions, seed) for seed in range(INERTIA_CLASSES)]
    position = np.arange(CLASS) + 1
    points = classes[0].astype(np.float32)
    centres, members = points[: settings.clusters].copy(), np.zeros((settings.clusters, CLASS), np.float32)

    def products() -> None:
        """As many as are done on all images: one to assign and one to average an iteration, one of each at the end."""
        for _ in range(settings.refinements + 1):
            centres @ points.T
            members @ points

    taken = _seconds(
        {
            "ours": lambda: cluster_class(classes[0], position, settings),
            "faiss": lambda: _faiss(_single(classes[0]), settings.clusters),
            "scikit-learn": lambda: KMeans(settings.clusters, n_init=1, random_state=0).fit(_single(classes[0])),
            "floor": products,
        },
        rounds=15,
    )
    best = [KMeans(settings.clusters, n_init=5, random_state=0).fit(_single(one)).inertia_ for one in classes]
    ours = [float(cluster_class(one, position, settings).distance.sum(dtype=np.float64)) for one in classes]
    peer = [_faiss(_single(one), settings.clusters) for one in classes]
    return _row(
        ("k-means", dimensions, CLASS),
        taken["ours"],
        _peak_bytes(lambda: cluster_class(classes[0], position, settings)),
        f"{taken['floor'] / taken['ours']:.2f} of its products on all images",
        f"{taken['faiss'] / taken['ours']:.2f}x faiss, 10 iterations; "
        f"{taken['scikit-learn'] / taken['ours']:.1f}x scikit-learn, n_init=1",
        f"inertia {np.mean(np.divide(ours, best)):.3f} of scikit-learn, n_init=5 "
        f"(faiss {np.mean(np.divide(peer, best)):.3f})",
    )


def _faiss(points: npt.NDArray[np.float32], clusters: int) -> float:
    """Faiss's own loop and the search of all points; returns the inertia."""
    trainer = faiss.Kmeans(points.shape[1], clusters, niter=10, min_points_per_centroid=1)
    trainer.train(points)
    return float(trainer.index.search(points, 1)[0].sum(dtype=np.float64))


def _density_row(dimensions: int, images: int) -> dict[str, Any]:
    settings = DensitySettings()
    features = embeddings(images, dimensions, 0)
    points = _single(features)
    other = points.copy()
    taken = _seconds(
        {
            "ours": lambda: class_density(features, settings),
            "floor": lambda: points @ other.T,
            "products": _density_products(points, settings.dimensions),
        },
        rounds=9,
    )
    shares, spent = [], []
    for seed in range(3 if dimensions <= 512 else 1):
        own = embeddings(images, dimensions, seed)
        started = time.process_time()
        exact = _defined_levels(own, settings)
        spent.append(time.process_time() - started)
        shares.append((class_density(own, settings).level == exact).mean())
    agreement = f"{np.mean(shares):.3f} in the level of the definition"
    if images == CLASS:
        large = embeddings(LARGE_CLASS, dimensions, 1)
        whole = class_density(large, DensitySettings(square=LARGE_CLASS)).level
        sampled = class_density(large, settings).level
        agreement += (
            f"; of {LARGE_CLASS:,} images by a sample of {settings.square:,}, {(sampled == whole).mean():.3f} "
            "in that of all pairs"
        )
    return _row(
        ("density", dimensions, images),
        taken["ours"],
        _peak_bytes(lambda: class_density(features, settings)),
        f"{taken['floor'] / taken['ours']:.2f} of the product of all pairs; "
        f"{taken['products'] / taken['ours']:.2f} of the products it does",
        f"{min(spent) / taken['ours']:.1f}x scipy",
        agreement,
    )


def _density_products(points: npt.NDArray[np.float32], components: int) -> Job:
    """The products that the density of this class takes: subspace, projection, half of all pairs."""
    images, dimensions = points.shape
    basis = np.ones((dimensions, components), np.float32)
    projected = points @ basis
    across = np.ascontiguousarray(projected.T)
    through_points = (images + 2 * POWERS * components) * dimensions >= 4 * POWERS * images * components

    def products() -> None:
        covariance = None if through_points else points.T @ points
        for _ in range(POWERS):
            points.T @ (points @ basis) if covariance is None else covariance @ basis
        points @ basis
        for start in range(0, images, BLOCK_ROWS):
            projected[start : start + BLOCK_ROWS] @ across[:, start:]

    return products


def _defined_levels(features: Half, settings: DensitySettings) -> npt.NDArray[np.int32]:
    """The definition in float64: components by SVD, all distances, their percentile, others strictly closer."""
    points = features.astype(np.float64)
    points -= points.mean(axis=0)
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    points = points @ axes[: settings.dimensions].T
    distances = cdist(points, points)
    closer = distances < np.percentile(distances, settings.percentile)
    return descending_levels(closer.sum(axis=1) - 1, settings.levels)


def _hdbscan_row(dimensions: int) -> dict[str, Any]:
    settings = HdbscanSettings()
    features = embeddings(CLASS, dimensions, 0)
    precise = features.astype(np.float64)
    taken = _seconds({"ours": lambda: group_class(features, settings), "floor": lambda: precise @ precise.T}, rounds=5)
    started = time.process_time()
    peer = hdbscan.HDBSCAN(settings.min_cluster_size, settings.min_samples).fit(precise)
    outlier = peer.outlier_scores_
    taken["hdbscan"] = time.process_time() - started
    found = group_class(features, settings)
    return _row(
        ("hdbscan", dimensions, CLASS),
        taken["ours"],
        _peak_bytes(lambda: group_class(features, settings)),
        f"{taken['floor'] / taken['ours']:.2f} of the product of all pairs in float64",
        f"{taken['hdbscan'] / taken['ours']:.1f}x hdbscan on the features",
        f"adjusted Rand {adjusted_rand_score(peer.labels_, found.cluster):.3f}, "
        f"outlier scores correlate {np.corrcoef(outlier, found.outlier)[0, 1]:.3f}",
    )


def _single(features: Half) -> npt.NDArray[np.float32]:
    """The quickest way from what is stored to what the peers take."""
    single: npt.NDArray[np.float32] = torch.from_numpy(features).float().numpy()
    return single


def _seconds(jobs: dict[str, Job], rounds: int) -> dict[str, float]:
    """The least processor time of each job over some rounds, in each of which all of them take turns."""
    taken = {name: [] for name in jobs}  # type: dict[str, list[float]]
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.process_time()
            job()
            taken[name].append(time.process_time() - started)
    return {name: min(times) for name, times in taken.items()}


def _peak_bytes(job: Job) -> int:
    tracemalloc.start()
    job()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def _row(
    what: tuple[str, int, int], seconds: float, peak: int, floor: str, peers: str, agreement: str
) -> dict[str, Any]:
    source, dimensions, images = what
    return {
        "source": source,
        "dimensions": dimensions,
        "class": images,
        "images/s/core": f"{images / seconds:,.0f}",
        "peak MB": f"{peak / 1e6:.1f}",
        "floor": floor,
        "peers": peers,
        "agreement": agreement,
    }


if __name__ == "__main__":
    main()
