"""Vectors in lists by cell, asked a few at a time: by hand, and against a brute-force double loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evidence import cells
from pipeline.evidence import lists as inverted
from pipeline.evidence.cells import Cells, cell_count, centres_of_groups, group_count, train_centres
from pipeline.evidence.lists import Asking, Lists, Near, Products, ask, nearest_listed
from pipeline.evidence.neighbours import unit_rows


def units(seed: int, rows: int, dimensions: int = 6) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(rows, dimensions)))[0]


def lists_of(vectors: np.ndarray, starts: list[int], most: int = 1000, together: int = 1) -> Lists:
    return Lists(np.array(starts), lambda at: vectors[at], most, together)


def asking(queries: np.ndarray, lists: list[list[int]], most: int = 1000, reach: int | None = None) -> Asking:
    told = np.array(lists, np.int32)
    return Asking(queries, Near(told, np.full(len(told), told.shape[1] if reach is None else reach, np.int32)), most)


def asked(told: Products) -> dict[int, list[int]]:
    """Positions that each query asked for, in the order of its products."""
    found = {}
    for rows, values in told.chunks():
        columns = np.broadcast_to(np.arange(values.shape[1]), values.shape)
        positions = told.positions(rows, columns)
        for row, own, value in zip(rows.tolist(), positions, values, strict=True):
            found[row] = own[value > -np.inf].tolist()
    return found


def test_each_query_is_multiplied_with_what_lies_in_its_lists() -> None:
    vectors, queries = units(0, 7), units(1, 3)
    source = lists_of(vectors, [0, 2, 2, 5, 7])  # the second list is empty
    told = ask(asking(queries, [[3, 0], [2, -1], [1, 3]]), source)
    assert asked(told) == {0: [0, 1, 5, 6], 1: [2, 3, 4], 2: [5, 6]}
    for rows, values in told.chunks():
        for row, value in zip(rows.tolist(), values, strict=True):
            expected = vectors[asked(told)[row]] @ queries[row]
            assert value[: len(expected)] == pytest.approx(expected, abs=1e-6)
            assert (value[len(expected) :] == -np.inf).all()


def test_of_a_long_list_those_evenly_spread_over_it_are_asked_for() -> None:
    told = ask(asking(units(1, 1), [[0, 1]]), lists_of(units(0, 10), [0, 7, 10], most=3))
    assert asked(told) == {0: [0, 3, 6, 7, 8, 9]}


def test_no_query_asks_for_more_than_it_may_but_for_its_first_list() -> None:
    source = lists_of(units(0, 9), [0, 4, 6, 9])
    assert asked(ask(asking(units(1, 1), [[1, 2, 0]], most=5), source)) == {0: [4, 5, 6, 7, 8]}
    assert asked(ask(asking(units(1, 1), [[0, 1, 2]], most=1), source)) == {0: [0, 1, 2, 3]}


def test_lists_out_of_reach_are_asked_for_until_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    source = lists_of(units(0, 9), [0, 4, 6, 9])
    monkeypatch.setattr(inverted, "LEAST", 3)
    assert asked(ask(asking(units(1, 1), [[1, 2, 0]], reach=1), source)) == {0: [4, 5, 6, 7, 8]}
    monkeypatch.setattr(inverted, "LEAST", 2)
    assert asked(ask(asking(units(1, 1), [[1, 2, 0]], reach=1), source)) == {0: [4, 5]}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 6), st.integers(1, 40))
def test_lists_read_together_are_those_read_alone(sizes: list[int], most: int, together: int) -> None:
    points, starts = units(7, sum(sizes)), np.cumsum([0, *sizes]).tolist()
    numbers = np.flatnonzero(np.arange(len(sizes)) % 3 < 2)
    source = lists_of(points, starts, most, together)
    for number, own in zip(numbers.tolist(), source.read(numbers), strict=True):
        step = max(1, -(-sizes[number] // most))
        assert np.array_equal(own, points[starts[number] : starts[number + 1] : step])


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 9), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_the_nearest_of_what_is_asked_for_are_those_of_the_double_loop(
    vectors: int, lists: int, k: int, together: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points, queries = units(seed, vectors, 4), units(seed + 1, 5, 4)
    starts = np.sort(rng.integers(0, vectors + 1, lists + 1))
    starts[0], starts[-1] = 0, vectors
    own, group = rng.integers(0, 9, 5), rng.integers(0, 9, vectors)
    wanted = np.stack([rng.permutation(lists)[: min(3, lists)] for _ in queries]).tolist()
    source = lists_of(points, starts.tolist(), together=together)
    found, cosine = nearest_listed(asking(queries, wanted), source, own, lambda at: group[at], k)
    for i, query in enumerate(queries.astype(np.float64)):
        places = [p for one in sorted(wanted[i]) for p in range(starts[one], starts[one + 1]) if group[p] != own[i]]
        best = sorted((-float(query @ points[p]), p) for p in places)[:k]
        assert found[i].tolist() == [p for _, p in best] + [-1] * (k - len(best))
        assert cosine[i, : len(best)] == pytest.approx([-value for value, _ in best], abs=1e-6)
        assert np.isnan(cosine[i, len(best) :]).all()


def test_who_asks_for_empty_lists_alone_has_no_neighbours() -> None:
    source = lists_of(units(0, 3), [0, 0, 3])
    found, cosine = nearest_listed(asking(units(1, 2), [[0], [0]]), source, np.arange(2), lambda at: at + 9, 2)
    assert found.tolist() == [[-1, -1], [-1, -1]]
    assert np.isnan(cosine).all()


def test_a_crowd_of_doubles_hides_nobody_in_a_list() -> None:
    points = units(3, 200, 4)
    points[:150] = points[0]
    group = np.arange(200)
    group[:150] = 0
    source = lists_of(points, [0, 120, 200])
    found, _ = nearest_listed(asking(points[:1], [[0, 1]]), source, group[:1], lambda at: group[at], 9)
    others = np.arange(150, 200)
    assert found[0].tolist() == others[np.argsort(-(points[150:] @ points[0]), kind="stable")][:9].tolist()


def test_the_cells_of_a_row_are_those_with_the_nearest_centres() -> None:
    points = units(1, 400)
    groups, centres = train_centres(points, 3, seed=0), train_centres(points, 9, seed=0)
    assert centres.shape == (9, 6)
    assert np.linalg.norm(centres, axis=1) == pytest.approx(np.ones(9), abs=1e-5)
    told = Cells(groups, np.array([0, 2, 2, 9]), centres).nearest(points, 4)
    cosine = points.astype(np.float64) @ centres.T
    expected = np.argsort(-cosine, axis=1, kind="stable")[:, :4]
    assert np.array_equal(told.lists, expected)  # all groups are asked for
    distance = np.sqrt(2 - 2 * np.take_along_axis(cosine, expected, axis=1))
    assert told.reach.tolist() == (distance <= 1.6 * distance[:, :1]).sum(axis=1).tolist()


def test_cells_that_no_group_of_a_row_holds_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "GROUPS_ASKED", 1)
    monkeypatch.setattr(inverted, "LEAST", 1)
    axes = np.eye(3, dtype=np.float32)
    told = Cells(axes[:2], np.array([0, 1, 3]), axes[[0, 1, 2]]).nearest(axes[:2], 3)
    assert told.lists.tolist() == [[0, -1, -1], [1, 2, -1]]
    assert told.reach.tolist() == [1, 1]


def test_as_many_cells_as_the_images_fill() -> None:
    assert [cell_count(n) for n in (0, 1, 128, 129, 16_000_000)] == [1, 1, 1, 2, 125_000]
    assert [group_count(n) for n in (1, 10, 100, 125_000)] == [1, 10, 40, 1414]


def test_a_group_gets_centres_by_its_part_of_the_sample() -> None:
    assert centres_of_groups(np.array([60, 0, 40]), 10).tolist() == [6, 1, 4]
    assert centres_of_groups(np.array([1]), 5000).tolist() == [1024]
    assert centres_of_groups(np.array([0, 0]), 5).tolist() == [1, 1]
