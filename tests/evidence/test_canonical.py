"""An order of a class's images that does not depend on the order they came in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.evidence.canonical import canonical

SMALL = hnp.arrays(np.float16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-2, 2))


@given(SMALL, st.randoms())
def test_a_permutation_changes_nothing(features: np.ndarray, random: object) -> None:
    order = list(range(len(features)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = canonical(features), canonical(features[order])
    assert np.array_equal(one.points, other.points)
    assert np.array_equal(one.twin, other.twin)
    assert np.array_equal(features[one.rows].astype(np.float32), one.points)


@given(SMALL)
def test_twins_are_the_equal_rows(features: np.ndarray) -> None:
    found = canonical(features)
    assert len(found.distinct) == len(np.unique(features + 0, axis=0))
    assert (found.points == found.points[found.twin]).all()
    assert (np.diff(found.twin) >= 0).all()  # side by side


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_every_column_and_every_bit_tells_rows_apart(kind: type) -> None:
    """Each row differs from zero in one number, by the least that its format can tell, or by its sign."""
    for d in range(1, 10):
        rows: np.ndarray = np.concatenate([np.zeros((1, d)), np.eye(d), -np.eye(d), np.eye(d) * 2.0**-14]).astype(kind)
        rows[0, 0] = -0.0
        found = canonical(np.concatenate([rows, np.zeros((1, d), kind)]))
        assert len(found.distinct) == len(rows)  # -0.0 is 0.0
        assert found.points.dtype == np.float32


def test_a_few_thousand_rows_do_not_collide() -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    assert len(canonical(rows).distinct) == 5000


def test_what_is_not_finite_is_left_out_and_restored() -> None:
    rows = np.array([[np.nan, 1], [1, 2], [1, 2], [np.inf, 0], [-np.inf, 0], [3, 4]], np.float16)
    found = canonical(rows)
    assert found.images == 6
    assert sorted(found.rows) == [1, 2, 5]
    values = np.arange(3) * 10
    restored = found.restore(values, -1)
    assert restored[[0, 3, 4]].tolist() == [-1, -1, -1]
    assert restored[1] == restored[2] == values[found.twin[found.rows.tolist().index(1)]]
    assert restored[5] == values[found.rows.tolist().index(5)]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_no_images_or_no_dimensions(shape: tuple[int, int]) -> None:
    assert len(canonical(np.zeros(shape, np.float16)).distinct) == min(1, shape[0])


def test_half_precision_is_read_to_the_bit() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)][:, None]
    found = canonical(every)
    assert np.array_equal(found.points[:, 0], every[found.rows, 0].astype(np.float32))
    assert len(found.distinct) == len(every) - 1  # but -0.0 and 0.0


def test_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match=r"must be \(images, dimensions\), not of shape \(3,\)"):
        canonical(np.zeros(3, np.float32))
