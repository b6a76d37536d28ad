"""Doubles found beside an earlier comparison are those found from nothing, in crowds too, whatever came and went."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evidence import hash_runs, hashes
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.hash_runs import BesideNew, Bucket
from pipeline.stages import doubles, earlier_doubles
from pipeline.stages.distinct_pictures import Pictures
from pipeline.stages.doubles import same_pictures
from pipeline.stages.earlier_doubles import Compared
from pipeline.storage import arrays
from pipeline.storage.draft import Draft

RULES = DuplicateSettings(hash_distance=2)
AREAS = np.random.default_rng(0).integers(0, 2**64, 5, np.uint64)  # far from each other


@dataclass(frozen=True)
class World:
    """Contents, their hashes and looks, and crawls of images of them."""

    hashes: npt.NDArray[np.uint64]  # of each content
    same: npt.NDArray[np.bool_]  # (c, c) which look the same
    crawls: Sequence[Sequence[tuple[int, int]]]  # of each crawl the images: id, content; the last is the first, changed

    def pictures(self, chosen: Sequence[int]) -> Pictures:
        """What is known of some crawls, one shard each; a row is the number of a content."""
        names: dict[int, tuple[int, int]] = {}
        images = [(*image, shard) for shard, crawl in enumerate(chosen) for image in self.crawls[crawl]]
        for image_id, content, shard in sorted(images):
            names.setdefault(content, (image_id, shard))
        order = sorted(names, key=lambda content: (self.hashes[content], names[content]))
        name = np.array([names[content][0] for content in order], np.int64)
        contents = np.array([names[own][0] for _, own, _ in images], np.int64)
        copied = np.unique([names[own][0] for image_id, own, _ in images if names[own][0] != image_id]).astype(np.int64)
        shards, row = np.array([names[own][1] for own in order], np.int32), np.array(order, np.int32)
        pixels = cast(Any, SimpleNamespace(offsets=list(range(len(chosen)))))
        return Pictures(contents, name, self.hashes[np.array(order, np.int64)], shards, row, copied, pixels)

    def found(self, chosen: Sequence[int], earlier: Compared | None = None) -> npt.NDArray[np.int64]:
        """The pairs of some crawls."""

        def look(_: Any, __: float, asked: Any) -> npt.NDArray[np.bool_]:
            rows = asked.row[asked.pairs]
            return np.asarray(self.same[rows[:, 0], rows[:, 1]])

        with tempfile.TemporaryDirectory() as folder, patch.object(doubles, "_confirmed", look):
            return same_pictures(Draft(Path(folder)), 0, self.pictures(chosen), (RULES, 1), earlier)

    def compared(self, before: Sequence[int], now: Sequence[int], *, remembered: bool = True) -> Compared:
        """What comparing some crawls leaves to comparing others."""
        gone = [content for crawl in before if crawl not in now for _, content in self.crawls[crawl]]
        held = frozenset(at for at, crawl in enumerate(now) if crawl in before)
        forgotten = self.hashes[np.array(gone, np.int64)] if remembered else None
        return Compared(held, forgotten, len(self.pictures(before).name), self.found(before))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    contents, images = draw(st.sampled_from([8, 16, 24])), draw(st.sampled_from([3, 24, 40]))
    areas, places = draw(st.sampled_from([1, 1, len(AREAS)])), draw(st.sampled_from([1, 4, 16, 64]))
    alike, rng = draw(st.sampled_from([0.3, 1.0])), np.random.default_rng(draw(st.integers(0, 2**32)))
    look = rng.random((contents, contents)) < alike
    ids, crawl, content = rng.permutation(images), rng.integers(0, 3, images), rng.integers(0, contents, images)
    drawn = [list(zip(ids[crawl == own].tolist(), content[crawl == own].tolist(), strict=True)) for own in range(3)]
    changed = [(image_id, int(rng.integers(0, contents))) for image_id, _ in drawn[0]]
    near = rng.integers(0, places, contents).astype(np.uint64)
    return World(AREAS[rng.integers(0, areas, contents)] ^ near, look | look.T, [*drawn, changed])


@given(
    world=worlds(),
    before=st.permutations([0, 1]),
    now=st.sampled_from([[2, 1, 0], [0, 1, 2], [1, 2], [1, 3], [2]]),
    remembered=st.booleans(),
    masks=st.sampled_from(["few", "many", "few, then many"]),
    sizes=st.tuples(
        st.sampled_from([1, 2, 5]), st.sampled_from([1, 10]), st.sampled_from([3, 2**18]), st.sampled_from([9, 1000])
    ),
)
@settings(max_examples=100, deadline=None)
def test_what_was_compared_before_changes_nothing(
    world: World,
    before: list[int],
    now: list[int],
    remembered: bool,
    masks: str,
    sizes: tuple[int, int, int, int],
) -> None:
    window, slot_bits, block_rows, chunk = sizes
    choices, few = hashes.block_choices, {"few": 10**3, "many": -1}.get(masks, len(world.pictures(before).name))

    def chosen(images: int, distance: int) -> list[np.uint64]:
        return choices(1 if images <= few else 2**30, distance)

    with ExitStack() as stack:
        for module, name, value in (
            (hashes, "WINDOW", window),
            (hash_runs, "_SLOT_BITS", slot_bits),
            (arrays, "BLOCK_ROWS", block_rows),
            (doubles, "CHUNK_PAIRS", chunk),
            (doubles, "block_choices", chosen),
            (earlier_doubles, "block_choices", chosen),
        ):
            stack.enter_context(patch.object(module, name, value))
        compared = world.compared(before, now, remembered=remembered)
        assert world.found(now, compared).tolist() == world.found(now).tolist()


def test_old_pictures_may_be_news_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five equal hashes the fourth is named anew, and comes first: the third and the fifth were never compared."""
    monkeypatch.setattr(hashes, "WINDOW", 1)
    old = [(9, 0), (10, 1), (11, 2), (12, 3), (13, 4)]
    world = World(np.full(5, AREAS[0]), np.ones((5, 5), np.bool_), [old, [(5, 3)]])
    whole = [sorted(pair) for pair in world.found([0, 1]).tolist()]
    assert [11, 13] not in world.found([0]).tolist()
    assert [11, 13] in whole
    assert [sorted(pair) for pair in world.found([0, 1], world.compared([0], [0, 1])).tolist()] == whole


