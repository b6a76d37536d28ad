"""Per-class HDBSCAN: groups of any shape and number, how firmly an image belongs to its group, how far out it stands.

Source: Campello, Moulavi and Sander (PAKDD 2013) for the groups, Campello et al. (TKDD 2015) for the outlier score
(GLOSH), as computed by the `hdbscan` library from a spanning tree of ours; slides, "Density" (Bag of Tricks for
Learning from Web Data, 2019).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evidence.canonical import Features, canonical
from pipeline.evidence.kmeans import largest_first
from pipeline.evidence.reachability import Numbers, spanning_tree


@dataclass(frozen=True, kw_only=True)
class HdbscanSettings:
    """What counts as a group."""

    #: images, at least 2: fewer are no sense of a class's word but a handful of similar pictures
    min_cluster_size: int = 10
    #: an image is as dense as the distance to so many others is short, at least 1; more call more images noise
    min_samples: int = 5
    #: images, at least 2. Of a larger class so many are clustered, and the others go with the nearest of them: a
    #: worker keeps 8 bytes times the square of this, and takes time in proportion
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

    Points that share a neighbour's core distance join at equal distances, and which of them is taken first can decide
    on a point or two: the order of the canonical images does, not that of the class.

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
    edges, core = spanning_tree(sample, settings.min_samples)
    found = _read_off(edges, settings.min_cluster_size)
    return found if len(sample) == len(points) else _with_the_others(points, found, core)


def _read_off(edges: Numbers, min_cluster_size: int) -> tuple[npt.NDArray[np.int64], Numbers, Numbers]:
    """Label, strength and outlier score of each point of a spanning tree (n - 1, 3), as the library has them.

    The functions are hdbscan's own that its estimator calls, with what it passes them where nothing is set;
    scikit-learn's `single_linkage_label` is its `label`, whose search for a set's root takes a long way in large ones.
    """
    from hdbscan._hdbscan_tree import outlier_scores  # noqa: PLC0415 - a second that the command line should not pay
    from hdbscan.hdbscan_ import _tree_to_labels  # noqa: PLC0415 - as above
    from sklearn.cluster._hierarchical_fast import single_linkage_label  # noqa: PLC0415 - as above

    hierarchy = single_linkage_label(edges)
    label, strength, _, condensed, _ = _tree_to_labels(None, hierarchy, min_cluster_size)
    return label.astype(np.int64), strength, outlier_scores(condensed)


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
