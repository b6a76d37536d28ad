"""The wide view: every evidence table side by side, nothing searched, nothing misplaced."""

from pathlib import Path

import pytest

from pipeline.evidence_tables import EVIDENCE
from pipeline.stages import classes
from pipeline.stages.evidence import make_evidence
from pipeline.storage.tables import part_paths, read_table
from tests.stages.tiny_store import Picture, add_crawl, add_evidence, two_crawls

CRAWLS = ["a", "bb"]


def test_column_names_are_unique_over_all_tables() -> None:
    names = [name for schema in EVIDENCE.values() for name in schema.names if name != "image_id"]
    assert len(names) == len(set(names))


def test_tables_are_joined_and_only_those_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    store = two_crawls(tmp_path)
    add_evidence(store, CRAWLS, "keyword", keyword=[0.5, None, 0.25, 0, 1, 0.75])
    add_evidence(store, CRAWLS, "kmeans", cluster=[3, 1, 4, 1, 5, 9])
    add_evidence(store, CRAWLS, "neighbours")
    artifact = make_evidence(store, CRAWLS, ["kmeans", "keyword"], workers=2)
    assert len(part_paths(artifact.table("evidence"))) == 2
    rows = read_table(artifact.table("evidence")).to_pylist()
    assert [(row["image_id"], row["class_index"], row["cluster"], row["keyword"]) for row in rows] == [
        (100, 0, 3, 0.5),
        (101, 0, 1, None),
        (103, 0, 4, 0.25),
        (200, 0, 1, 0.0),
        (104, 2, 5, 1.0),
        (201, 2, 9, 0.75),
    ]
    assert artifact.facts == {"images": 6, "tables": ["kmeans", "keyword"]}
    assert "agreement" not in rows[0]


def test_other_evidence_is_another_view(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    add_evidence(store, CRAWLS, "kmeans")
    assert make_evidence(store, CRAWLS, ["kmeans"], workers=1).made
    assert not make_evidence(store, CRAWLS, ["kmeans"], workers=1).made
    add_evidence(store, CRAWLS, "kmeans", cluster=[1, 2, 3, 4, 5, 6])
    assert make_evidence(store, CRAWLS, ["kmeans"], workers=1).made
    add_evidence(store, CRAWLS, "keyword")
    assert make_evidence(store, CRAWLS, ["kmeans", "keyword"], workers=1).made


def test_parts_of_which_no_table_changed_are_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    store = two_crawls(tmp_path)
    add_evidence(store, CRAWLS, "keyword")
    add_evidence(store, CRAWLS, "kmeans", cluster=[3, 1, 4, 1, 5, 9])
    first = make_evidence(store, CRAWLS, ["kmeans", "keyword"], workers=1)
    add_evidence(store, CRAWLS, "kmeans", cluster=[3, 1, 4, 2, 5, 9])
    second = make_evidence(store, CRAWLS, ["kmeans", "keyword"], workers=1)
    inodes = [[path.stat().st_ino for path in part_paths(one.table("evidence"))] for one in (first, second)]
    assert [a == b for a, b in zip(*inodes, strict=True)] == [False, True]
    assert read_table(second.table("evidence"))["cluster"].to_pylist() == [3, 1, 4, 2, 5, 9]


def test_a_table_of_other_images_is_refused(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    add_evidence(store, CRAWLS, "kmeans")
    add_crawl(store, "ccc", [Picture(0, (1, 1))])
    with pytest.raises(ValueError, match="evidence-kmeans was made of other images"):
        make_evidence(store, [*CRAWLS, "ccc"], ["kmeans"], workers=1)
