"""The stage `evidence-confusion` on a made-up store: purses and wallets, with opinions given by hand."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evidence.confusion import ConfusionSettings
from pipeline.evidence_tables import CONFUSED_GROUPS, CONFUSION, PAIRS
from pipeline.stages import classes, confusion
from pipeline.stages.classes import read_column
from pipeline.stages.confusion import make_confusion
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import part_paths, read_table
from tests.stages.test_opinion import fails_at
from tests.stages.tiny_store import Picture, add_crawl, add_evidence

SETTINGS = ConfusionSettings(least_images=1, clusters_per_class=1)
WALLET, SHOE, PURSE = 0, 1, 2


def store_of(folder: Path) -> Store:
    """30 wallets; 10 shoes; 40 found by "purse", of which 10 are wallets and seen to be, and one is broken."""
    rng = np.random.default_rng(0)
    label = np.repeat([WALLET, SHOE, PURSE], [30, 10, 40])
    place = np.where((label == PURSE) & (np.arange(80) < 50), WALLET, label)
    points = np.array([(0, 0), (0, 50), (50, 0)])[place] + rng.normal(size=(80, 2))
    points[79] = np.nan
    store = Store(folder)
    pictures = [Picture(int(c), (float(x), float(y))) for c, (x, y) in zip(label, points, strict=True)]
    add_crawl(store, "a", pictures, shard_rows=7)
    add_evidence(store, ["a"], "opinion", predicted_class=[*place[:79].tolist(), None])
    return store


def order_of(store: Store, crawls: list[str]) -> classes.ClassOrder:
    return classes.ClassOrder.read(*([store.current(stage, c) for c in crawls] for stage in ("listing", "images")))


def made(store: Store, settings: ConfusionSettings = SETTINGS, workers: int = 1) -> Artifact:
    return make_confusion(store, ["a"], settings, workers=workers)


def test_purses_and_wallets_by_hand(tmp_path: Path) -> None:
    found = made(store_of(tmp_path))
    table = read_table(found.table("evidence"))
    assert table.schema.equals(CONFUSION)
    told = table.to_pydict()
    assert told["image_id"] == list(range(100, 180))
    assert told["confused_group"] == [0] * 30 + [-1] * 10 + [0] * 40
    # 40 images lie where wallets do, 29 where purses do: the larger joint cluster is 0
    assert told["joint_cluster"] == [0] * 30 + [-1] * 10 + [0] * 10 + [1] * 29 + [-1]
    assert told["owner_class"] == [WALLET] * 30 + [None] * 10 + [WALLET] * 10 + [PURSE] * 29 + [None]
    wallets, purses = 30 / 30, 10 / 39  # shares of each class that lie in cluster 0
    of_wallet = wallets / (wallets + purses)
    assert told["owner_share"][0] == told["owner_share"][40] == pytest.approx(of_wallet)
    assert told["own_share"][0] == pytest.approx(of_wallet)
    assert told["own_share"][40] == pytest.approx(1 - of_wallet)
    assert told["own_share"][50:] == [1.0] * 29 + [None]
    assert told["own_share"][30:40] == told["owner_share"][30:40] == [None] * 10
    pairs = read_table(found.table("pairs"))
    assert pairs.schema.equals(PAIRS)
    assert pairs.to_pylist() == [{"class_a": 0, "class_b": 2, "a_as_b": 0, "b_as_a": 10, "rate": 10 / 39 / 2}]
    groups = read_table(found.table("groups"))
    assert groups.schema.equals(CONFUSED_GROUPS)
    assert groups.to_pylist() == [{"confused_group": 0, "class_index": c} for c in (WALLET, PURSE)]
    assert found.facts == {"images": 80, "groups": 1, "confused_classes": 2, "joint_clusters": 2}


def test_nothing_is_confused_where_the_threshold_is_high(tmp_path: Path) -> None:
    found = made(store_of(tmp_path), ConfusionSettings(threshold=0.9, pairs=0))
    told = read_table(found.table("evidence")).to_pydict()
    assert set(told["confused_group"]) == set(told["joint_cluster"]) == {-1}
    assert set(told["owner_class"]) == set(told["owner_share"]) == set(told["own_share"]) == {None}
    assert read_table(found.table("pairs")).num_rows == read_table(found.table("groups")).num_rows == 0


def test_an_opinion_of_nothing_confuses_nobody(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    add_evidence(store, ["a"], "opinion")
    assert made(store).facts["groups"] == 0


def test_it_is_the_same_for_any_number_of_workers_and_size_of_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, many = made(store_of(tmp_path / "one")), made(store_of(tmp_path / "many"), workers=3)
    for path in sorted(p.relative_to(one.folder) for p in one.folder.rglob("part-*")):
        assert (one.folder / path).read_bytes() == (many.folder / path).read_bytes()
    monkeypatch.setattr(classes, "SHARD_IMAGES", 40)
    small = made(store_of(tmp_path / "small"), workers=2)
    assert len(list(small.table("evidence").glob("*"))) == 2
    assert read_table(small.table("evidence")).equals(read_table(one.table("evidence")))


def test_what_no_image_came_to_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another shoe, which nothing is taken for: wallets and purses stay what they were."""
    monkeypatch.setattr(classes, "SHARD_IMAGES", 35)
    store = store_of(tmp_path)
    first = made(store)
    place = read_column(store.current("evidence-opinion"), order_of(store, ["a"]), "predicted_class").tolist()
    add_crawl(store, "bb", [Picture(SHOE, (0.0, 50.0))])
    add_evidence(store, ["a", "bb"], "opinion", predicted_class=[*place[:40], SHOE, *place[40:79], None])
    second = make_confusion(store, ["a", "bb"], SETTINGS, workers=1)
    inodes = [[path.stat().st_ino for path in part_paths(one.table("evidence"))] for one in (first, second)]
    assert [a == b for a, b in zip(*inodes, strict=True)] == [True, False, True]
    add_evidence(store, ["a", "bb"], "opinion", predicted_class=[*place[:40], SHOE, *place[40:50], *[WALLET] * 30])
    third = make_confusion(store, ["a", "bb"], ConfusionSettings(least_images=1, clusters_per_class=2), workers=1)
    assert read_table(third.table("evidence"))["joint_cluster"].to_pylist()[:30] != [0] * 30


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path / "killed")
    fails_at(confusion, "class_shares", 0, monkeypatch)  # the clusters have been found
    with pytest.raises(KeyboardInterrupt):
        made(store)
    monkeypatch.undo()
    fails_at(confusion, "cluster_jointly", 0, monkeypatch)
    found = made(store)
    monkeypatch.undo()
    whole = made(store_of(tmp_path / "whole"))
    assert read_table(found.table("evidence")).equals(read_table(whole.table("evidence")))
    assert not made(store).made


def test_progress_counts_every_image_once(tmp_path: Path) -> None:
    seen: list[int] = []
    make_confusion(store_of(tmp_path), ["a"], SETTINGS, workers=2, on_progress=seen.append)
    assert sum(seen) == 80
