"""A known map is found again, what cannot be mapped has a defined outcome, each image gets the right network."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from pipeline.evidence import alignment
from pipeline.evidence.alignment import Moments, align, network_for

Floats = npt.NDArray[np.float64]


def vectors(seed: int, images: int = 50, dimensions: int = 5) -> Floats:
    """Off the origin and not round, as features are."""
    rng = np.random.default_rng(seed)
    return rng.normal(2, 1, (images, dimensions)) * np.arange(1, dimensions + 1)


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10), dimensions=st.integers(2, 6))
def test_a_known_rotation_factor_and_shift_are_found(seed: int, scale: float, dimensions: int) -> None:
    target = vectors(seed, dimensions=dimensions)
    rotation = ortho_group.rvs(dimensions, random_state=seed)
    source = scale * (target @ rotation) + np.arange(dimensions)
    found = align(Moments.of(source, target))
    np.testing.assert_allclose(found.matrix, rotation.T / scale, atol=1e-6 / scale)
    np.testing.assert_allclose(found.apply(source), target, rtol=1e-4, atol=1e-4)
    assert found.agreement == pytest.approx(1)


def test_the_rotation_is_the_orthogonal_procrustes_solution() -> None:
    """As scipy finds it for centred vectors; the factor evens out how far both spread."""
    rng = np.random.default_rng(0)
    source, target = vectors(1), vectors(1)[:, ::-1] + rng.normal(0, 3, (50, 5))
    found = align(Moments.of(source, target))
    x, y = source - source.mean(0), target - target.mean(0)
    rotation, _ = orthogonal_procrustes(x, y)
    np.testing.assert_allclose(found.matrix / np.linalg.norm(y) * np.linalg.norm(x), rotation, atol=1e-9)
    mapped = source @ found.matrix + found.offset
    np.testing.assert_allclose(mapped.mean(0), target.mean(0))
    assert np.linalg.norm(mapped - mapped.mean(0)) == pytest.approx(np.linalg.norm(y))
    assert found.agreement == pytest.approx(np.sum((mapped - mapped.mean(0)) * y) / np.linalg.norm(y) ** 2)
    assert 0.5 < found.agreement < 0.99


def test_sums_of_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a part is converted in pieces; images without a finite vector in either space do not count."""
    source, target = vectors(1), vectors(2)
    whole = Moments.of(source, target)
    monkeypatch.setattr(alignment, "ROWS", 7)
    broken = np.vstack([source[20:], np.full(5, np.nan), np.ones(5)])
    beside = np.vstack([target[20:], np.ones(5), [1, 1, np.inf, 1, 1]])
    parts = Moments.of(source[:20], target[:20]) + Moments.of(broken, beside)
    assert parts.images == 50
    for name in ("source_sum", "target_sum", "cross", "source_square", "target_square"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name))


def test_a_space_laid_over_itself_stays_although_some_dimensions_are_dead() -> None:
    """What a dead dimension is turned into is arbitrary, and nothing lies there."""
    own = vectors(3).astype(np.float16)
    own[:, [0, 3]] = 0
    np.testing.assert_array_equal(align(Moments.of(own, own)).apply(own).astype(np.float16), own)


def test_without_images_nothing_is_moved() -> None:
    found = align(Moments.of(np.empty((0, 3)), np.empty((0, 3))))
    np.testing.assert_array_equal(found.apply(vectors(0, dimensions=3)), vectors(0, dimensions=3).astype(np.float32))


@pytest.mark.parametrize("images", [1, 4])
def test_where_all_vectors_are_the_same_only_the_means_are_matched(images: int) -> None:
    source, target = np.tile([0.1, 0.7, 0.3], (images, 1)), np.tile([5.0, 0.0, 1 / 3], (images, 1))
    for x, y in ((source, target), (source, vectors(0, images, 3)), (vectors(0, images, 3), target)):
        found = align(Moments.of(x, y))
        np.testing.assert_array_equal(found.matrix, np.eye(3))
        np.testing.assert_allclose((x @ found.matrix + found.offset).mean(0), y.mean(0), atol=1e-12)


def test_spaces_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must both be"):
        Moments.of(np.ones((3, 2)), np.ones((3, 4)))


def test_each_image_goes_to_a_network_that_never_saw_it() -> None:
    """Two networks saw 10 and 11, each another one saw 12 alone; nobody saw 20 to 25, dealt out by remainders."""
    image_id = np.array([10, 11, 12, 12, 20, 21, 22, 23, 24, 25])
    seen = np.zeros((3, 10), np.bool_)
    seen[[1, 2], 0] = True  # free: 0
    seen[[0, 1], 1] = True  # free: 2
    seen[0, 2] = True  # free: 1 and 2, and 12 is even
    seen[1, 3] = True  # free: 0 and 2
    assert network_for(image_id, seen).tolist() == [0, 2, 1, 0, 2, 0, 1, 2, 0, 1]
    assert network_for(np.array([-1, -2]), np.zeros((3, 2), np.bool_)).tolist() == [2, 1]
    assert network_for(np.empty(0, np.int64), np.empty((2, 0), np.bool_)).tolist() == []


def test_an_image_that_every_network_saw_is_refused() -> None:
    with pytest.raises(ValueError, match="every network was trained on 1 images, 8 for one"):
        network_for(np.array([7, 8]), np.array([[True, True], [False, True]]))
