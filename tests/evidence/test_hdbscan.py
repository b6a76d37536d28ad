"""HDBSCAN from a spanning tree of ours against the library on distances and on the features themselves."""

import hdbscan
import numpy as np
import pytest
from hdbscan._hdbscan_linkage import label, mst_linkage_core
from hdbscan._hdbscan_reachability import mutual_reachability
from hdbscan._hdbscan_tree import outlier_scores
from hdbscan.hdbscan_ import _tree_to_labels
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from pipeline.evidence.canonical import canonical
from pipeline.evidence.hdbscan import Groups, HdbscanSettings, group_class


def groups(points: np.ndarray, **settings: int) -> Groups:
    return group_class(points, HdbscanSettings(**settings))


def blobs(sizes: list[int], noise: int, dimensions: int = 8, seed: int = 0) -> np.ndarray:
    """Groups of those sizes in order, then scattered points."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), dimensions)) * 10
    scattered = rng.normal(size=(noise, dimensions)) * 20
    tight: np.ndarray = np.repeat(centres, sizes, axis=0) + rng.normal(size=(sum(sizes), dimensions))
    return np.concatenate([tight, scattered]).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_library_on_the_features(seed: int) -> None:
    points = blobs([40, 90, 60], 50, seed=seed)
    found = groups(points)
    peer = hdbscan.HDBSCAN(min_cluster_size=10, min_samples=5).fit(points.astype(np.float64))
    assert adjusted_rand_score(peer.labels_, found.cluster) == 1.0
    assert np.array_equal(found.cluster == -1, peer.labels_ == -1)
    assert found.membership == pytest.approx(peer.probabilities_, abs=1e-4)
    assert found.outlier == pytest.approx(peer.outlier_scores_, abs=1e-4)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("min_cluster_size", "min_samples"), [(10, 5), (5, 1), (20, 12)])
def test_equals_the_library_on_all_distances(seed: int, min_cluster_size: int, min_samples: int) -> None:
    """Also where groups meet, and far from the origin.

    Points that share a neighbour's core distance join at equal distances, and the library's groups then depend on the
    order of the points and on its sort, by a point or two. So it is asked in our order, and sorts as we do.
    """
    points = blobs([60, 150, 90, 40], 80, dimensions=2 + 3 * (seed % 3), seed=seed) + np.float32(100 * (seed % 2))
    found = groups(points, min_cluster_size=min_cluster_size, min_samples=min_samples)
    images = canonical(points)
    distance = cdist(images.points.astype(np.float64), images.points.astype(np.float64))
    tree = mst_linkage_core(mutual_reachability(distance, min_samples))
    hierarchy = label(tree[np.argsort(tree[:, 2], kind="stable")])
    labels, strength, _, condensed, _ = _tree_to_labels(None, hierarchy, min_cluster_size)
    assert adjusted_rand_score(labels, found.cluster[images.rows]) == 1.0
    assert np.array_equal(found.cluster[images.rows] == -1, labels == -1)
    assert found.membership[images.rows] == pytest.approx(strength, abs=1e-6)
    assert found.outlier[images.rows] == pytest.approx(outlier_scores(condensed), abs=1e-6)


def test_the_largest_group_is_0_and_noise_has_no_strength() -> None:
    found = groups(blobs([40, 90, 60], 50))
    assert [np.bincount(part + 1).argmax() - 1 for part in np.split(found.cluster, [40, 130, 190])] == [2, 0, 1, -1]
    assert (np.diff(np.bincount(found.cluster[found.cluster >= 0])) <= 0).all()
    assert (found.membership[found.cluster == -1] == 0).all()
    assert found.membership.max() == 1.0
    assert found.outlier[190:].mean() > found.outlier[:190].mean() + 0.2


def test_a_permutation_changes_nothing() -> None:
    points = blobs([40, 60], 40)
    order = np.random.default_rng(0).permutation(140)
    for square in (5000, 80):
        one, other = groups(points, square=square), groups(points[order], square=square)
        for name in ("cluster", "membership", "outlier"):
            assert np.array_equal(getattr(one, name)[order], getattr(other, name)), name


def test_copies_change_nothing_but_share_a_result() -> None:
    """To the library twenty equal images are infinitely dense, and all the others of their group have strength 0."""
    points = blobs([40, 60], 40)
    found, copied = groups(points), groups(np.concatenate([points, np.repeat(points[:1], 20, axis=0)]))
    assert np.array_equal(found.membership, copied.membership[:140])
    assert np.array_equal(found.outlier, copied.outlier[:140])
    assert len(np.unique(copied.membership[[0, *range(140, 160)]])) == 1
    assert copied.membership[:40].min() > 0


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_too_few_images_are_noise_and_no_outliers(n: int) -> None:
    found = groups(np.eye(9, dtype=np.float16)[:n])
    assert found.cluster.tolist() == [-1] * n
    assert found.membership.tolist() == found.outlier.tolist() == [0.0] * n


def test_identical_images_are_noise_and_no_outliers() -> None:
    found = groups(np.full((50, 4), 0.1, np.float16))
    assert found.cluster.tolist() == [-1] * 50
    assert found.outlier.tolist() == [0.0] * 50


def test_fewer_images_than_an_image_is_measured_by() -> None:
    points = blobs([6, 6], 0)
    found = groups(points, min_cluster_size=3, min_samples=40)
    assert np.isfinite(found.membership).all()
    assert np.isfinite(found.outlier).all()


def test_one_column_tells_apart_what_constant_ones_do_not() -> None:
    points = np.full((60, 5), 3.0, np.float16)
    points[:, 2] = np.concatenate([np.linspace(0, 1, 30), np.linspace(50, 51, 30)])
    assert groups(points).cluster.tolist() in ([0] * 30 + [1] * 30, [1] * 30 + [0] * 30)


def test_features_that_are_not_finite_are_outliers_without_a_group() -> None:
    points = blobs([40, 60], 0)
    points[3] = np.nan
    found = groups(points)
    assert (found.cluster[3], found.membership[3], found.outlier[3]) == (-1, 0, 1)
    assert np.array_equal(np.delete(found.outlier, 3), groups(np.delete(points, 3, axis=0)).outlier)


def test_a_class_beyond_the_square_goes_with_a_sample() -> None:
    points = blobs([300, 500], 100)
    exact, sampled = groups(points), groups(points, square=400)
    assert adjusted_rand_score(exact.cluster, sampled.cluster) > 0.85
    assert np.corrcoef(exact.outlier, sampled.outlier)[0, 1] > 0.8
    assert sampled.membership.min() >= 0
    assert sampled.membership.max() <= 1
    assert sampled.outlier.min() >= 0
    assert sampled.outlier.max() <= 1


def test_twice_as_far_away_is_half_as_dense() -> None:
    """The sample: a chain in steps of 1, of which the neighbour next to the last is 2 away. The others lie beyond."""
    from pipeline.evidence.hdbscan import _with_the_others  # noqa: PLC0415 - the rule itself

    points = np.array([[0.0], [1.0], [1.5], [5.0]], np.float32)
    found = (np.array([0, 1]), np.array([1.0, 0.8]), np.array([0.0, 0.25]))
    label, strength, outlier = _with_the_others(points, found, np.array([2.0, 2.0]))
    assert label.tolist() == [0, 1, 1, 1]
    assert strength.tolist() == [1.0, 0.8, 0.8, 0.4]  # .5 from its nearest: as dense; 4 from it: half as dense as 2
    assert outlier.tolist() == [0.0, 0.25, 0.25, 1 - 0.75 / 2]


def test_refusals() -> None:
    for name, least in (("min_cluster_size", 2), ("min_samples", 1), ("square", 2)):
        with pytest.raises(ValueError, match=rf"hdbscan\.{name} must be at least {least}, not {least - 1}"):
            HdbscanSettings(**{name: least - 1})