def test_other_masks_find_other_pairs_among_the_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four, 0 and 4 have 2 between them where bits 0, 3 ... agree, and 1 where 1, 4 ... do; of five, nothing."""
    monkeypatch.setattr(hashes, "WINDOW", 1)
    choices = hashes.block_choices
    for module in (doubles, earlier_doubles):
        monkeypatch.setattr(module, "block_choices", lambda images, bits: choices(1 if images < 5 else 2**30, bits))
    old = [(10 + content, content) for content in range(4)]
    told = np.array([0, 1, 2, 4, 2**40 - 1], np.uint64)
    world = World(told, np.ones((5, 5), np.bool_), [old, [(20, 4)]])
    assert [10, 13] not in world.found([0]).tolist()
    assert [10, 13] in world.found([0, 1]).tolist()
    assert world.found([0, 1], world.compared([0], [0, 1])).tolist() == world.found([0, 1]).tolist()


def test_what_went_from_between_two_makes_them_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 0, 1, 8 and 9 in one run, every other one goes."""
    monkeypatch.setattr(hashes, "WINDOW", 1)
    told = np.array([0, 1, 8, 9], np.uint64)
    world = World(told, np.ones((4, 4), np.bool_), [[(11, 1), (13, 3)], [(10, 0), (12, 2)]])
    for now in ([1], [0]):
        compared = world.compared([0, 1], now)
        assert world.found(now, compared).tolist() == world.found(now).tolist()


def test_a_few_new_hashes_cost_a_few_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    family = np.repeat(rng.integers(0, 2**64, 1000, np.uint64), 2) ^ rng.integers(0, 4, 2000, np.uint64)
    crawls = [[(i, i) for i in range(start, stop)] for start, stop in ((10, 2000), (0, 10))]
    world = World(family, np.ones((2000, 2000), np.bool_), crawls)
    searched: list[int] = []

    def counting(own: npt.NDArray[np.uint64], distance: int, task: Bucket | BesideNew) -> npt.NDArray[np.int64]:
        searched.append(len(task.rows))
        return task.near(own, distance)

    monkeypatch.setattr(doubles, "_near", counting)
    whole, all_searched = world.found([0, 1]), sum(searched)
    compared = world.compared([0], [0, 1])
    searched.clear()
    assert world.found([0, 1], compared).tolist() == whole.tolist()
    assert len(whole) >= 700
    assert sum(searched) < all_searched / 10
