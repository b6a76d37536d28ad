"""Several networks' feature spaces laid over one another, so that vectors of different networks can be compared.

Two trainings of one network find much the same features in another order and mixture. The rotation (or reflection)
that brings one's vectors nearest to the other's is the orthogonal Procrustes solution (Schoenemann, 1966): U V^T of the
singular value decomposition of their cross-covariance. It looks at no label, and it keeps all angles and, up to one
factor, all distances, so nothing that evidence measures inside one network's space is changed.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

ROWS = 4096  # converted to float64 at once

Vectors = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """What the map depends on: sums over images that have a vector in both spaces. Those of parts add up."""

    images: int
    source_sum: Float64s  # (d,)
    target_sum: Float64s  # (d,)
    cross: Float64s  # (d, d) sum of source x target
    source_square: float  # sum of squared lengths
    target_square: float

    @classmethod
    def none(cls, dimensions: int) -> Self:
        """Of no images."""
        zero = np.zeros(dimensions)
        return cls(0, zero, zero, np.zeros((dimensions, dimensions)), 0.0, 0.0)

    @classmethod
    def of(cls, source: Vectors, target: Vectors) -> Self:
        """Of some images; those with a number that is not finite are left out.

        Args:
            source: (n, d) in the space that is to be mapped.
            target: (n, d) the same images in the space it is mapped into.

        Raises:
            ValueError: the shapes differ.
        """
        if source.shape != target.shape or source.ndim != 2:
            raise ValueError(f"source {source.shape} and target {target.shape} must both be (n, d)")
        total = cls.none(source.shape[1])
        for start in range(0, len(source), ROWS):
            ours = source[start : start + ROWS].astype(np.float64)
            theirs = target[start : start + ROWS].astype(np.float64)
            finite = np.isfinite(ours).all(1) & np.isfinite(theirs).all(1)
            x, y = ours[finite], theirs[finite]
            total = total + cls(len(x), x.sum(0), y.sum(0), x.T @ y, float((x * x).sum()), float((y * y).sum()))
        return total

    def __add__(self, other: "Moments") -> Self:
        """Of both sets of images."""
        return type(self)(
            self.images + other.images,
            self.source_sum + other.source_sum,
            self.target_sum + other.target_sum,
            self.cross + other.cross,
            self.source_square + other.source_square,
            self.target_square + other.target_square,
        )


@dataclass(frozen=True)
class Alignment:
    """A map x -> x matrix + offset from one space into another: a rotation, one factor, and a shift."""

    matrix: Float64s  # (d, d)
    offset: Float64s  # (d,)
    #: correlation of mapped and target vectors over the images it was fitted on: 1 where the map explains everything
    agreement: float

    def apply(self, vectors: Vectors) -> npt.NDArray[np.float32]:
        """(n, d) vectors of the source space, in the target space."""
        mapped: npt.NDArray[np.float32] = vectors.astype(np.float32) @ self.matrix.astype(np.float32)
        mapped += self.offset.astype(np.float32)
        return mapped


def align(moments: Moments) -> Alignment:
    """The similarity map that brings the source's vectors nearest to the target's.

    The factor makes both sets spread alike. The least-squares factor would not: it shrinks whatever the networks
    disagree on, and mapped vectors would crowd around the mean.

    Without images, or where a space's vectors are all the same, there is nothing to turn: only the means are matched.
    """
    dimensions = len(moments.source_sum)
    if moments.images == 0:
        return Alignment(np.eye(dimensions), np.zeros(dimensions), 0.0)
    source_mean, target_mean = moments.source_sum / moments.images, moments.target_sum / moments.images
    source_spread = moments.source_square - moments.images * float(source_mean @ source_mean)
    target_spread = moments.target_square - moments.images * float(target_mean @ target_mean)
    # What rounding leaves of a spread of nothing.
    if source_spread <= 1e-12 * moments.source_square or target_spread <= 1e-12 * moments.target_square:
        return Alignment(np.eye(dimensions), target_mean - source_mean, 0.0)
    left, singular, right = np.linalg.svd(moments.cross - moments.images * np.outer(source_mean, target_mean))
    matrix = float(np.sqrt(target_spread / source_spread)) * (left @ right)
    agreement = float(singular.sum() / np.sqrt(source_spread * target_spread))
    return Alignment(matrix, target_mean - source_mean @ matrix, agreement)


def network_for(image_id: npt.NDArray[np.int64], seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Which network each image's vector is taken from: one that never saw its label.

    An image trained on is in one network's held-out fold and has no choice. Images that no network was trained on, of
    val and test, are dealt out among all by their ids, so that their vectors are spread over the networks as those of
    training images are, and what is learned on one kind holds for the other. The mean over the networks would be
    shorter and less noisy than any training image's vector, and network 0 alone would have no error of a map in it.

    Args:
        image_id: (n,), hashes, so that the remainder of a division is as good as a draw.
        seen: (networks, n) which network's training saw which image.

    Returns:
        (n,) in [0, networks).

    Raises:
        ValueError: every network saw some image.
    """
    free = ~seen
    choices = free.sum(0)
    if len(image_id) and choices.min() == 0:
        raise ValueError(
            f"every network was trained on {(choices == 0).sum()} images, {image_id[choices == 0][0]} for one"
        )
    wanted = image_id % np.maximum(choices, 1)  # among the free ones, from 0
    return np.asarray((np.cumsum(free, axis=0) > wanted).argmax(0), np.int64)
