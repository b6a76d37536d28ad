import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.choice import extremes, few_of_each, largest_groups, lowest, parts, positions_of, sample

NAN = float("nan")


def test_ends_by_hand() -> None:
    weight, ids = np.array([1.0, 3.0, 1.0, 2.0, 3.0]), np.array([50, 40, 30, 20, 10])
    heavy, light = extremes(weight, ids, 2)
    assert heavy.tolist() == [4, 1]  # equal weights by image id
    assert light.tolist() == [0, 2]
    heavy, light = extremes(weight, ids, 9)
    assert heavy.tolist() == [4, 1, 3]
    assert light.tolist() == [0, 2]


def test_a_picture_listed_often_is_shown_once_and_a_weight_not_known_never() -> None:
    weight, ids = np.array([0.1, 0.1, 0.1, 0.2, 0.9, NAN, 0.3]), np.arange(7)
    heavy, light = extremes(weight, ids, 9, np.array([7, 7, 7, 3, 4, 5, 3]))
    assert heavy.tolist() == [4, 6]  # of the pictures 4, 3 and 7; the heaviest listing stands for its picture
    assert light.tolist() == [0]
    assert [own.tolist() for own in extremes(np.full(2, NAN), np.arange(2), 3)] == [[], []]


def test_few_of_each_by_hand() -> None:
    assert few_of_each(np.array([9, 4, 7, 1, 3]), np.array([2, 0, 2, 2, 0]), 2).tolist() == [9, 4, 7, 3]
    assert few_of_each(np.array([9, 4]), np.array([2, 2]), 1).tolist() == [9]


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 12))
def test_no_image_is_at_both_ends(weights: list[int], count: int) -> None:
    heavy, light = extremes(np.array(weights, np.float64), np.arange(len(weights), dtype=np.int64), count)
    assert not set(heavy.tolist()) & set(light.tolist())
    assert (len(heavy), len(light)) == (min(count, (len(weights) + 1) // 2), min(count, len(weights) // 2))
    if len(heavy) and len(light):
        assert min(weights[k] for k in heavy) >= max(weights[k] for k in light)


def test_a_sample_is_the_smallest_ids() -> None:
    ids = np.array([9, 1, 5, 3], np.int64)
    assert sample(np.array([0, 2, 3]), ids, 2).tolist() == [3, 2]


def test_the_lowest_known_figures_by_hand() -> None:
    values, ids = np.array([0.5, NAN, 0.1, 0.5, 0.1]), np.array([5, 4, 3, 2, 1])
    assert lowest(values, ids, 9).tolist() == [4, 2, 3, 0]  # equal ones by image id; the unknown one is left out
    assert lowest(values, ids, 2).tolist() == [4, 2]
    assert lowest(-values, ids, 1).tolist() == [3]
    then = np.array([0.2, 0.0, 0.1, NAN, 0.3])
    assert lowest(values, ids, 9, then).tolist() == [2, 4, 0, 3]  # an unknown second figure comes last of its equals
    assert lowest(np.array([NAN]), np.array([1]), 3).tolist() == []


@given(st.permutations(range(8)), st.lists(st.sampled_from([0.0, 0.5, NAN]), min_size=8, max_size=8))
def test_what_is_shown_does_not_depend_on_the_order_of_rows(order: list[int], figures: list[float]) -> None:
    ids, values = np.arange(8) * 7 % 11, np.array(figures)
    mixed = np.array(order)
    assert ids[lowest(values, ids, 3)].tolist() == ids[mixed][lowest(values[mixed], ids[mixed], 3)].tolist()


def test_parts_come_largest_first() -> None:
    number = np.array([2, 0, 2, -1, 0, 7, 2])
    found = parts(number, 2)
    assert [(k, rows.tolist()) for k, rows in found] == [(2, [0, 2, 6]), (0, [1, 4])]
    assert [k for k, _ in parts(np.array([3, 1]), 5)] == [1, 3]  # equally large: by number
    assert parts(np.array([-1]), 5) == []


def test_largest_groups_that_hold_a_chosen_row() -> None:
    group = np.array([9, 4, 9, 4, 9, 6, 6])
    chosen = np.array([False, True, False, False, False, False, True])
    assert [rows.tolist() for rows in largest_groups(group, chosen, 5)] == [[1, 3], [5, 6]]
    assert [rows.tolist() for rows in largest_groups(group, np.ones(7, np.bool_), 1)] == [[0, 2, 4]]
    assert largest_groups(group, np.zeros(7, np.bool_), 5) == []


def test_positions_of_images_that_are_there_and_that_are_not() -> None:
    ids = np.array([40, 10, 30])
    assert positions_of(np.array([30, 7, 40, 30, 99]), ids).tolist() == [2, -1, 0, 2, -1]
    assert positions_of(np.array([1]), np.zeros(0, np.int64)).tolist() == [-1]
    assert positions_of(np.zeros(0, np.int64), ids).tolist() == []
