"""Table names as users say them."""

from pathlib import Path

import pytest

from assets.tables import BESIDE, table_folders
from pipeline.evidence.fusion import FusionSettings
from pipeline.stages.fusion import make_fused
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.tables import part_paths
from tests.stages.tiny_store import add_evidence, two_crawls


def test_a_table_over_several_crawls_has_a_folder_for_each(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    assert table_folders(store, "listing") == [
        store.current("listing", "a").table("listing"),
        store.current("listing", "bb").table("listing"),
    ]
    assert [folder.name for folder in table_folders(store, "classes")] == ["classes", "classes"]


@pytest.mark.parametrize(
    "table",
    [
        "listing",
        "images",
        "evidence",
        "evidence/kmeans",
        "manifest/baseline",
        "summary",
        "confusions",
        "tricks",
        "chain",
    ],
)
def test_what_is_not_made_is_said(tmp_path: Path, table: str) -> None:
    with pytest.raises(NotMadeError, match="winnow run"):
        table_folders(Store(tmp_path), table)


@pytest.mark.parametrize("table", ["", "lists", "manifest", "evidence/", "listing/x", "weights/baseline"])
def test_unknown_tables_are_refused_with_the_known_ones(tmp_path: Path, table: str) -> None:
    with pytest.raises(ValueError, match="there are listing, classes"):
        table_folders(Store(tmp_path), table)


def test_tables_beside_the_evidence_are_found(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    for name in ("duplicates", "rank"):
        add_evidence(store, ["a", "bb"], name)
    made = make_fused(store, ["a", "bb"], ["rank"], FusionSettings(), workers=1)
    assert table_folders(store, "evidence/fused") == [made.table("evidence")]
    for name in BESIDE["fused"]:
        (folder,) = table_folders(store, f"evidence/fused/{name}")
        assert folder == made.table(name)
        assert part_paths(folder)
    with pytest.raises(NotMadeError, match="evidence-opinion"):
        table_folders(store, "evidence/opinion/joint")


@pytest.mark.parametrize("table", ["evidence/fused/shares", "evidence/rank/groups", "evidence/fused/../.."])
def test_a_table_that_is_not_beside_it_is_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(ValueError, match="evidence/fused/queries"):
        table_folders(Store(tmp_path), table)
