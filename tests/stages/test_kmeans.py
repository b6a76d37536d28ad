"""The k-means stage: every usable training image once, the same on one worker or many."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evidence.kmeans import KMeansSettings
from pipeline.stages import kmeans
from pipeline.stages.kmeans import make_kmeans, stretches
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import part_paths, read_table
from tests.stages.tiny_store import Picture, add_crawl

A = [
    Picture(0, (0, 0)),
    Picture(0, (0, 1)),
    Picture(0, None),
    Picture(0, (9, 9)),
    Picture(2, (5, 5)),
    Picture(0, (0, 0), "val"),
]
B = [Picture(0, (0, 2)), Picture(2, (5, 5))]


def two_crawls(folder: Path) -> Store:
    store = Store(folder)
    add_crawl(store, "a", A)
    add_crawl(store, "bb", B)
    return store


def test_classes_are_clustered_over_all_crawls(tmp_path: Path) -> None:
    artifact = make_kmeans(two_crawls(tmp_path), ["a", "bb"], KMeansSettings(clusters=2), workers=1)
    rows = {row["image_id"]: row for row in read_table(artifact.table("evidence")).to_pylist()}
    assert sorted(rows) == [100, 101, 103, 104, 200, 201]  # neither the broken nor the val image
    assert [rows[i]["cluster"] for i in (100, 101, 200, 103)] == [0, 0, 0, 1]
    assert rows[103]["cluster_share"] == pytest.approx(0.25)
    assert [rows[i]["cluster_share"] for i in (104, 201)] == [1, 1]
    assert rows[200]["distance"] == pytest.approx(1)
    assert artifact.facts == {"images": 6, "classes": 2, "clusters": 2}


def test_one_worker_equals_many_and_shards_cut_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "SHARD_IMAGES", 2)
    made = [
        make_kmeans(two_crawls(tmp_path / str(workers)), ["a", "bb"], KMeansSettings(clusters=2), workers=workers)
        for workers in (1, 3)
    ]
    one, many = (part_paths(artifact.table("evidence")) for artifact in made)
    assert len(one) == 2
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in many]


def test_other_settings_are_another_artifact(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    first = make_kmeans(store, ["a", "bb"], KMeansSettings(clusters=2), workers=1)
    assert make_kmeans(store, ["a", "bb"], KMeansSettings(clusters=2), workers=2).made is False
    other = make_kmeans(store, ["a", "bb"], KMeansSettings(clusters=1), workers=1)
    assert other.made
    assert other.identity != first.identity


def test_stretches_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "SHARD_IMAGES", 10)
    assert stretches(np.array([4, 4, 4, 30, 0, 1])) == [range(3), range(3, 4), range(4, 6)]
    assert stretches(np.array([], np.int64)) == []
