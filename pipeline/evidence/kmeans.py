"""Per-class k-means on features: which images of a class look alike, how many do, and how near to its best-ranked.

Source: slides "Handle noise - clustering" (Bag of Tricks for Learning from Web Data, 2019).

Lloyd's algorithm, its starts chosen on a sketch: several k-means++ starts (Arthur and Vassilvitskii 2007) are carried
through side by side on a sample of the class in a random projection (distances survive it: Achlioptas 2003), and the
best is refined on all images in all dimensions. Most iterations cost next to nothing that way.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evidence.canonical import Canonical, Features, canonical

SKETCH_IMAGES = 64  # a cluster, and at least 512: enough to place the starts, which are then refined on all images
SKETCH_DIMENSIONS = 64
CANDIDATES = 3  # images tried for each starting centre
CANCELLED = 0.01  # a difference of float32 squares is known to about 1e-7 of them: to 1e-5 of itself from here on

Points = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class KMeansSettings:
    """How each class is clustered."""

    #: clusters per class, at least 1; a class with fewer distinct images has as many clusters as distinct images
    clusters: int = 8
    #: k-means++ starts, at least 1, of which the one with the least squared distances is kept
    starts: int = 6
    #: Lloyd iterations of each start on the sketch, at least 1
    iterations: int = 4
    #: Lloyd iterations of the best start on all images, at least 1
    refinements: int = 1
    #: the class's best-ranked images whose mean the clusters' centres are measured against, at least 1. Search results
    #: get worse from the first on, so they should be few; the mean of 50 images is already as good as free of the
    #: variance between images (a fiftieth is left)
    top_images: int = 50
    #: seed of the starts
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        for name in ("clusters", "starts", "iterations", "refinements", "top_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"kmeans.{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Clusters:
    """One class's clusters, numbered from the largest; n images. Images whose features are not finite have none."""

    cluster: npt.NDArray[np.int32]  # (n,) number of the image's cluster; -1 without one
    share: npt.NDArray[np.float32]  # (n,) images of that cluster / n, (0, 1]; 0 without one
    distance: npt.NDArray[np.float32]  # (n,) squared Euclidean distance to the cluster's centre; inf without one
    compactness: npt.NDArray[np.float32]  # (n,) mean of `distance` over the cluster; nan without one
    top_distance: npt.NDArray[np.float32]  # (n,) cluster's centre to the best-ranked images' mean, squared; nan without


def cluster_class(features: Features, position: npt.NDArray[np.integer[Any]], settings: KMeansSettings) -> Clusters:
    """Cluster the images of one class.

    Args:
        features: (n, d), any n including 0; rows with NaN or infinity get no cluster.
        position: (n,) in the class's ranking, from 1; 0 where an image has none.
        settings: how many clusters, starts and iterations, which seed.

    Returns:
        Clusters of the n images. Equal rows share a cluster, and no cluster is empty: one that loses all its images
        is dropped. A cluster's centre is the mean of its images.

    Raises:
        ValueError: features is not two-dimensional, or position of another length.
    """
    images = canonical(features)
    if position.shape != (images.images,):
        raise ValueError(f"position must be one number an image, ({images.images},), not of shape {position.shape}")
    if not len(images):
        return _no_clusters(images.images)
    label = largest_first(_assign(images, settings)[images.twin])
    sizes = np.bincount(label)
    members = (label == np.arange(len(sizes))[:, None]).astype(np.float32)
    centres = (members @ images.points) / sizes[:, None].astype(np.float32)
    distance = _squared_distance(images.points, centres, label)[images.twin]
    compactness = np.bincount(label, distance) / sizes
    top_distance = ((centres - _top_centre(images, position, settings.top_images)) ** 2).sum(axis=1)
    return Clusters(
        images.restore(label, -1),
        images.restore((sizes / images.images).astype(np.float32)[label], 0),
        images.restore(distance, np.inf),
        images.restore(compactness.astype(np.float32)[label], np.nan),
        images.restore(top_distance[label], np.nan),
    )


def largest_first(label: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int32]:
    """Renumber clusters by falling size, equal sizes as they were numbered.

    Args:
        label: (n,) numbers of clusters from 0; negative for none, which becomes -1. Numbers no image has disappear.
    """
    some = label >= 0
    sizes = np.bincount(label[some])
    number = np.full(len(sizes) + 1, -1, np.int32)  # the last is for those without a cluster
    number[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes), dtype=np.int32)
    return number[np.where(some, label, -1)]


def _no_clusters(n: int) -> Clusters:
    unknown = np.full(n, np.nan, np.float32)
    return Clusters(
        np.full(n, -1, np.int32), np.zeros(n, np.float32), np.full(n, np.inf, np.float32), unknown, unknown.copy()
    )


