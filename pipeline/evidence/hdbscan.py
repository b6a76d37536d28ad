"""Per-class HDBSCAN: groups of any shape and number, how firmly an image belongs to its group, how far out it stands.

Source: Campello, Moulavi and Sander (PAKDD 2013) for the groups, Campello et al. (TKDD 2015) for the outlier score
(GLOSH), as computed by the `hdbscan` library; slides, "Density" (Bag of Tricks for Learning from Web Data, 2019).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.evidence.canonical import Features, canonical
from pipeline.evidence.kmeans import largest_first
from pipeline.evidence.neighbours import largest

Numbers = npt.NDArray[np.float64]
BLOCK_NUMBERS: Final = 2**18


@dataclass(frozen=True, kw_only=True)
class HdbscanSettings:
    """What counts as a group."""

    #: images, at least 2: fewer are no sense of a class's word but a handful of similar pictures
    min_cluster_size: int = 10
    #: an image is as dense as the distance to so many others is short, at least 1; more call more images noise
    min_samples: int = 5
    #: images, at least 2. Of a larger class so many are clustered, and the others go with the nearest of them: the
    #: library takes about 40 bytes times the square of this, and time in proportion
    square: int = 5000

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        for name, least in (("min_cluster_size", 2), ("min_samples", 1), ("square", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"hdbscan.{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Groups:
    """One class's groups, numbered from the largest; n images."""

    cluster: npt.NDArray[np.int32]  # (n,) -1 for noise, and where the features are not finite
    membership: npt.NDArray[np.float32]  # (n,) strength in [0, 1]; 0 for noise
    outlier: npt.NDArray[np.float32]  # (n,) GLOSH score in [0, 1]; 1 where the features are not finite


def group_class(features: Features, settings: HdbscanSettings) -> Groups:
    """Group the images of one class.

    Images with the same features are measured as one and share its result: copies are no density, and the library would
    take a few of them for infinitely dense, next to which all else is an outlier.

    Args:
        features: (n, d), any n including 0.
        settings: what counts as a group.

    Returns:
        Groups of the n images. A class of fewer distinct images than `min_cluster_size` is noise without outliers. A
        class that is a single group may be all noise, too: HDBSCAN tells groups from each other.

    Raises:
        ValueError: features is not two-dimensional.
    """
    images = canonical(features)
    distinct = images.distinct
    label, strength, outlier = _group(images.points[distinct], settings)
    place = np.searchsorted(distinct, images.twin)
    return Groups(
        images.restore(largest_first(label[place]), -1),
        images.restore(strength[place].astype(np.float32), 0),
        images.restore(outlier[place].astype(np.float32), 1),
    )


def _group(
    points: npt.NDArray[np.float32], settings: HdbscanSettings
) -> tuple[npt.NDArray[np.int64], Numbers, Numbers]:
    """Label (-1 noise), strength and outlier score of distinct points."""
    if len(points) < settings.min_cluster_size or len(points) < 2:
        return np.full(len(points), -1), np.zeros(len(points)), np.zeros(len(points))
    sample = points[: settings.square]
    tree, core = _single_linkage(sample, min(settings.min_samples, len(sample) - 1))
    # From here on as `hdbscan.HDBSCAN(metric="precomputed")`, which copies the matrix of distances eight times before.
    from hdbscan._hdbscan_tree import outlier_scores  # noqa: PLC0415 - a second that the command line should not pay
    from hdbscan.hdbscan_ import _tree_to_labels  # noqa: PLC0415

    label, strength, _, condensed, _ = _tree_to_labels(None, tree, settings.min_cluster_size)
    found = (label.astype(np.int64), strength, outlier_scores(condensed))
    return found if len(sample) == len(points) else _with_the_others(points, found, core)


def _single_linkage(points: npt.NDArray[np.float32], k: int) -> tuple[Numbers, Numbers]:
    """The single linkage tree of n points by mutual reachability, (n - 1, 4), and their core distances, (n,).

    The mutual reachability of two points is the largest of their distance and their core distances, and the core
    distance of a point that to its k-th neighbour. Squares are in the same order as distances, and roots are taken of
    the n - 1 edges of the minimum spanning tree alone.
    """
    from hdbscan._hdbscan_linkage import mst_linkage_core  # noqa: PLC0415 - a second that the command line should not pay
    from sklearn.cluster._hierarchical_fast import single_linkage_label  # noqa: PLC0415 - 50 times as fast as hdbscan's

    squared, core = _squared_distances(points), np.empty(len(points))
    blocks = list(_blocks(len(points)))
    for rows in blocks:
        core[rows] = -largest(-squared[rows], k + 1)[0].min(axis=1)
    for rows in blocks:
        np.maximum(squared[rows], core, out=squared[rows])
        np.maximum(squared[rows], core[rows, None], out=squared[rows])
    edges: Numbers = mst_linkage_core(squared)
    edges[:, 2] = np.sqrt(edges[:, 2])
    return single_linkage_label(edges[np.argsort(edges[:, 2])]), np.sqrt(core)


def _squared_distances(points: npt.NDArray[np.float32]) -> Numbers:
    """Euclidean, (n, n). In float64, which the library wants, and in which differences of squares stay precise."""
    centred = points.astype(np.float64) - points.mean(axis=0)
    squared: Numbers = centred @ centred.T
    length = squared.diagonal().copy()
    for rows in _blocks(len(points)):
        own = squared[rows]
        own *= -2
        own += length[rows, None] + length  # so that both ways are equally far, to the last bit
        np.maximum(own, 0, out=own)
    np.fill_diagonal(squared, 0)
    return squared


def _blocks(n: int) -> Iterator[slice]:
    """So many rows of n numbers as stay in the processor's cache while they are worked on."""
    step = max(1, BLOCK_NUMBERS // n)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _with_the_others(
    points: npt.NDArray[np.float32], found: tuple[npt.NDArray[np.int64], Numbers, Numbers], core: Numbers
) -> tuple[npt.NDArray[np.int64], Numbers, Numbers]:
    """What was found of the first points, and of the others from the nearest of the first.

    Strength and 1 - outlier score are both proportional to an image's density, the inverse of its distance to its
    neighbours. An image that lies within the core distance of its nearest is as dense as that; one that lies f times as
    far away is 1/f as dense.
    """
    import faiss  # noqa: PLC0415 - half a second that the command line should not pay

    faiss.omp_set_num_threads(1)  # the engine runs one class per thread
    label, strength, outlier = found
    squared, nearest = faiss.knn(points[len(label) :], points[: len(label)], 1)
    away, nearest = np.sqrt(np.maximum(squared[:, 0].astype(np.float64), 0)), nearest[:, 0]
    density = core[nearest] / np.maximum(np.maximum(away, core[nearest]), np.finfo(np.float64).tiny)
    return (
        np.concatenate([label, label[nearest]]),
        np.concatenate([strength, strength[nearest] * density]),
        np.concatenate([outlier, 1 - (1 - outlier[nearest]) * density]),
    )
