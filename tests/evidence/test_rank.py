"""Search results of several queries and sources, merged by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evidence.rank import RankSettings, merged_position, top_ranked


def test_two_queries_interleave() -> None:
    """Class 0: query 7 found 50 and 51; query 3 found 60, 61 and, by another source, 40. Class 1: one rank."""
    found = merged_position(
        class_index=np.array([0, 0, 0, 0, 0, 1, 1]),
        rank=np.array([1, 2, 1, 3, 1, 0, 9]),
        query_id=np.array([7, 7, 3, 3, 3, 1, 1]),
        image_id=np.array([50, 51, 60, 61, 40, 70, 71]),
    )
    # first results: 40 and 60 (query 3, by id), then 50 (query 7); second: 51; third: 61
    assert found.tolist() == [3, 4, 2, 5, 1, 0, 1]
    assert found.dtype == np.int32


RESULTS = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 3), st.integers(0, 2)), max_size=20)


@given(RESULTS, st.randoms())
def test_positions_are_those_of_a_sort_class_by_class(results: list[tuple[int, int, int]], random: object) -> None:
    rows = [(*result, image_id) for image_id, result in enumerate(results)]
    random.shuffle(rows)  # type: ignore[attr-defined]
    label, rank, query, image_id = np.array(rows, np.int64).reshape(-1, 4).T
    found = dict(zip(image_id.tolist(), merged_position(label, rank, query, image_id).tolist(), strict=True))
    for k in range(3):
        ranked = sorted((r, q, i) for c, r, q, i in rows if c == k and r > 0)
        assert [found[i] for *_, i in ranked] == list(range(1, len(ranked) + 1))
    assert all(found[i] == 0 for _, r, _, i in rows if r <= 0)


def test_top_ranked_never_without_a_rank() -> None:
    assert top_ranked(np.array([0, 1, 2, 3]), RankSettings(top=2)).tolist() == [False, True, True, False]


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"rank\.top must be at least 1, not 0"):
        RankSettings(top=0)
    with pytest.raises(ValueError, match="of one length"):
        merged_position(np.zeros(2, int), np.zeros(2, int), np.zeros(2, int), np.zeros(1, int))
