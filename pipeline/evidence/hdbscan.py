"""Per-class HDBSCAN: groups of any shape and number, how firmly an image belongs to its group, how far out it stands.

Source: Campello, Moulavi and Sander (PAKDD 2013) for the groups, Campello et al. (TKDD 2015) for the outlier score
(GLOSH), as computed by the `hdbscan` library; slides, "Density" (Bag of Tricks for Learning from Web Data, 2019).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evidence.canonical import Features, canonical
from pipeline.evidence.kmeans import largest_first

Numbers = npt.NDArray[np.float64]


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
    import hdbscan  # noqa: PLC0415 - a second that the command line should not pay

    sample = points[: settings.square]
    distance = _distances(sample)
    fitted = hdbscan.HDBSCAN(
        min_cluster_size=settings.min_cluster_size, min_samples=settings.min_samples, metric="precomputed"
    ).fit(distance)
    found = (fitted.labels_.astype(np.int64), fitted.probabilities_, fitted.outlier_scores_)
    if len(sample) == len(points):
        return found
    k = min(settings.min_samples, len(sample) - 1)
    core = np.partition(distance, k, axis=1)[:, k]
    return _with_the_others(points, found, core)


def _distances(points: npt.NDArray[np.float32]) -> Numbers:
    """Euclidean, (n, n). In float64, which the library wants, and in which differences of squares stay precise."""
    centred = (points - points.mean(axis=0)).astype(np.float64)
    distance: Numbers = centred @ centred.T
    square = distance.diagonal().copy()
    distance *= -2
    distance += square
    distance += square[:, None]
    np.fill_diagonal(distance, 0)
    np.maximum(distance, 0, out=distance)
    return np.sqrt(distance, out=distance)


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
