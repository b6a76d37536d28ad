"""The source's tables and the chain on the report's page of recipes, from a run made up by hand."""

from pathlib import Path

from pipeline.stages.summary import make_summary
from pipeline.storage.artifacts import Store
from pipeline.tricks import Bag, PublishedRow, PublishedTable
from tests.stages.report_store import CRAWL, RECIPES, add_crawl, add_training, pages, read, shown

ROWS = (PublishedRow("Theirs", "baseline", 0.7), PublishedRow("Weighed theirs", "weighed", 0.7535))
BAG = Bag((PublishedTable("t", "A slide", ROWS),), {"baseline": "baseline", "weighed": "manifest"})


def ready(folder: Path) -> Store:
    made = Store(folder / "store")
    add_crawl(made, "shop", CRAWL)
    add_training(made)
    return made


def test_tables_and_chain_stand_beside_the_results(tmp_path: Path) -> None:
    store = ready(tmp_path)
    make_summary(store, RECIPES, [0, 1], BAG)
    read(store)
    page = shown(store, "results.html")
    # baseline on test: 2/4 and 1/4; weighed: 3/4 and 4/4; each class has two of the four images
    weighed = page.row("Weighed theirs")
    assert weighed[1:4] == ["weighed", "2", "75.35"]
    assert weighed[5] == "+5.35"
    assert weighed[8].startswith("87.5 75.0")
    assert weighed[9].startswith("+50.0 [")
    assert page.row("manifest", "Weighed theirs")[3].startswith("80.0")  # of 62.5 points of errors 50 are gone
    assert page.row("student")[1] == "not run"
    assert "told on 4 images of test, none of which chose it" in page.words
    assert "Two seeds are few" in page.words
    assert pages(store)["results.html"].count("data:image/svg+xml") >= 2


def test_a_summary_that_was_not_asked_for_tables_shows_none(tmp_path: Path) -> None:
    store = ready(tmp_path)
    read(store)
    assert "chain-table" not in pages(store)["results.html"]
