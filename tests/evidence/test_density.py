"""Density against a float64 double loop of its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.evidence.density import Density, DensitySettings, class_density
from pipeline.evidence.levels import descending_levels
from pipeline.evidence.principal import principal


def defined(points: np.ndarray, percentile: float) -> list[int]:
    """The definition, word by word: all n^2 distances, their percentile, others strictly closer."""
    rows = points.astype(np.float64).tolist()
    n = len(rows)
    distances = np.array([[math.dist(x, y) for y in rows] for x in rows])
    cutoff = np.percentile(distances, percentile)
    return [sum(distances[i][j] < cutoff for j in range(n) if j != i) for i in range(n)]


def density(points: np.ndarray, **settings: object) -> Density:
    return class_density(points, DensitySettings(**settings))  # type: ignore[arg-type]


def mixture(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Groups of unequal width in noise; variances fall as those of a network's features do."""
    rng = np.random.default_rng(seed)
    scale = np.arange(1, d + 1) ** -0.7
    centre = rng.normal(size=(6, d)) * 1.5
    label = rng.integers(6, size=n)
    spread = rng.uniform(0.3, 1.5, 6)[label][:, None]
    mixed: np.ndarray = (centre[label] + rng.normal(size=(n, d)) * spread) * scale @ rng.normal(size=(d, d))
    positive: np.ndarray = np.maximum(mixed, 0).astype(np.float16)
    return positive


def test_four_images_by_hand() -> None:
    """On a line at 0, 1, 2 and 10: distances 0 (4 times), 1 (4), 2, 8, 9 and 10 (2 each). 60% of 15 is place 9: 2."""
    points = np.array([[0.0], [1.0], [2.0], [10.0]], np.float16)
    found = density(points)
    assert found.density.tolist() == [1, 2, 1, 0]  # strictly closer than 2
    assert found.level.tolist() == [1, 0, 1, 2]
    assert density(points, percentile=55).density.tolist() == [1, 2, 1, 0]  # place 8.25: still 2
    assert density(points, percentile=62).density.tolist() == [2, 2, 2, 0]  # place 9.3: between 2 and 8
    assert density(points, percentile=100).density.tolist() == [2, 3, 3, 2]  # strictly closer than 10
    assert density(points, percentile=1).density.tolist() == [0, 0, 0, 0]  # place .15: a distance of 0


@given(
    hnp.arrays(np.float16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=10), elements=st.integers(-8, 8)),
    st.sampled_from([1.0, 25.0, 60.0, 90.0, 100.0]),
)
def test_the_definition_with_ties_and_copies(points: np.ndarray, percentile: float) -> None:
    """Whole numbers of which 2 n is a power of two, so that centring them is exact and equal distances stay equal."""
    points = np.resize(points, (16, points.shape[1]))
    found = density(points, percentile=percentile)
    assert found.density.tolist() == defined(points, percentile)
    assert found.level.tolist() == descending_levels(np.array(defined(points, percentile)), 3).tolist()


@pytest.mark.parametrize("n", [127, 129, 300])
def test_the_definition_on_clustered_features_across_blocks(n: int) -> None:
    points = mixture(n, 40)
    found, wanted = density(points), np.array(defined(points, 60))
    assert np.abs(found.density - wanted).max() <= 1  # a pair at the cut-off itself may round to either side
    assert (found.level == descending_levels(wanted, 3)).mean() > 0.99


def test_principal_components_as_an_exact_decomposition() -> None:
    points = mixture(300, 200)
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    exact = centred @ axes[:64].T
    wanted = np.array(defined(exact[:, :64], 60))
    found = density(points, dimensions=64)
    assert (found.level == descending_levels(wanted, 3)).mean() >= 0.98
    assert not np.array_equal(found.level, density(points, dimensions=8).level)


def test_the_subspace_keeps_the_variance_that_can_be_kept() -> None:
    for n, d, r in ((400, 300, 50), (90, 300, 50)):  # by the covariance, by the points
        points = mixture(n, d).astype(np.float32)
        spectrum = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
        found = principal(points, r)
        assert found.shape == (n, r)
        assert spectrum[:r].sum() * 0.98 < (found**2).sum() < spectrum[:r].sum() * 1.001
    flat = np.ones((80, 70), np.float32)
    flat[:40, 3] = 5
    assert principal(flat, 50).var(axis=0).sum() == pytest.approx(4.0, rel=1e-4)  # one direction, and no others
    assert principal(np.ones((80, 70), np.float32), 50).max() == 0


