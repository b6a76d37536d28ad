"""Which of very many vectors are nearest, asking few of them: vectors in lists by cell, each query asking its own.

The vectors of a cell are a list (`pipeline.evidence.lists`). Cells are so small that a query asks for many of them,
those nearest to itself: at the same number of comparisons this finds far more than what the queries of one large cell
ask for together. Cells much farther away than the nearest one are not asked for: "SPANN: Highly-efficient Billion-scale
Approximate Nearest Neighbor Search" (Chen et al., 2021), section 3.3. The centres lie in lists as well, so that the
cost of finding the cells of an image hardly grows with their number.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.evidence.lists import Asking, Lists, Near, ask
from pipeline.evidence.neighbours import Floats, Integers, largest

CELL_IMAGES: Final = 128  # that a cell holds on average
GROUPS_ASKED: Final = 16  # of centres, for the cells nearest to an image
GROUP_CENTRES: Final = 1024  # at most; images that lie closer together than this allows share larger cells
FARTHER: Final = 0.6  # than its nearest centre may be another that a query asks for: its distance in times, less one
KMEANS_ITERATIONS: Final = 6  # cells need not be perfect: a query asks for many
POINTS_PER_CENTRE: Final = 64  # that the groups of centres are trained on
POINTS_PER_CELL: Final = 16  # that the centres of the cells are trained on


def cell_count(images: int) -> int:
    """Cells for so many images."""
    return max(1, -(-images // CELL_IMAGES))


def group_count(cells: int) -> int:
    """Groups of centres: as many as an image then compares centres with in the groups that it asks for."""
    return min(cells, math.isqrt(GROUPS_ASKED * cells))


def train_centres(sample: Floats, centres: int, seed: int) -> Floats:
    """Centres by spherical k-means.

    Args:
        sample: (s, d) unit rows.
        centres: how many.
        seed: of the initial centres.

    Returns:
        (m, d) unit rows, m at most `centres`.
    """
    import faiss  # noqa: PLC0415 - half a second that the command line should not pay

    faiss.omp_set_num_threads(1)  # sums would depend on how threads share them out
    trainer = faiss.Kmeans(
        sample.shape[1],
        min(centres, len(sample)),
        niter=KMEANS_ITERATIONS,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
    )
    trainer.train(np.ascontiguousarray(sample))
    return np.asarray(trainer.centroids, np.float32)


def centres_of_groups(points: Integers, cells: int) -> npt.NDArray[np.int64]:
    """(g,) how many cells each group gets: by its part of the sample, at least 1, at most GROUP_CENTRES.

    Args:
        points: (g,) of the sample.
        cells: in all.
    """
    share = np.ceil(np.asarray(points) * (cells / max(int(np.sum(points)), 1)))
    return np.asarray(share.clip(1, GROUP_CENTRES), np.int64)


@dataclass(frozen=True)
class Cells:
    """Centres of cells, those that lie near each other in one group."""

    groups: Floats  # (g, d) unit rows
    starts: npt.NDArray[np.int64]  # (g + 1,) where the centres of each group begin
    centres: Floats  # (m, d) unit rows

    def nearest(self, rows: Floats, count: int) -> Near:
        """The cells nearest to each row, its own first.

        Args:
            rows: (n, d), n at least 1.
            count: of cells; of fewer where there are not so many.
        """
        groups = _nearest(rows @ self.groups.T, min(GROUPS_ASKED, len(self.groups)))
        source = Lists(self.starts, lambda at: self.centres[at], GROUP_CENTRES)
        told = ask(Asking(rows, groups, GROUPS_ASKED * GROUP_CENTRES), source)
        found = np.full((len(rows), min(count, len(self.centres))), -1, np.int32)
        reach = np.zeros(len(rows), np.int32)
        for own, cosine in told.chunks():
            columns, reach[own] = _nearest(cosine, min(count, cosine.shape[1]))
            there = np.take_along_axis(cosine, columns, axis=1) > -np.inf
            found[own, : columns.shape[1]] = np.where(there, told.positions(own, columns), -1)
        return Near(found, reach)


def _nearest(cosine: Floats, count: int) -> Near:
    """The columns with the largest cosines, largest first, equal ones in their order."""
    found, columns = largest(cosine, count)
    order = np.lexsort((columns, -found), axis=1)
    found, columns = np.take_along_axis(found, order, axis=1), np.take_along_axis(columns, order, axis=1)
    # Of unit vectors the squared distance is 2 - 2 cosine.
    reach = (1 - found <= (1 + FARTHER) ** 2 * (1 - found[:, :1])).sum(axis=1)
    return Near(columns.astype(np.int32), reach.astype(np.int32))
