"""Per-class k-means against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from pipeline.evidence.kmeans import KMeansSettings, cluster_class


def blobs(sizes: list[int], dimensions: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Well separated groups of those sizes, shuffled."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(label)
    centres = rng.normal(size=(len(sizes), dimensions)) * 20
    return (centres[label] + rng.normal(size=(len(label), dimensions))).astype(np.float32), label


def test_it_finds_what_scikit_learn_finds_on_separated_groups() -> None:
    points, label = blobs([120, 60, 20])
    found = cluster_class(points, KMeansSettings(clusters=3))
    peer = KMeans(3, n_init=5, random_state=0).fit(points)
    assert adjusted_rand_score(found.cluster, label) == 1.0
    assert found.distance.sum() == pytest.approx(peer.inertia_, rel=1e-4)
    # largest first, and the share is images of the cluster / images of the class
    assert np.array_equal(found.cluster, label)
    assert np.unique(found.share).tolist() == pytest.approx([0.1, 0.3, 0.6])


def test_three_images_by_hand() -> None:
    points = np.array([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0]], np.float16)
    found = cluster_class(points, KMeansSettings(clusters=2))
    assert found.cluster.tolist() == [0, 0, 1]
    assert found.distance.tolist() == pytest.approx([1.0, 1.0, 0.0])
    assert found.share.tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_classes_of_no_one_or_two_images(n: int) -> None:
    found = cluster_class(np.eye(2, 4, dtype=np.float32)[:n], KMeansSettings())
    assert found.cluster.tolist() == list(range(n))
    assert found.distance.tolist() == [0.0] * n
    assert found.share.tolist() == pytest.approx([1 / max(n, 1)] * n)


def test_identical_images_are_one_cluster() -> None:
    points = np.repeat(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), [5, 3], axis=0)
    points[0, 0] = 1.0
    found = cluster_class(points, KMeansSettings(clusters=6))
    assert found.cluster.tolist() == [0] * 5 + [1] * 3
    assert found.distance.max() == 0


def test_features_that_are_not_finite_get_no_cluster() -> None:
    points = np.array([[0.0, 0.0], [np.nan, 1.0], [0.0, 1.0], [np.inf, 0.0]], np.float32)
    found = cluster_class(points, KMeansSettings(clusters=1))
    assert found.cluster.tolist() == [0, -1, 0, -1]
    assert found.share.tolist() == [0.5, 0.0, 0.5, 0.0]
    assert found.distance.tolist() == [0.25, np.inf, 0.25, np.inf]


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-3, 3)),
    st.integers(1, 5),
)
def test_every_cluster_number_is_used_and_sizes_fall(points: np.ndarray, k: int) -> None:
    found = cluster_class(points, KMeansSettings(clusters=k))
    sizes = np.bincount(found.cluster)
    assert len(sizes) <= min(k, len(np.unique(points, axis=0)))
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()
    assert found.share * len(points) == pytest.approx(sizes[found.cluster])
    for row in np.unique(points, axis=0):  # equal images share a cluster
        assert len(np.unique(found.cluster[(points == row).all(axis=1)])) == 1


def test_the_same_seed_gives_the_same_clusters() -> None:
    points, _ = blobs([40, 40, 40], seed=3)
    one, two = (cluster_class(points, KMeansSettings(clusters=7, seed=5)) for _ in range(2))
    assert np.array_equal(one.cluster, two.cluster)
    assert np.array_equal(one.distance, two.distance)


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"kmeans\.clusters must be at least 1, not 0"):
        KMeansSettings(clusters=0)
    with pytest.raises(ValueError, match=r"must be \(images, dimensions\)"):
        cluster_class(np.zeros(3, np.float32), KMeansSettings())
