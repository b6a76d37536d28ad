"""Per-class density: how many images of its class an image has close by, and which of a few levels of it that is.

Source: Guo et al., "CurriculumNet" (ECCV 2018), as the slides use it (Bag of Tricks for Learning from Web Data, 2019):
images that show what their class means look alike, wrong ones are scattered. Written from the description.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.evidence.canonical import Canonical, Features, canonical
from pipeline.evidence.levels import descending_levels
from pipeline.evidence.principal import principal
from pipeline.evidence.scratch import scratch

BLOCK_ROWS = 128  # distances of so many images at a time: they are counted while they are in the processor's cache

Points = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class DensitySettings:
    """How density is measured."""

    #: "cutoff": images of the class closer than a cut-off; "neighbours": minus the mean distance to the nearest
    method: Literal["cutoff", "neighbours"] = "cutoff"
    #: cut-off: this percentile of all pairwise distances in the class, (0, 100]
    percentile: float = 60.0
    #: nearest images that "neighbours" looks at, at least 1; a smaller class has fewer
    neighbours: int = 15
    #: principal components of the class that distances are measured in, at least 1
    dimensions: int = 256
    #: levels, at least 1
    levels: int = 3
    #: images, at least 2. A larger class is measured against so many of its images instead of all: time and memory then
    #: grow with the class and no longer with its square
    square: int = 5000

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.method not in ("cutoff", "neighbours"):
            raise ValueError(f"density.method must be 'cutoff' or 'neighbours', not {self.method!r}")
        if not 0 < self.percentile <= 100:
            raise ValueError(f"density.percentile must be in (0, 100], not {self.percentile}")
        for name, least in (("neighbours", 1), ("dimensions", 1), ("levels", 1), ("square", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"density.{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Density:
    """Density of one class's n images."""

    density: npt.NDArray[np.float32]  # (n,) higher is denser; nan where the features are not finite
    level: npt.NDArray[np.int32]  # (n,) 0 the densest; -1 where there is no density


def class_density(features: Features, settings: DensitySettings) -> Density:
    """Measure the density of each image among the images of its class.

    Args:
        features: (n, d), any n including 0.
        settings: the method and its parameters.

    Returns:
        "cutoff": the number of other images strictly closer than the cut-off, [0, n - 1]; fractional in a class larger
        than `square`. "neighbours": minus a Euclidean distance. An image alone has density 0. Equal rows are equally
        dense. Levels have no gaps: fewer distinct densities than levels have a level each.

    Raises:
        ValueError: features is not two-dimensional.
    """
    images = canonical(features)
    density = np.zeros(len(images), np.float32)
    if len(images) > 1:
        lifted = _Lifted.of(principal(images.points, settings.dimensions))
        density = (_close_by if settings.method == "cutoff" else _minus_mean_distance)(images, lifted, settings)
    level = descending_levels(density[images.twin], settings.levels)
    return Density(images.restore(density, np.nan), images.restore(level, -1))


@dataclass(frozen=True)
class _Lifted:
    """Points with their squares beside them, so that one product gives squared distances: left @ right.T."""

    left: Points  # (n, r + 2): -2 x, |x|^2, 1
    right: Points  # (n, r + 2): x, 1, |x|^2

    @classmethod
    def of(cls, points: Points) -> "_Lifted":
        square = np.einsum("nd,nd->n", points, points)[:, None]
        one = np.ones_like(square)
        return cls(np.concatenate([-2 * points, square, one], axis=1), np.concatenate([points, one, square], axis=1))

    def squared_distances(
        self, rows: slice, columns: slice, twin: npt.NDArray[np.int64], out: Points | None = None
    ) -> Points:
        """(rows, columns); 0 between equal images, which a product of floats would miss, and inf to itself."""
        squared: Points = np.matmul(self.left[rows], self.right[columns].T, out=out)
        own, other = np.arange(len(twin))[rows], np.arange(len(twin))[columns]
        if (twin != np.arange(len(twin))).any():
            squared[twin[own][:, None] == twin[other]] = 0
        inside = (own >= columns.start) & (own < columns.stop)
        squared[np.flatnonzero(inside), own[inside] - columns.start] = np.inf
        return squared


