"""The rank stage: search results of two crawls merged, from the listings alone."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.evidence.rank import RankSettings
from pipeline.evidence_tables import RANK
from pipeline.records import LISTING
from pipeline.stages import classes
from pipeline.stages.rank import make_rank
from pipeline.storage.artifacts import Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, part_paths, read_table, write_table
from tests.stages.tiny_store import Picture, add_crawl, two_crawls

#: image_id -> (query, rank). 102 is quarantined, 105 is of the val split: neither takes a position from others.
FOUND: dict[str, dict[int, tuple[int | None, int | None]]] = {
    "a": {100: (7, 2), 101: (3, 1), 102: (3, 1), 103: (None, 1), 104: (5, None), 105: (3, 1)},
    "bb": {200: (3, 1), 201: (5, 8)},
}


def ranked_store(folder: Path) -> Store:
    """The two tiny crawls, their listings published again with these queries and ranks."""
    store = two_crawls(folder)
    for crawl, found in FOUND.items():
        old = store.current("listing", crawl)
        rows = read_table(old.table("listing")).to_pylist()
        told: list[dict[str, Any]] = [
            row | dict(zip(("query_id", "rank"), found[row["image_id"]], strict=True)) for row in rows
        ]

        def build(draft: Draft, told: list[dict[str, Any]] = told, facts: Facts = old.facts) -> Facts:
            path = part_path(draft.table("listing"), 0)
            draft.finish(0, {path: write_table(path, LISTING, [pa.Table.from_pylist(told, schema=LISTING)])})
            return facts

        store.make("listing", crawl, "ranked", build)
    return store


def test_two_crawls_interleave(tmp_path: Path) -> None:
    artifact = make_rank(ranked_store(tmp_path), ["a", "bb"], RankSettings(top=3), workers=1)
    table = read_table(artifact.table("evidence"))
    assert table.schema.equals(RANK)
    rows = {row["image_id"]: (row["position"], row["top_ranked"]) for row in table.to_pylist()}
    # rank 1: 101 and 200 of query 3 by id, then 103, whose query is unknown; rank 2: 100
    first = {101: (1, True), 200: (2, True), 103: (3, True), 100: (4, False)}
    assert rows == first | {104: (None, False), 201: (1, True)}
    assert artifact.facts == {"images": 6, "ranked": 5, "top": 3}


def test_one_worker_equals_many_and_shards_cut_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    stores = [ranked_store(tmp_path / str(workers)) for workers in (1, 3)]
    made = [
        make_rank(store, ["a", "bb"], RankSettings(), workers=workers)
        for store, workers in zip(stores, (1, 3), strict=True)
    ]
    one, many = (part_paths(artifact.table("evidence")) for artifact in made)
    assert len(one) == 2
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in many]
    assert not make_rank(stores[0], ["a", "bb"], RankSettings(), workers=1).made


def test_classes_without_an_image_of_a_new_crawl_are_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    store, rebuilt = ranked_store(tmp_path / "grown"), ranked_store(tmp_path / "rebuilt")
    before = make_rank(store, ["a", "bb"], RankSettings(), workers=1)
    for grown in (store, rebuilt):
        add_crawl(grown, "ccc", [Picture(0, (1, 1))])
    done: list[int] = []
    after = make_rank(store, ["a", "bb", "ccc"], RankSettings(), workers=1, on_progress=done.append)
    assert done == [2, 5]
    inodes = [[path.stat().st_ino for path in part_paths(one.table("evidence"))] for one in (before, after)]
    assert [a == b for a, b in zip(*inodes, strict=True)] == [False, True]
    again = make_rank(rebuilt, ["a", "bb", "ccc"], RankSettings(), workers=1)
    assert again.facts == after.facts == {"images": 7, "ranked": 6, "top": RankSettings().top}
    assert [read_table(one.table("evidence")) for one in (after, again)] == [read_table(after.table("evidence"))] * 2
    other = make_rank(store, ["a", "bb", "ccc"], RankSettings(top=1), workers=1)
    assert sum(read_table(other.table("evidence"))["top_ranked"].to_pylist()) == 2


def test_classes_without_a_single_rank_have_no_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FOUND, "bb", {200: (3, None), 201: (5, 0)})
    table = read_table(make_rank(ranked_store(tmp_path), ["bb"], RankSettings(), workers=1).table("evidence"))
    assert table["position"].to_pylist() == [None, None]
    assert table["top_ranked"].to_pylist() == [False, False]
