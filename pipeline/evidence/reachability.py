"""How points hang together by mutual reachability: the minimum spanning tree from which HDBSCAN reads its groups.

Source: Campello, Moulavi and Sander (PAKDD 2013). The mutual reachability of two points is the largest of their
distance and both core distances; a point's core distance is that to the neighbour as far down its list as min_samples.
"""

import numpy as np
import numpy.typing as npt

from pipeline.evidence.scratch import scratch

Numbers = npt.NDArray[np.float64]
_BLOCK_ROWS = 64  # of the pairs, worked on while they are in the processor's cache


def spanning_tree(points: npt.NDArray[np.float32], min_samples: int) -> tuple[Numbers, Numbers]:
    """The minimum spanning tree of mutual reachability, and the core distances.

    Everything up to the tree is in halves of squared distances, which are in the same order as distances.

    Args:
        points: (n, d), n at least 2.
        min_samples: neighbours that make a core distance, at least 1; fewer points have n - 1.

    Returns:
        Edges (n - 1, 3), each two points and their mutual reachability, from the shortest, equal ones in the order in
        which Prim's algorithm finds them from the first point; and core distances (n,). Both are Euclidean.
    """
    # Inside hdbscan, which has no public way to a tree that does not copy all pairs several times.
    from hdbscan._hdbscan_linkage import mst_linkage_core  # noqa: PLC0415 - a second the command line should not pay

    n = len(points)
    pairs: Numbers = scratch(n * n, np.float64).reshape(n, n)
    core = _half_squares(points, min(min_samples, n - 1), pairs)
    for start in range(0, n, _BLOCK_ROWS):
        block = pairs[start : start + _BLOCK_ROWS]
        np.maximum(block, core, out=block)
        np.maximum(block, core[start : start + _BLOCK_ROWS, None], out=block)
    edges: Numbers = mst_linkage_core(pairs)
    edges[:, 2] = np.sqrt(2 * edges[:, 2])
    return edges[np.argsort(edges[:, 2], kind="stable")], np.sqrt(2 * core)


def _half_squares(points: npt.NDArray[np.float32], neighbour: int, pairs: Numbers) -> Numbers:
    """Half the squared distances, into `pairs` (n, n), and of each point that to the neighbour so far down its list.

    In float64, in which differences of squares stay precise. Rounding may leave some a little below 0, but none of what
    is returned.
    """
    centred: Numbers = points - points.mean(axis=0, dtype=np.float64)
    half = np.einsum("nd,nd->n", centred, centred) / 2
    np.matmul(centred, centred.T, out=pairs)  # of an array and itself: numpy computes half of it
    core = np.empty(len(points))
    for start in range(0, len(points), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        block = pairs[rows]
        np.subtract(half[rows, None] + half, block, out=block)
        np.fill_diagonal(block[:, start:], 0)
        core[rows] = np.partition(block, neighbour, axis=1)[:, neighbour]
    return np.maximum(core, 0)