def _close_by(images: Canonical, lifted: _Lifted, settings: DensitySettings) -> npt.NDArray[np.float32]:
    """Other images closer than the percentile of the distances.

    A class larger than `square`: the cut-off is that of the first `square` images, which are a fair sample, and of each
    image those of them that are closer are counted; the share of them stands for the share of all others.
    """
    n, m = len(images), min(len(images), settings.square)
    half = (m * (m + BLOCK_ROWS) + 1) // 2  # numbers, each for half of all pairs
    room, other = scratch(2 * half, np.float32).reshape(2, half)
    blocks = list(_upper_blocks(images, lifted, m, room))
    limit = _limit(blocks, m, settings.percentile, other)
    count = np.zeros(n, np.int64)
    for start, squared in blocks:
        near = squared < limit
        stop = start + len(near)
        count[start:stop] += near.sum(axis=1)
        count[stop:m] += near[:, len(near) :].sum(axis=0)
    for rows in _blocks(m, n):
        count[rows] = (lifted.squared_distances(rows, slice(0, m), images.twin) < limit).sum(axis=1)
    others = np.where(np.arange(n) < m, m - 1, m)
    return (count * ((n - 1) / others)).astype(np.float32)


def _blocks(start: int, stop: int) -> Iterator[slice]:
    for first in range(start, stop, BLOCK_ROWS):
        yield slice(first, min(first + BLOCK_ROWS, stop))


def _upper_blocks(images: Canonical, lifted: _Lifted, m: int, room: Points) -> Iterator[tuple[int, Points]]:
    """Squared distances of the first m images to each other: of some rows to themselves and all later ones.

    They lie in `room`, of at least m (m + BLOCK_ROWS) / 2 numbers, one after the other.
    """
    begin = 0
    for rows in _blocks(0, m):
        shape = rows.stop - rows.start, m - rows.start
        end = begin + shape[0] * shape[1]
        out = room[begin:end].reshape(shape)
        yield rows.start, lifted.squared_distances(rows, slice(rows.start, m), images.twin, out)
        begin = end


def _limit(blocks: list[tuple[int, Points]], m: int, percentile: float, room: Points) -> float:
    """What a squared distance must be less than to be less than the percentile of all m^2 distances.

    The percentile lies between two distances that follow each other in size, or on one of them: what is less than it is
    less than the larger one, or less than that one. So neither roots nor interpolation are needed. The m^2 distances
    are m zeros of the diagonal, and each pair twice; the pairs are put in order in `room`, which holds as many.
    """
    apart = np.concatenate([part for _, squared in blocks for part in _later(squared)], out=room[: m * (m - 1) // 2])
    place = (m * m - 1) * percentile / 100
    lower = int(place)
    upper = min(lower + (place > lower), m * m - 1)
    below = above = np.float32(0)  # as on the diagonal
    if lower >= m:
        apart.partition((lower - m) // 2)
        below = above = apart[(lower - m) // 2]
    if upper >= m and (upper - m) // 2 != (lower - m) // 2:
        above = apart[(lower - m) // 2 + 1 :].min()
    return float(above if above > below else below)


def _later(squared: Points) -> list[Points]:
    """The distances of a block's images to later images, flat: above the diagonal, and right of the square it is in."""
    rows = len(squared)
    return [squared[:, :rows][_above_diagonal(rows)], squared[:, rows:].ravel()]


@functools.cache
def _above_diagonal(rows: int) -> npt.NDArray[np.bool_]:
    """(rows, rows), of at most BLOCK_ROWS + 1 sizes."""
    return np.triu(np.ones((rows, rows), np.bool_), 1)


def _minus_mean_distance(images: Canonical, lifted: _Lifted, settings: DensitySettings) -> npt.NDArray[np.float32]:
    """Minus the mean distance to the nearest others, to proportionally fewer where they are sought in a sample."""
    n, m = len(images), min(len(images), settings.square)
    k = min(max(1, round(settings.neighbours * m / n)), m - 1)
    density = np.empty(n, np.float32)
    for rows in _blocks(0, n):
        squared = lifted.squared_distances(rows, slice(0, m), images.twin)
        nearest = np.partition(squared, k - 1, axis=1)[:, :k]
        density[rows] = -np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return density
