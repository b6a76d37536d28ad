"""Table names as users say them."""

from pathlib import Path

import pytest

from assets.tables import table_folders
from pipeline.storage.artifacts import NotMadeError, Store
from tests.stages.tiny_store import two_crawls


def test_a_table_over_several_crawls_has_a_folder_for_each(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    assert table_folders(store, "listing") == [
        store.current("listing", "a").table("listing"),
        store.current("listing", "bb").table("listing"),
    ]
    assert [folder.name for folder in table_folders(store, "classes")] == ["classes", "classes"]


@pytest.mark.parametrize("table", ["listing", "images", "evidence", "evidence/kmeans", "manifest/baseline", "summary"])
def test_what_is_not_made_is_said(tmp_path: Path, table: str) -> None:
    with pytest.raises(NotMadeError, match="winnow run"):
        table_folders(Store(tmp_path), table)


@pytest.mark.parametrize("table", ["", "lists", "manifest", "evidence/", "listing/x"])
def test_unknown_tables_are_refused_with_the_known_ones(tmp_path: Path, table: str) -> None:
    with pytest.raises(ValueError, match="there are listing, classes"):
        table_folders(Store(tmp_path), table)
