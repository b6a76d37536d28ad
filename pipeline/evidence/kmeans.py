"""Per-class k-means on features: which images of a class look alike, and how many do.

Source: slides "Handle noise - clustering" (Bag of Tricks for Learning from Web Data, 2019).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# faiss trains on at most this many points a centroid: centres of a huge class settle long before all of it is read.
POINTS_PER_CENTROID = 8192

Features = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class KMeansSettings:
    """How each class is clustered."""

    #: clusters per class, at least 1; a class with fewer distinct images has as many clusters as distinct images
    clusters: int = 8
    #: Lloyd iterations, at least 1
    iterations: int = 10
    #: seed of the initial centres
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        for name in ("clusters", "iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"kmeans.{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Clusters:
    """One class's clusters, numbered from the largest; n images."""

    cluster: npt.NDArray[np.int32]  # (n,) number of the image's cluster; -1 where its features are not finite
    share: npt.NDArray[np.float32]  # (n,) images of that cluster / n, (0, 1]; 0 where there is no cluster
    distance: npt.NDArray[np.float32]  # (n,) squared Euclidean distance to the cluster's centre; inf without a cluster


def cluster_class(features: Features, settings: KMeansSettings) -> Clusters:
    """Cluster the images of one class.

    Args:
        features: (n, d), any n including 0; rows with NaN or infinity get no cluster.
        settings: how many clusters, iterations, which seed.

    Returns:
        Clusters of the n images. Equal rows share a cluster, and no cluster is empty.

    Raises:
        ValueError: features is not two-dimensional.
    """
    if features.ndim != 2:
        raise ValueError(f"features must be (images, dimensions), not of shape {features.shape}")
    finite = np.isfinite(features).all(axis=1)
    points = np.ascontiguousarray(features[finite], dtype=np.float32)
    cluster = np.full(len(features), -1, np.int32)
    distance = np.full(len(features), np.inf, np.float32)
    share = np.zeros(len(features), np.float32)
    if len(points):
        cluster[finite], distance[finite] = _lloyd(points, settings)
        sizes = np.bincount(cluster[finite])
        share[finite] = sizes[cluster[finite]] / len(features)
    return Clusters(cluster, share, distance)


def _lloyd(points: npt.NDArray[np.float32], settings: KMeansSettings) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    import faiss  # noqa: PLC0415 - half a second that the command line should not pay

    faiss.omp_set_num_threads(1)  # the engine runs one class per thread
    distinct = _distinct_rows(points)
    k = min(settings.clusters, len(distinct))
    if k == len(distinct):  # every distinct image is a centre of its own
        centres = distinct
    else:
        trainer = faiss.Kmeans(
            points.shape[1],
            k,
            niter=settings.iterations,
            seed=settings.seed,
            min_points_per_centroid=1,
            max_points_per_centroid=POINTS_PER_CENTROID,
        )
        trainer.train(points)
        centres = np.asarray(trainer.centroids, np.float32)
    distance, nearest = faiss.knn(points, centres, 1)
    return _largest_first(nearest[:, 0]), np.maximum(distance[:, 0], 0)


def _distinct_rows(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The distinct rows in order of first appearance; -0.0 and 0.0 are the same number but not the same bytes."""
    rows = (points + 0.0).view(np.dtype((np.void, points.shape[1] * points.itemsize))).ravel()
    _, first = np.unique(rows, return_index=True)
    return points[np.sort(first)]


def _largest_first(labels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Renumber clusters by falling size, equal sizes by first appearance; numbers no image has disappear."""
    present, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.empty(len(present), np.int32)
    number[order] = np.arange(len(present), dtype=np.int32)
    return number[inverse]
