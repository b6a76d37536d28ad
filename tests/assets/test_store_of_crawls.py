"""What the store remembers of crawls, and what a refused one leaves behind."""

from pathlib import Path

import pytest
from rich.console import Console

from assets.resources import StoreResource, record, recorded_crawls
from assets.run import run_crawls
from assets.settings import Settings
from pipeline.crawl.settings import CrawlSettings
from pipeline.stages.listing import Crawl
from pipeline.storage.artifacts import Store


def test_crawls_add_up_and_keep_their_own_settings(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one = Crawl(name="one", address="/one", settings=CrawlSettings(layout="folders"))
    two = Crawl(name="two", address="s3://two", settings=CrawlSettings())
    record(store, Settings(seeds=(1,)), [one])
    record(store, Settings(seeds=(2,)), [two])
    assert recorded_crawls(store) == {"one": one, "two": two}
    resource = StoreResource(root=str(tmp_path))
    assert resource.settings().seeds == (2,)
    assert resource.crawls() == ["one", "two"]
    assert resource.crawl("one").settings.layout == "folders"
    with pytest.raises(LookupError, match="knows no crawl 'three'; it knows one, two"):
        resource.crawl("three")


def test_an_empty_store_says_how_to_add_a_crawl(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="winnow run CRAWL"):
        StoreResource(root=str(tmp_path)).crawls()


def test_a_crawl_that_cannot_be_read_is_refused_and_forgotten(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "info").mkdir(parents=True)
    (broken / "info" / "synsets.txt").write_text("n1 shoe\n")
    store = Store(tmp_path / "store")
    with pytest.raises(ValueError, match="missing info file"):
        run_crawls(store, Settings(), [str(broken)], Console(quiet=True))
    assert recorded_crawls(store) == {}
    assert store.work() == []
