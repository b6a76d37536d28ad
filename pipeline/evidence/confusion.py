"""Classes that are taken for each other: which they are, and which of them owns each cluster of their pooled images.

Source: slides "Handle noise - clustering" (Bag of Tricks for Learning from Web Data, 2019): "combine the images from
most confused classes and then cluster them". A wallet found by "purse" then lies among those found by "wallet"; that
most images of that cluster are called "wallet", class sizes evened out, tells whose it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evidence.kmeans import KMeansSettings, cluster_class
from pipeline.evidence.sampling import hashed_sample

BLOCK_IMAGES = 8192  # assigned to centres at a time

Integers = npt.NDArray[np.integer[Any]]
_BLOCK_IMAGES = 2**18  # counted at a time


@dataclass(frozen=True, kw_only=True)
class ConfusionSettings:
    """Which classes are confused, and how their images are clustered."""

    #: least rate of confusion that joins two classes, (0, 1]: 0.05 is one image in twenty of each, taken for the other
    threshold: float = 0.05
    #: images with an opinion that a class must have, at least 1: of fewer, no rate of one in twenty can be told
    least_images: int = 20
    #: classes in a group, at least 2
    classes_per_group: int = 6
    #: images of a group, at least 1. A pair always forms a group; above this its clusters are found on a sample of so
    #: many, and the other images join the cluster with the nearest centre
    images_per_group: int = 50_000
    #: joint clusters for each class of a group, at least 1
    clusters_per_class: int = 8
    #: pairs told of, the most confused first, at least 0
    pairs: int = 1000
    #: seed of the clustering and of the sample
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if not 0 < self.threshold <= 1:
            raise ValueError(f"confusion.threshold must be in (0, 1], not {self.threshold}")
        least = {"least_images": 1, "classes_per_group": 2, "images_per_group": 1, "clusters_per_class": 1, "pairs": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"confusion.{name} must be at least {bound}, not {getattr(self, name)}")


@dataclass(frozen=True)
class ConfusedPairs:
    """p pairs of classes with an image taken for the other's, by falling rate, then by class."""

    class_a: npt.NDArray[np.int64]  # (p,)
    class_b: npt.NDArray[np.int64]  # (p,) above class_a
    a_as_b: npt.NDArray[np.int64]  # (p,) images called a that are taken for b
    b_as_a: npt.NDArray[np.int64]  # (p,)
    rate: npt.NDArray[np.float64]  # (p,) mean of both, each as a share of its class's images, (0, 1]


def confused_pairs(label: Integers, predicted: Integers, classes: int, least_images: int) -> ConfusedPairs:
    """Count who is taken for whom.

    Args:
        label: (n,) given labels, in memory or on the disk.
        predicted: (n,) what a probe that never saw the image calls it; -1 where it says nothing.
        classes: size of the catalogue.
        least_images: classes with fewer images that the probe speaks of are in no pair.
    """
    count, (mistakes, times) = np.zeros(classes, np.int64), (np.zeros(0, np.int64), np.zeros(0, np.int64))
    for start in range(0, len(label), _BLOCK_IMAGES):
        given, taken = (column[start : start + _BLOCK_IMAGES].astype(np.int64) for column in (label, predicted))
        count += np.bincount(given[taken >= 0], minlength=classes)
        mistaken = (taken >= 0) & (taken != given)
        own = np.unique(given[mistaken] * classes + taken[mistaken], return_counts=True)
        mistakes, cell = np.unique(np.concatenate([mistakes, own[0]]), return_inverse=True)
        times = np.bincount(cell, weights=np.concatenate([times, own[1]]), minlength=len(mistakes)).astype(np.int64)
    given, taken = mistakes // classes, mistakes % classes
    many = (count[given] >= least_images) & (count[taken] >= least_images)
    given, taken, times = given[many], taken[many], times[many]
    cells, pair = np.unique(np.minimum(given, taken) * classes + np.maximum(given, taken), return_inverse=True)
    a, b = cells // classes, cells % classes
    both = np.zeros((2, len(cells)), np.int64)
    both[(given > taken).astype(np.int64), pair] = times
    a_as_b, b_as_a = both
    rate = (a_as_b / count[a] + b_as_a / count[b]) / 2
    order = np.lexsort((b, a, -rate))
    return ConfusedPairs(a[order], b[order], a_as_b[order], b_as_a[order], rate[order])


