"""Sorting with bounded memory: the order of a stable sort, equal keys together, crowds alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import arrays
from pipeline.storage import buckets as module
from pipeline.storage.buckets import Spill, in_buckets, shared_out


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKET_ROWS", 4)
    monkeypatch.setattr(arrays, "BLOCK_ROWS", 3)


@given(st.lists(st.integers(-5, 5), max_size=60))
def test_sorting_each_bucket_sorts_all(drawn: list[int]) -> None:
    key = np.array(drawn, np.int64)
    order = [int(row) for own in in_buckets(key) for row in own[np.argsort(key[own], kind="stable")]]
    assert order == np.argsort(key, kind="stable").tolist()


@given(st.lists(st.integers(0, 9), max_size=60))
def test_equal_keys_share_a_bucket(drawn: list[int]) -> None:
    key = np.array(drawn, np.uint64)
    seen: set[int] = set()
    for own in in_buckets(key):
        assert not seen & set(key[own].tolist())
        seen |= set(key[own].tolist())


def test_a_bucket_holds_about_as_many_as_asked_and_a_crowd_is_alone() -> None:
    key = np.random.default_rng(0).permutation(1000).astype(np.float64)
    assert max(len(own) for own in in_buckets(key)) <= 5
    key[:300] = 4.5
    sizes = {frozenset(key[own].tolist()): len(own) for own in in_buckets(key)}
    assert sizes[frozenset([4.5])] == 300


def test_no_row_has_no_bucket() -> None:
    assert list(in_buckets(np.zeros(0))) == []


def test_what_is_spilt_is_all_there() -> None:
    pairs = Spill((2,))
    assert pairs.array().shape == (0, 2)
    pairs.add(np.array([[1, 2], [3, 4]]))
    pairs.add(np.zeros((0, 2), np.int64))
    pairs.add(np.array([[5, 6], [7, 8]])[:, ::-1])
    assert pairs.array().tolist() == [[1, 2], [3, 4], [6, 5], [8, 7]]


def test_rows_that_belong_to_no_bucket_are_left_out() -> None:
    own = np.array([2, -1, 0, 2, -1, 0, 0])
    found = shared_out(len(own), 4, lambda block: own[block])
    assert found.rows.tolist() == [2, 5, 6, 0, 3]
    assert found.starts.tolist() == [0, 3, 3, 5, 5]
