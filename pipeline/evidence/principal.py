"""Principal components of a class: only distances in them are wanted, so only the subspace is found, and no axes in it.

Subspace iteration from random directions (Halko, Martinsson and Tropp 2011): a few products instead of a decomposition.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

POWERS = 3  # products with the covariance: enough that 99 of 100 images keep the level of an exact decomposition
JITTER = 1e-12  # of all directions' squares together: what float32 directions cannot hold, far above float64's rounding

Points = npt.NDArray[np.float32]
Precise = npt.NDArray[np.floating[Any]]


def principal(points: Points, dimensions: int) -> Points:
    """Coordinates in the subspace of the largest variance, up to rotation, of centred points.

    Args:
        points: (n, d) finite.
        dimensions: of the subspace, r.

    Returns:
        (n, r), or (n, d) where d <= r or n <= r: nothing is lost then, and distances are what they were.
    """
    n, d = points.shape
    points = points - points.mean(axis=0)
    if min(n, d) <= dimensions:
        return points
    signs = np.random.default_rng(0).integers(0, 2, (d, dimensions), np.int8)
    basis = (signs * 2 - 1).astype(np.float32)
    # Each product goes through the d x d covariance or through the points, whichever takes fewer multiplications.
    covariance: Points | None = (
        points.T @ points if (n + 2 * POWERS * dimensions) * d < 4 * POWERS * n * dimensions else None
    )
    for _ in range(POWERS):
        product: Points = points.T @ (points @ basis) if covariance is None else covariance @ basis
        basis = _orthonormal(product)
    return points @ basis


def _orthonormal(basis: Points) -> Points:
    """An orthonormal basis of the columns' span (d, r), by the Cholesky factor of their products.

    A direction in which there is nothing but rounding comes out shorter than 1 instead of being made up.
    """
    precise = basis.astype(np.float64)  # what float32 rounds off would come back blown up to a direction's length
    product: Precise = precise.T @ precise
    product[np.diag_indices(len(product))] += JITTER * max(float(product.trace()), 1e-30)
    factor: Precise = np.linalg.cholesky(product)
    return (precise @ _inverse(factor).T).astype(np.float32)


def _inverse(lower: Precise) -> Precise:
    """Inverse of a lower triangular matrix, by halves: four times as fast as that of any matrix."""
    size = len(lower)
    if size <= 64:
        small: Precise = np.linalg.inv(lower)
        return small
    half = size // 2
    inverse = np.zeros_like(lower)
    inverse[:half, :half] = _inverse(lower[:half, :half])
    inverse[half:, half:] = _inverse(lower[half:, half:])
    inverse[half:, :half] = -inverse[half:, half:] @ (lower[half:, :half] @ inverse[:half, :half])
    return inverse
