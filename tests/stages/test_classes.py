"""The order of every evidence table: by class, within a class as the crawls list them, whatever the blocks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages import classes
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.stages.population import Population
from pipeline.storage import arrays
from tests.stages.tiny_store import two_crawls


def population(class_index: list[int], usable: list[bool], split: list[int]) -> Population:
    n = len(class_index)
    return Population(
        image_id=np.arange(100, 100 + n),
        class_index=np.array(class_index, np.int32),
        split=np.array(split, np.int8),
        usable=np.array(usable),
        defect=np.where(usable, -1, 0).astype(np.int8),
        shard=np.zeros(n, np.int32),
        row=np.arange(n, dtype=np.int32),
    )


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_a_class_is_one_slice_in_the_listings_order(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "BLOCK_ROWS", block)
    listed = population([2, 0, 2, 0, 0, 2, 2], [True, True, False, True, True, True, True], [0, 0, 0, 0, 1, 0, 0])
    order = ClassOrder.of(listed, 4)
    assert order.members.tolist() == [1, 3, 0, 5, 6]
    assert order.starts.tolist() == [0, 2, 2, 5, 5]
    assert order.image_id.tolist() == [101, 103, 100, 105, 106]
    assert order.class_index.tolist() == [0, 0, 2, 2, 2]
    assert order.rows(2) == slice(2, 5)
    assert len(order) == 5


def test_it_is_the_stable_sort_of_the_trainable_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "BLOCK_ROWS", 37)
    rng = np.random.default_rng(0)
    label, usable, split = rng.integers(0, 9, 500), rng.random(500) < 0.8, rng.integers(0, 3, 500)
    order = ClassOrder.of(population(label.tolist(), usable.tolist(), split.tolist()), 9)
    trainable = np.flatnonzero(usable & (split == 0))
    assert order.members.tolist() == trainable[np.argsort(label[trainable], kind="stable")].tolist()


def test_crawls_follow_one_another_within_a_class(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    order = ClassOrder.read(
        *([store.current(stage, crawl) for crawl in ("a", "bb")] for stage in ("listing", "images"))
    )
    assert order.image_id.tolist() == [100, 101, 103, 200, 104, 201]


def test_no_crawl_is_an_empty_order() -> None:
    order = ClassOrder.of(population([], [], []), 2)
    assert (len(order), order.starts.tolist(), order.image_id.tolist()) == (0, [0, 0, 0], [])


def test_stretches_are_halves_of_halves_of_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 10)
    assert stretches(np.array([4, 4, 4, 30, 0, 1])) == [range(2), range(2, 3), range(3, 4), range(4, 6)]
    assert stretches(np.array([5, 5, 0, 0, 0, 0, 11])) == [range(6), range(6, 7)]  # those without images go with others
    assert stretches(np.array([0, 0, 11, 9])) == [range(3), range(3, 4)]
    assert stretches(np.array([0, 0])) == [range(2)]
    assert stretches(np.array([], np.int64)) == []


@given(st.lists(st.integers(0, 12), max_size=20), st.data())
def test_a_class_that_grows_moves_no_other_stretch(sizes: list[int], data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "SHARD_IMAGES", 10)
        found = stretches(np.array(sizes, np.int64))
        assert [k for run in found for k in run] == list(range(len(sizes)))
        several = [run for run in found if sum(size > 0 for size in sizes[run.start : run.stop]) > 1]
        assert all(sum(sizes[run.start : run.stop]) <= 10 for run in several)
        held = [k for k, size in enumerate(sizes) if size]
        if held:
            grown = data.draw(st.sampled_from(held))
            sizes[grown] += data.draw(st.integers(1, 20))
            assert {run for run in found if grown not in run} <= set(stretches(np.array(sizes, np.int64)))