def _top_centre(images: Canonical, position: npt.NDArray[np.integer[Any]], top: int) -> Points:
    """Mean of the `top` best-ranked images with finite features, (d,); nan where no image has a rank."""
    own = position[images.rows]
    ranked = np.flatnonzero(own > 0)
    best = ranked[np.argpartition(own[ranked], top)[:top]] if len(ranked) > top else ranked
    if not len(best):
        return np.full(images.points.shape[1], np.nan, np.float32)
    centre: Points = images.points[best].mean(axis=0)
    return centre


def _assign(images: Canonical, settings: KMeansSettings) -> npt.NDArray[np.int64]:
    """The nearest centre of each image; numbers may be missing."""
    distinct = images.distinct
    k = min(settings.clusters, len(distinct))
    if k == len(distinct):  # every distinct image is a centre of its own
        own: npt.NDArray[np.int64] = np.searchsorted(distinct, images.twin)
        return own
    sample = images.points[distinct[: max(512, SKETCH_IMAGES * k)]]
    centres = _start(sample, k, settings)
    for _ in range(settings.refinements):
        centres = _iterate(images.points, centres)
    nearest: npt.NDArray[np.int64] = _affinity(images.points, centres)[0].argmax(axis=0)
    return nearest


def _start(sample: Points, k: int, settings: KMeansSettings) -> Points:
    """The best of several runs of Lloyd's algorithm on a sketch of the sample, as centres (1, k, d)."""
    rng = np.random.default_rng(settings.seed)
    sketch = sample
    if sample.shape[1] > SKETCH_DIMENSIONS:
        signs = rng.integers(0, 2, (sample.shape[1], SKETCH_DIMENSIONS), np.int8)
        sketch = sample @ (signs * 2 - 1).astype(np.float32)
    centres = _plus_plus(sketch, k, settings.starts, rng)
    for _ in range(settings.iterations):
        centres = _iterate(sketch, centres)
    affinity = _affinity(sketch, centres)
    best = affinity.max(axis=1).sum(axis=1).argmax()
    return _means(sample, affinity[best, None], sample[None, :k])


def _plus_plus(points: Points, k: int, starts: int, rng: np.random.Generator) -> Points:
    """Centres of several k-means++ starts at once, (starts, k, d).

    A centre is the best of CANDIDATES images drawn in proportion to their squared distance to the centres so far.
    """
    square = np.einsum("nd,nd->n", points, points)
    own = np.arange(starts)
    chosen = [rng.integers(len(points), size=(starts, 1))]
    nearest = np.full((starts, 1, len(points)), np.inf, np.float32)
    for _ in range(k):
        drawn = chosen.pop()
        distance = square - 2 * (points[drawn.ravel()] @ points.T).reshape(*drawn.shape, -1) + square[drawn][:, :, None]
        left = np.minimum(nearest, np.maximum(distance, 0))
        best = left.sum(axis=2).argmin(axis=1)
        chosen.append(drawn[own, best])
        nearest = left[own, best][:, None]
        reached = np.cumsum(nearest, axis=2)
        aim = rng.random((starts, CANDIDATES, 1), np.float32) * reached[:, :, -1:]
        chosen.append((reached <= aim).sum(axis=2) % len(points))
    return points[np.stack(chosen[:-1], axis=1)]


def _iterate(points: Points, centres: Points) -> Points:
    return _means(points, _affinity(points, centres), centres)


def _affinity(points: Points, centres: Points) -> Points:
    """How near each of the starts' centres is to each point, (starts, k, n): largest for the nearest."""
    dot: Points = (centres.reshape(-1, points.shape[1]) @ points.T).reshape(*centres.shape[:2], -1)
    dot -= 0.5 * np.einsum("skd,skd->sk", centres, centres)[:, :, None]
    return dot


def _means(points: Points, affinity: Points, otherwise: Points) -> Points:
    """The mean of the points nearest to each centre, (starts, k, d); `otherwise` where there are none."""
    members = (affinity == affinity.max(axis=1, keepdims=True)).astype(np.float32)
    total = (members.reshape(-1, len(points)) @ points).reshape(otherwise.shape)
    count = members.sum(axis=2)[:, :, None]
    means: Points = np.where(count > 0, total / np.maximum(count, 1), otherwise)
    return means


def _squared_distance(points: Points, centres: Points, label: npt.NDArray[np.int32]) -> Points:
    """Of each point to its centre, (n,): by differences where the quick difference of squares would be mostly error."""
    square = np.einsum("nd,nd->n", points, points)
    distance: Points = square - 2 * np.take_along_axis(_affinity(points, centres[None])[0], label[None], axis=0)[0]
    near = np.flatnonzero(distance < CANCELLED * square)
    away = points[near] - centres[label[near]]
    distance[near] = np.einsum("nd,nd->n", away, away)
    return distance
