"""The spanning tree of mutual reachability by hand, and against scipy's single linkage of all pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import cdist, squareform
from sklearn.cluster._hierarchical_fast import single_linkage_label

from pipeline.evidence.reachability import spanning_tree

LINE = np.array([[0], [1], [3], [7]], np.float32)


def mutual_reachability(points: np.ndarray, min_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """By the definition: all pairs (n, n), and core distances (n,)."""
    distance = cdist(points.astype(np.float64), points.astype(np.float64))
    core = np.sort(distance, axis=1)[:, min(min_samples, len(points) - 1)]
    pairs = np.maximum(distance, np.maximum(core, core[:, None]))
    np.fill_diagonal(pairs, 0)
    return pairs, core


def test_a_line_by_hand() -> None:
    edges, core = spanning_tree(LINE, 1)
    assert core == pytest.approx([1, 1, 2, 4])
    assert edges.ravel() == pytest.approx([0, 1, 1, 1, 2, 2, 2, 3, 4])


def test_a_line_by_hand_of_which_two_neighbours_make_the_core() -> None:
    """0 is 3 from its second neighbour, and so 3 from both of them; equal edges stay in the order they were found."""
    edges, core = spanning_tree(LINE, 2)
    assert core == pytest.approx([3, 2, 3, 6])
    assert edges.ravel() == pytest.approx([0, 1, 3, 0, 2, 3, 1, 3, 6])


def test_the_core_of_few_points_reaches_the_farthest() -> None:
    edges, core = spanning_tree(LINE, 40)
    assert core == pytest.approx([7, 6, 4, 7])
    assert edges[:, 2] == pytest.approx([6, 7, 7])


@given(
    arrays.arrays(np.int8, st.tuples(st.integers(2, 150), st.integers(1, 3)), elements=st.integers(-9, 9)),
    st.integers(1, 7),
)
def test_joins_what_single_linkage_joins_at_the_same_distances(grid: np.ndarray, min_samples: int) -> None:
    """On a grid, where most distances have equals: trees may differ then, not the distance at which two points join."""
    points = np.unique(grid, axis=0).astype(np.float32)
    if len(points) < 2:
        return
    edges, core = spanning_tree(points, min_samples)
    pairs, expected_core = mutual_reachability(points, min_samples)
    assert core == pytest.approx(expected_core)
    assert edges[:, 2] == pytest.approx(pairs[edges[:, 0].astype(int), edges[:, 1].astype(int)])
    assert (np.diff(edges[:, 2]) >= 0).all()
    joined = cophenet(single_linkage_label(edges))
    assert joined == pytest.approx(cophenet(linkage(squareform(pairs), "single")))


def test_close_points_far_from_the_origin_keep_their_distances() -> None:
    """Differences of squares of thousands, of which the distances are thousandths."""
    points = (np.random.default_rng(0).normal(size=(200, 16)) / 256 + 1000).astype(np.float32)
    edges, core = spanning_tree(points, 5)
    pairs, expected_core = mutual_reachability(points, 5)
    assert core == pytest.approx(expected_core, rel=1e-9)
    assert edges[:, 2] == pytest.approx(np.sort(linkage(squareform(pairs), "single")[:, 2]), rel=1e-9)


def test_a_class_does_not_see_what_the_last_one_left() -> None:
    small, large = LINE, np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    before = spanning_tree(small, 2)
    spanning_tree(large, 2)
    after = spanning_tree(small, 2)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
