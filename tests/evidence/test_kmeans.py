"""Per-class k-means against scikit-learn, faiss and by hand."""

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from pipeline.evidence.kmeans import Clusters, KMeansSettings, cluster_class, largest_first


def blobs(sizes: list[int], dimensions: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Well separated groups of those sizes, shuffled."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(label)
    centres = rng.normal(size=(len(sizes), dimensions)) * 20
    return (centres[label] + rng.normal(size=(len(label), dimensions))).astype(np.float32), label


def clustered(points: np.ndarray, position: object = None, **settings: int) -> Clusters:
    ranked = np.zeros(len(points), np.int32) if position is None else np.asarray(position)
    return cluster_class(points, ranked, KMeansSettings(**settings))


def test_it_finds_what_scikit_learn_finds_on_separated_groups() -> None:
    points, label = blobs([120, 60, 20])
    found = clustered(points, clusters=3)
    peer = KMeans(3, n_init=5, random_state=0).fit(points)
    assert adjusted_rand_score(found.cluster, label) == 1.0
    assert found.distance.sum() == pytest.approx(peer.inertia_, rel=1e-5)
    # largest first, and the share is images of the cluster / images of the class
    assert np.array_equal(found.cluster, label)
    assert np.unique(found.share).tolist() == pytest.approx([0.1, 0.3, 0.6])
    assert found.compactness == pytest.approx(np.array([found.distance[label == k].mean() for k in range(3)])[label])


def test_it_finds_what_faiss_finds_on_separated_groups() -> None:
    points, _ = blobs([300, 200, 100, 50], dimensions=80, seed=1)  # more dimensions than the sketch has
    found = clustered(points, clusters=4)
    peer = faiss.Kmeans(80, 4, niter=20, nredo=5, seed=1, min_points_per_centroid=1)
    peer.train(points)
    _, nearest = peer.index.search(points, 1)
    assert adjusted_rand_score(found.cluster, nearest[:, 0]) == 1.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_tight_as_scikit_learn_where_groups_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.maximum(rng.normal(size=(8, 100))[rng.integers(8, size=600)] + rng.normal(size=(600, 100)), 0)
    found = clustered(points.astype(np.float16))
    assert found.distance.sum() <= 1.02 * KMeans(8, n_init=5, random_state=0).fit(points).inertia_


def test_three_images_by_hand() -> None:
    points = np.array([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0]], np.float16)
    found = clustered(points, [3, 1, 2], clusters=2, top_images=1)
    assert found.cluster.tolist() == [0, 0, 1]
    assert found.distance.tolist() == [1.0, 1.0, 0.0]
    assert found.share.tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert found.compactness.tolist() == [1.0, 1.0, 0.0]
    assert found.top_distance.tolist() == [1.0, 1.0, 104.0]  # centres (0, 1) and (10, 0), best-ranked (0, 2)


def test_the_best_ranked_images_are_those_with_features_and_a_rank() -> None:
    points = np.array([[0.0], [4.0], [np.nan], [8.0], [100.0]], np.float16)
    found = clustered(points, [2, 3, 1, 4, 0], clusters=1, top_images=2)
    assert found.top_distance[0] == (28 - 2) ** 2  # the mean of all is 28, of the two best 2
    assert np.isnan(found.top_distance[2])
    assert np.isnan(clustered(points).top_distance).all()  # nobody has a rank


@pytest.mark.parametrize("n", [0, 1, 2])
def test_classes_of_no_one_or_two_images(n: int) -> None:
    found = clustered(np.eye(2, 4, dtype=np.float32)[:n], np.arange(n) + 1, top_images=1)
    assert sorted(found.cluster) == list(range(n))
    assert found.distance.tolist() == found.compactness.tolist() == [0.0] * n
    assert found.share.tolist() == pytest.approx([1 / max(n, 1)] * n)
    assert found.top_distance.tolist() == [0.0, 2.0][:n]


def test_identical_images_are_one_cluster() -> None:
    points = np.repeat(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), [5, 3], axis=0)
    found = clustered(points, clusters=6)
    assert found.cluster.tolist() == [0] * 5 + [1] * 3
    assert found.distance.max() == 0


def test_a_cluster_of_many_copies_is_at_no_distance() -> None:
    """Far from the origin, where the difference of two squares is all rounding."""
    points = np.repeat(np.array([[1000.1, 7.0], [3.0, 2000.3], [5.0, 5.0], [5.0, 9.0]], np.float32), 30, axis=0)
    found = clustered(points, clusters=3)
    assert found.distance[:60].max() < 1e-6
    assert found.distance[60:].tolist() == pytest.approx([4.0] * 60)


def test_features_that_are_not_finite_get_no_cluster() -> None:
    points = np.array([[0.0, 0.0], [np.nan, 1.0], [0.0, 1.0], [np.inf, 0.0]], np.float32)
    found = clustered(points, clusters=1)
    assert found.cluster.tolist() == [0, -1, 0, -1]
    assert found.share.tolist() == [0.5, 0.0, 0.5, 0.0]
    assert found.distance.tolist() == [0.25, np.inf, 0.25, np.inf]
    assert np.isnan(found.compactness).tolist() == [False, True, False, True]
    none = clustered(np.full((3, 2), np.nan, np.float16))
    assert none.cluster.tolist() == [-1] * 3
    assert np.isnan(none.top_distance).all()


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-3, 3)),
    st.integers(1, 5),
)
def test_every_cluster_number_is_used_and_sizes_fall(points: np.ndarray, k: int) -> None:
    found = clustered(points, clusters=k)
    sizes = np.bincount(found.cluster)
    assert len(sizes) <= min(k, len(np.unique(points, axis=0)))
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()
    assert found.share * len(points) == pytest.approx(sizes[found.cluster])
    for row in np.unique(points, axis=0):  # equal images share a cluster
        assert len(np.unique(found.cluster[(points == row).all(axis=1)])) == 1


def test_a_permutation_changes_nothing_and_a_seed_something() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(700, 50)).astype(np.float16)
    position = rng.permutation(700) + 1
    order = rng.permutation(700)
    one = clustered(points, position, clusters=7)
    other = clustered(points[order], position[order], clusters=7)
    for name in ("cluster", "share", "distance", "compactness", "top_distance"):
        assert np.array_equal(getattr(one, name)[order], getattr(other, name)), name
    assert not np.array_equal(one.cluster, clustered(points, position, clusters=7, seed=1).cluster)


def test_numbers_by_falling_size() -> None:
    assert largest_first(np.array([3, 0, 3, -5, 0, 3, 1])).tolist() == [0, 1, 0, -1, 1, 0, 2]
    assert largest_first(np.array([-1, -1])).tolist() == [-1, -1]
    assert largest_first(np.array([], np.int64)).tolist() == []


def test_refusals() -> None:
    for name in ("clusters", "starts", "iterations", "refinements", "top_images"):
        with pytest.raises(ValueError, match=rf"kmeans\.{name} must be at least 1, not 0"):
            KMeansSettings(**{name: 0})
    with pytest.raises(ValueError, match=r"must be \(images, dimensions\)"):
        clustered(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"one number an image, \(3,\), not of shape \(2,\)"):
        clustered(np.zeros((3, 2)), [1, 2])
