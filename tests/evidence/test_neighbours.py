"""Neighbours and what their labels say: by hand, and against a brute-force double loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evidence.neighbours import (
    NeighbourSettings,
    agreement,
    most_similar,
    nearest,
    unit_rows,
)


def brute_force(units: np.ndarray, group: np.ndarray, k: int) -> tuple[list[list[int]], list[list[float]]]:
    """The definition, one pair at a time in float64."""
    found, cosines = [], []
    for i, own in enumerate(units.astype(np.float64)):
        pairs = [(-float(own @ other), j) for j, other in enumerate(units.astype(np.float64)) if group[j] != group[i]]
        best = sorted(pairs)[:k]
        found.append([j for _, j in best])
        cosines.append([-value for value, _ in best])
    return found, cosines


def test_the_nearest_are_those_of_the_double_loop() -> None:
    rng = np.random.default_rng(0)
    units, known = unit_rows(rng.normal(size=(60, 8)).astype(np.float16))
    group = rng.integers(0, 40, 60)
    found, cosine = nearest(units, units, (group, group), 7)
    expected, values = brute_force(units, group, 7)
    assert known.all()
    assert found.tolist() == expected
    assert cosine == pytest.approx(np.array(values), abs=1e-6)


def test_doubles_are_left_out_and_what_is_missing_is_said() -> None:
    units, _ = unit_rows(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]], np.float16))
    group = np.array([5, 5, 9])
    found, cosine = nearest(units, units, (group, group), 2)
    assert found.tolist() == [[2, -1], [2, -1], [0, 1]]  # equal ones by position
    assert cosine[:, 0].tolist() == [0, 0, 0]
    assert np.isnan(cosine[:2, 1]).all()


@pytest.mark.parametrize(("copies", "candidates"), [(60, 200), (199, 200), (3, 2500)])
def test_a_crowd_of_doubles_hides_nobody(copies: int, candidates: int) -> None:
    rng = np.random.default_rng(copies)
    raw = rng.normal(size=(candidates, 4)).astype(np.float16)
    raw[:copies] = raw[0]
    units, _ = unit_rows(raw)
    group = np.arange(candidates)
    group[:copies] = 0
    queries = np.array([0, 1, copies - 1, candidates - 1])
    found, cosine = nearest(units[queries], units, (group[queries], group), 9)
    for row, own in enumerate(queries.tolist()):
        others = np.flatnonzero(group != group[own])
        values = units[others].astype(np.float64) @ units[own].astype(np.float64)
        expected = others[np.lexsort((others, -values))][:9]
        assert cosine[row, : len(expected)] == pytest.approx(np.sort(values)[::-1][:9], abs=1e-6)
        assert set(group[found[row][found[row] >= 0]].tolist()) == set(group[expected].tolist())
        assert (found[row] >= 0).sum() == len(expected)


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_any_number_of_neighbours_among_any_number_of_candidates(k: int, candidates: int, seed: int) -> None:
    units, _ = unit_rows(np.random.default_rng(seed).normal(size=(candidates, 5)))
    group = np.arange(candidates)
    found, _ = nearest(units[:3], units, (group[:3], group), k)
    cosine = units.astype(np.float64) @ units.T.astype(np.float64)
    expected = [sorted(set(range(candidates)) - {i}, key=lambda j: -cosine[i, j])[:k] for i in range(len(found))]
    assert found.tolist() == [(own + [-1] * k)[:k] for own in expected]


def test_rows_without_a_direction() -> None:
    units, known = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]], np.float16))
    assert known.tolist() == [True, False, False, False]
    assert units.tolist() == [pytest.approx([0.6, 0.8]), [0, 0], [0, 0], [0, 0]]


def test_agreement_by_hand() -> None:
    neighbours = np.array([[1, 1, 2, 0], [0, 2, -1, -1], [3, 4, 3, 4], [-1, -1, -1, -1]])
    cosine = np.array(
        [[0.9, 0.8, 0.7, 0.6], [0.5, 0.6, np.nan, np.nan], [0.9, 0.2, 0.1, 0.9], [np.nan] * 4], np.float32
    )
    said = agreement(np.array([1, 0, 3, 2]), neighbours, cosine)
    assert said.agreement[:3].tolist() == [0.5, 0.5, 0.5]
    assert said.neighbour_class.tolist() == [1, 2, 4, -1]  # one vote each: the nearer; two each: the larger sum
    assert said.neighbour_share[:3].tolist() == [0.5, 0.5, 0.5]
    assert said.similarity[:2] == pytest.approx([0.75, 0.55])
    assert np.isnan([said.agreement[3], said.neighbour_share[3], said.similarity[3]]).all()


def test_equal_votes_and_sums_go_to_the_lower_class() -> None:
    said = agreement(np.array([0]), np.array([[7, 3]]), np.array([[0.5, 0.5]], np.float32))
    assert said.neighbour_class.tolist() == [3]


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_shares_are_shares_whatever_the_neighbours(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    neighbours = np.sort(rng.integers(-1, 4, (n, k)), axis=1)[:, ::-1]
    cosine = np.where(neighbours >= 0, rng.random((n, k), np.float32), np.nan).astype(np.float32)
    label = rng.integers(0, 4, n)
    said = agreement(label, neighbours, cosine)
    for i in range(n):
        own = [c for c in neighbours[i].tolist() if c >= 0]
        if own:
            assert said.agreement[i] == pytest.approx(own.count(label[i]) / len(own))
            assert own.count(said.neighbour_class[i]) == max(map(own.count, own))
            assert said.neighbour_share[i] == pytest.approx(own.count(said.neighbour_class[i]) / len(own))
        else:
            assert said.neighbour_class[i] == -1


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"neighbours\.k must be at least 1, not 0"):
        NeighbourSettings(k=0)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_device_finds_what_the_processor_finds(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng = np.random.default_rng(3)
    queries, candidates = (unit_rows(rng.normal(size=(n, 24)))[0] for n in (40, 700))
    value, at = most_similar(queries, candidates, 9, device)
    expected = np.argsort(-(queries.astype(np.float64) @ candidates.T), axis=1)[:, :9]
    assert np.array_equal(np.sort(at, axis=1), np.sort(expected, axis=1))
    assert np.take_along_axis(queries @ candidates.T, at, axis=1) == pytest.approx(value, abs=1e-6)
    plain, where = most_similar(queries, candidates, 9)
    assert np.array_equal(np.sort(where, axis=1), np.sort(at, axis=1))
    assert np.sort(plain, axis=1) == pytest.approx(np.sort(value, axis=1), abs=1e-6)