def confused_groups(pairs: ConfusedPairs, sizes: Integers, settings: ConfusionSettings) -> list[tuple[int, ...]]:
    """Join classes pair by pair, the most confused first, as long as the groups keep within their bounds.

    Args:
        pairs: by falling rate.
        sizes: (C,) images of each class.
        settings: threshold and bounds.

    Returns:
        The classes of each group, ascending; the group of the most confused pair first. Most classes are in none.
    """
    group: dict[int, list[int]] = {}
    found: list[list[int]] = []
    strong = int(np.searchsorted(-pairs.rate, -settings.threshold, side="right"))
    for a, b in zip(pairs.class_a[:strong].tolist(), pairs.class_b[:strong].tolist(), strict=True):
        one, other = group.get(a, [a]), group.get(b, [b])
        if one is other:
            continue
        joined = one + other
        fits = len(joined) <= settings.classes_per_group and sizes[joined].sum() <= settings.images_per_group
        if len(joined) == 2 or fits:
            found.append(joined)
            group |= dict.fromkeys(joined, joined)
    # A group stands where its first pair was joined: that pair is in what it grew into.
    grown = {id(group[members[0]]): group[members[0]] for members in found}
    return [tuple(sorted(members)) for members in grown.values()]


def cluster_jointly(
    read: Callable[[npt.NDArray[np.intp]], npt.NDArray[np.floating[Any]]],
    image_id: npt.NDArray[np.int64],
    classes: int,
    settings: ConfusionSettings,
) -> npt.NDArray[np.int32]:
    """Cluster the pooled images of a group of classes.

    Args:
        read: the features (m, D) of some of them, by position.
        image_id: (n,) the images.
        classes: how many classes they are of.
        settings: how many clusters; above how many images a sample is clustered.

    Returns:
        (n,) the cluster of each, 0 the largest; -1 where its features are not finite.
    """
    chosen = hashed_sample(image_id, settings.images_per_group, settings.seed)
    features = read(chosen)
    kmeans = KMeansSettings(clusters=classes * settings.clusters_per_class, seed=settings.seed)
    cluster = cluster_class(features, np.zeros(len(chosen), np.int32), kmeans).cluster
    if len(chosen) == len(image_id):
        return cluster
    return _largest_first(_assign_all(read, len(image_id), _centres(features, cluster)))


def _centres(features: npt.NDArray[np.floating[Any]], cluster: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """(k, D) means of the clusters, which all have images."""
    members = [features[cluster == number] for number in range(int(cluster.max(initial=-1)) + 1)]
    return (
        np.stack([own.mean(axis=0, dtype=np.float32) for own in members]) if members else np.zeros((0, 1), np.float32)
    )


def _assign_all(
    read: Callable[[npt.NDArray[np.intp]], npt.NDArray[np.floating[Any]]], n: int, centres: npt.NDArray[np.float32]
) -> npt.NDArray[np.int32]:
    cluster = np.full(n, -1, np.int32)
    for start in range(0, n if len(centres) else 0, BLOCK_IMAGES):
        points = read(np.arange(start, min(start + BLOCK_IMAGES, n))).astype(np.float32)
        finite = np.isfinite(points).all(axis=1)
        nearness = points[finite] @ centres.T - 0.5 * np.einsum("kd,kd->k", centres, centres)
        cluster[start : start + len(points)][finite] = nearness.argmax(axis=1)
    return cluster


def _largest_first(cluster: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Renumber by falling size, equal sizes as they were numbered; numbers no image has disappear."""
    sizes = np.bincount(cluster[cluster >= 0], minlength=1)
    number = np.empty(len(sizes) + 1, np.int32)
    number[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes), dtype=np.int32)
    number[-1] = -1  # of what has none: index -1
    return number[cluster]


def class_shares(cluster: Integers, member: Integers, classes: int) -> npt.NDArray[np.float64]:
    """How far each joint cluster is each class's, were the classes of one size.

    The share of a class's images that lie in the cluster, over the sum of these shares of all classes of the group:
    the probability of the class given the cluster, the classes being equally likely.

    Args:
        cluster: (n,) from 0, every number with an image; -1 without one.
        member: (n,) position of the image's class in the group, in [0, classes).
        classes: of the group, at least 1.

    Returns:
        (k, classes), rows sum to 1. The cluster's owner is the largest, the first of equals.
    """
    placed = cluster >= 0
    clusters = int(cluster.max(initial=-1)) + 1
    counts = np.bincount(cluster[placed].astype(np.int64) * classes + member[placed], minlength=clusters * classes)
    inside = counts.reshape(clusters, classes)
    share = inside / np.maximum(inside.sum(axis=0), 1)
    return np.asarray(share / share.sum(axis=1, keepdims=True))