@pytest.mark.parametrize("method", ["cutoff", "neighbours"])
def test_a_permutation_changes_nothing(method: str) -> None:
    points = mixture(300, 280)
    points[7] = points[200]
    order = np.random.default_rng(1).permutation(300)
    for square in (5000, 90):
        one, other = (density(rows, method=method, square=square) for rows in (points, points[order]))
        assert np.array_equal(one.density[order], other.density)
        assert np.array_equal(one.level[order], other.level)
        assert one.density[7] == one.density[200]


@pytest.mark.parametrize("method", ["cutoff", "neighbours"])
@pytest.mark.parametrize("n", [0, 1, 2])
def test_classes_of_no_one_or_two_images(n: int, method: str) -> None:
    found = density(np.eye(2, 4, dtype=np.float16)[:n], method=method)
    alone = 0.0 if n < 2 else [1.0, -math.sqrt(2)][method == "neighbours"]
    # of two images, distances 0, 0, 1.4, 1.4: the percentile lies at 1.4 times .8, and nobody is closer
    assert found.density.tolist() == pytest.approx([0.0 if method == "cutoff" else alone] * n)
    assert found.level.tolist() == [0] * n


@pytest.mark.parametrize("method", ["cutoff", "neighbours"])
def test_identical_images_and_constant_features(method: str) -> None:
    """All are equally dense, though their distances, computed as products, come out a little off zero."""
    points = np.full((300, 300), 0.1, np.float16)
    found = density(points, method=method)
    assert found.density.tolist() == [0.0] * 300
    assert found.level.tolist() == [0] * 300
    half = density(np.repeat(np.array([[0.1, 700.3], [900.7, 0.3]], np.float16), [9, 3], axis=0), method=method)
    assert len(np.unique(half.density[:9])) == len(np.unique(half.density[9:])) == 1


@pytest.mark.parametrize("method", ["cutoff", "neighbours"])
def test_features_that_are_not_finite_have_no_density(method: str) -> None:
    points = np.array([[0.0], [1.0], [np.nan], [2.0], [10.0], [np.inf]], np.float16)
    found = density(points, method=method, neighbours=2)
    assert np.isnan(found.density).tolist() == [False, False, True, False, False, True]
    assert found.level[[2, 5]].tolist() == [-1, -1]
    assert np.array_equal(
        found.density[[0, 1, 3, 4]], density(points[[0, 1, 3, 4]], method=method, neighbours=2).density
    )


def test_neighbours_by_hand() -> None:
    points = np.array([[0.0], [1.0], [3.0], [10.0]], np.float16)
    assert density(points, method="neighbours", neighbours=2).density.tolist() == [-2.0, -1.5, -2.5, -8.0]
    assert density(points, method="neighbours", neighbours=2).level.tolist() == [1, 0, 1, 2]
    everybody = [-14 / 3, -12 / 3, -12 / 3, -26 / 3]
    assert density(points, method="neighbours").density.tolist() == pytest.approx(everybody)  # 15, of whom 3 are there


def test_neighbours_as_brute_force() -> None:
    points = mixture(300, 30)
    rows = points.astype(np.float64)
    distances = np.sqrt(((rows[:, None] - rows) ** 2).sum(axis=2))
    wanted = -np.sort(distances, axis=1)[:, 1:16].mean(axis=1)  # the first is the image itself
    assert density(points, method="neighbours").density == pytest.approx(wanted, rel=1e-4)


def test_a_class_beyond_the_square_is_measured_against_a_sample() -> None:
    """The same scale and nearly the same levels; each of the sample is left out of its own count."""
    points = mixture(2500, 40)
    exact, sampled = density(points), density(points, square=1200)
    assert (exact.level == sampled.level).mean() > 0.93
    assert np.abs(exact.density - sampled.density).mean() < 0.02 * 2500
    near, few = density(points, method="neighbours"), density(points, method="neighbours", square=1200)
    assert np.corrcoef(near.density, few.density)[0, 1] > 0.95
    everybody = density(points[:400], percentile=100, square=100)
    assert everybody.density.max() == 399  # all others, in the sample and outside it: closer than its farthest pair
    assert (everybody.density == 399).mean() > 0.7


def test_refusals() -> None:
    for wrong, told in (
        ({"method": "kernel"}, "method must be 'cutoff' or 'neighbours', not 'kernel'"),
        ({"percentile": 0}, r"percentile must be in \(0, 100\], not 0"),
        ({"percentile": 101}, "percentile"),
        ({"neighbours": 0}, "neighbours must be at least 1, not 0"),
        ({"dimensions": 0}, "dimensions must be at least 1"),
        ({"levels": 0}, "levels must be at least 1"),
        ({"square": 1}, "square must be at least 2"),
    ):
        with pytest.raises(ValueError, match=rf"density\.{told}"):
            density(np.zeros((1, 1)), **wrong)
