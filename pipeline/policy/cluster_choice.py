"""Rules that keep some clusters of each class whole. Slide "Sample selection based on clustering"."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.policy.clusters import NO_CLUSTER
from pipeline.policy.decision import Decision, Floats, Integers, decided
from pipeline.policy.rule import Columns, check_share
from pipeline.policy.words import UNKNOWN, note_of


@dataclass(frozen=True, kw_only=True)
class ChoiceSettings:
    """Of `kmeans-large` and `kmeans-compact`."""

    #: part of a class's clustered images that the chosen clusters hold at least, (0, 1]
    share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a share that chooses nothing."""
        check_share("share", self.share, above_zero=True)


@dataclass(frozen=True)
class _Clusters:
    """The g clusters that occur, each of one class, and the cluster of each of n images."""

    label: Integers  # (g,) its class
    number: Integers  # (g,) in its class
    size: Integers  # (g,) images
    which: Integers  # (n,) position among the g, -1 for an image without one

    @classmethod
    def of(cls, class_index: Integers, cluster: Integers) -> "_Clusters":
        known = cluster >= 0
        width = int(cluster.max(initial=0)) + 1
        keys, index, size = np.unique(
            class_index[known].astype(np.int64) * width + cluster[known], return_inverse=True, return_counts=True
        )
        which = np.full(len(cluster), -1, np.int64)
        which[known] = index
        return cls(keys // width, keys % width, size, which)

    def smallest_set(self, rank: Floats | Integers, share: float) -> npt.NDArray[np.bool_]:
        """(n,) the images of the clusters that come first by `rank`, as many as it takes to hold `share` of a class.

        Args:
            rank: (g,) lower is chosen earlier; equal ones by number.
            share: of a class's clustered images, (0, 1].
        """
        order = np.lexsort((self.number, rank, self.label))
        label, size = self.label[order], self.size[order]
        total = np.bincount(self.label, weights=self.size)
        before = np.cumsum(size) - size
        before -= np.minimum.reduceat(before, np.flatnonzero(np.diff(label, prepend=-1)))[_runs(label)]
        chosen = np.zeros(len(order) + 1, np.bool_)  # one more, for the images whose `which` is -1
        chosen[order] = before < total[label] * share * (1 - 1e-12)  # a share that is met exactly is met
        return np.asarray(chosen[self.which])


def _runs(label: Integers) -> npt.NDArray[np.int64]:
    """(g,) the number of each element's run of equal neighbours, from 0."""
    return np.cumsum(np.diff(label, prepend=-1) != 0) - 1


def largest_clusters(columns: Columns, settings: ChoiceSettings) -> Decision:
    """Train on the clusters with more images: `kmeans-large` (69.7 top-5).

    Of each class the largest clusters are kept, as few as hold the given share of its images; of two as large, the
    lower number. An image without a cluster is kept.
    """
    clusters = _Clusters.of(columns["class_index"], columns["cluster"])
    chosen = clusters.smallest_set(-clusters.size, settings.share)
    return _kept(columns["cluster"], chosen, ("large", "small"))


def compact_clusters(columns: Columns, settings: ChoiceSettings) -> Decision:
    """Train on the clusters with less intra-class variability: `kmeans-compact` (named on the slide, no figure).

    Of each class the clusters with the smallest `cluster_compactness`, the mean squared distance to the centre, are
    kept, as few as hold the given share of its images; of two as compact, the lower number. A cluster of one image
    comes last, because its compactness of 0 says nothing. An image without a cluster is kept. A larger value never
    brings an image in.
    """
    clusters = _Clusters.of(columns["class_index"], columns["cluster"])
    own = clusters.which >= 0
    spread = np.bincount(
        clusters.which[own], weights=columns["cluster_compactness"][own], minlength=len(clusters.size)
    ) / np.maximum(clusters.size, 1)
    rank = np.where((clusters.size > 1) & np.isfinite(spread), spread, np.inf)
    chosen = clusters.smallest_set(rank, settings.share)
    return _kept(columns["cluster"], chosen, ("compact", "spread out"))


def _kept(cluster: Integers, chosen: npt.NDArray[np.bool_], words: tuple[str, str]) -> Decision:
    unknown = cluster < 0
    texts = {
        UNKNOWN: NO_CLUSTER,
        0: f"its cluster is {words[1]} for its class, left out",
        1: f"its cluster is {words[0]} for its class",
    }
    note = note_of(np.where(unknown, UNKNOWN, chosen), texts.__getitem__)
    return decided(np.ones(len(cluster)), note, repeats=(chosen | unknown).astype(np.int32))
