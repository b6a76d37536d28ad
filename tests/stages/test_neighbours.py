"""The neighbours stage: all classes and crawls, exact or by cells, bounded, resumable, the same on any workers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evidence import cells, lists
from pipeline.evidence.neighbours import NeighbourSettings
from pipeline.stages import classes, neighbour_layout, neighbour_search
from pipeline.stages import neighbours as stage
from pipeline.stages.neighbours import make_neighbours
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import part_paths, read_table
from tests.stages.tiny_store import Picture, add_crawl, add_evidence


def angles(count: int, classes: int = 3) -> list[Picture]:
    """Pictures around a circle; every class has its own arc, some labels are wrong."""
    rng = np.random.default_rng(count)
    pictures = []
    for i in range(count):
        arc = i * classes // count
        angle = 2 * np.pi * (arc + rng.random() * 0.6) / classes
        label = arc if rng.random() < 0.8 else int(rng.integers(classes))
        pictures.append(Picture(label, (float(np.cos(angle)), float(np.sin(angle)))))
    return pictures


def store_of(folder: Path, count: int) -> Store:
    store = Store(folder)
    add_crawl(store, "a", angles(count), shard_rows=37)
    add_crawl(store, "bb", [*angles(20), Picture(1, (0, 0)), Picture(2, (float("nan"), 1)), Picture(0, None)])
    add_evidence(store, CRAWLS, "duplicates")
    return store


CRAWLS = ["a", "bb"]


def tables(artifact: Artifact) -> list[bytes]:
    return [path.read_bytes() for name in ("evidence", "nearest") for path in part_paths(artifact.table(name))]


def test_every_class_and_crawl_is_searched(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_crawl(store, "a", [Picture(0, (1, 0)), Picture(0, (0, 1)), Picture(1, (1, 0.1)), Picture(2, (1, 0), "val")])
    add_crawl(store, "bb", [Picture(1, (1, 0.05)), Picture(2, (0.1, 1)), Picture(2, (0, 0))])
    add_evidence(store, CRAWLS, "duplicates")
    artifact = make_neighbours(store, CRAWLS, NeighbourSettings(k=2), workers=1)
    near = {row["image_id"]: row["neighbours"] for row in read_table(artifact.table("nearest")).to_pylist()}
    assert near == {100: [200, 102], 101: [201, 102], 102: [200, 100], 200: [102, 100], 201: [101, 102], 202: []}
    said = {row["image_id"]: row for row in read_table(artifact.table("evidence")).to_pylist()}
    assert [said[i]["agreement"] for i in (100, 101, 102, 200, 201, 202)] == [0, 0, 0.5, 0.5, 0, None]
    assert [said[i]["neighbour_class"] for i in (100, 102, 201, 202)] == [1, 1, 0, None]
    assert artifact.facts == {"images": 6, "unknown": 1, "exact": True}


def test_doubles_do_not_vouch_for_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_crawl(store, "a", [Picture(0, (1, 0)), Picture(0, (1, 0)), Picture(1, (1, 0.2)), Picture(1, (1, 0.3))])
    add_evidence(store, ["a"], "duplicates", duplicate_group=[100, 100, 102, 103])
    artifact = make_neighbours(store, ["a"], NeighbourSettings(k=2), workers=1)
    rows = read_table(artifact.table("evidence")).to_pylist()
    assert [row["agreement"] for row in rows] == [0, 0, 0.5, 0.5]


def test_cells_find_what_comparing_all_finds(tmp_path: Path) -> None:
    store = store_of(tmp_path, 600)
    exact = make_neighbours(store, CRAWLS, NeighbourSettings(k=5), workers=1)
    by_cells = make_neighbours(store, CRAWLS, NeighbourSettings(k=5, exact_images=100), workers=1)
    assert by_cells.facts["exact"] is False
    assert by_cells.facts["recall"] > 0.98
    one, two = (read_table(artifact.table("evidence")).to_pandas() for artifact in (exact, by_cells))
    assert (one.agreement - two.agreement).abs().mean() < 0.02
    assert one.agreement.isna().sum() == two.agreement.isna().sum() == 2
    assert not (by_cells.folder / "scratch").exists()


def test_the_order_of_the_crawls_changes_nothing(tmp_path: Path) -> None:
    store, settings = store_of(tmp_path, 90), NeighbourSettings(k=5, exact_images=50)
    told = []
    for crawls in (CRAWLS, CRAWLS[::-1]):
        add_evidence(store, crawls, "duplicates")
        found = make_neighbours(store, crawls, settings, workers=1)
        told.append({row["image_id"]: row["neighbours"] for row in read_table(found.table("nearest")).to_pylist()})
    assert told[0] == told[1]


def test_what_cells_miss_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "CELL_IMAGES", 8)
    monkeypatch.setattr(lists, "LEAST", 1)
    settings = NeighbourSettings(k=5, exact_images=100, probes=1)
    artifact = make_neighbours(store_of(tmp_path, 600), CRAWLS, settings, workers=1)
    assert artifact.facts["recall"] < 0.9


@pytest.mark.parametrize("exact_images", [100, 10_000])
def test_one_worker_equals_many_and_a_killed_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact_images: int
) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 100)
    monkeypatch.setattr(neighbour_search, "TASK_ROWS", 64)
    monkeypatch.setattr(neighbour_layout, "QUERY_ROWS", 16)
    monkeypatch.setattr(neighbour_layout, "ASKING_ROWS", 16)
    settings = NeighbourSettings(k=4, exact_images=exact_images)
    search, write = neighbour_search._search_task, stage._write
    calls: list[str] = []
    fail_at = 0

    def search_task(*arguments: Any) -> int:
        calls.append("search")
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        return search(*arguments)

    def write_part(*arguments: Any) -> None:
        calls.append("write")
        write(*arguments)

    monkeypatch.setattr(neighbour_search, "_search_task", search_task)
    monkeypatch.setattr(stage, "_write", write_part)
    whole = make_neighbours(store_of(tmp_path / "one", 300), CRAWLS, settings, workers=1)
    tasks = calls.count("search")
    assert tasks > 3
    assert calls.count("write") == len(part_paths(whole.table("evidence"))) == 3
    many = make_neighbours(store_of(tmp_path / "many", 300), CRAWLS, settings, workers=3)
    assert tables(whole) == tables(many)

    calls.clear()
    fail_at, killed = 3, store_of(tmp_path / "killed", 300)
    with pytest.raises(KeyboardInterrupt):
        make_neighbours(killed, CRAWLS, settings, workers=1)
    resumed = make_neighbours(killed, CRAWLS, settings, workers=1)
    assert tables(resumed) == tables(whole)
    assert calls.count("search") == tasks + 1  # only the one that failed was done again
