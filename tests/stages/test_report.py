import base64
import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.report.sheets import SheetSettings
from pipeline.stages.report import ReportSettings, make_report, report_page
from pipeline.storage.artifacts import Store
from pipeline.storage.work import write_work
from tests.stages.report_store import (
    CRAWL,
    HOSTILE,
    NONE,
    RECIPES,
    Image,
    add_crawl,
    add_evidence,
    add_listing,
    add_training,
    add_weights,
    read,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A whole run: one crawl, two recipes, two seeds."""
    made = Store(tmp_path / "store")
    add_crawl(made, "shop", CRAWL)
    add_weights(made, "shop", CRAWL)
    add_training(made)
    return made


def test_result_table_equals_the_figures_worked_by_hand(store: Store) -> None:
    page = read(store)
    # baseline on test: 2/4 and 1/4; weighed: 3/4 and 4/4. The third class never wins a top-5 of three classes.
    baseline = page.row("baseline", "73.6")
    # The images' shares are 1, 1/2, 0, 0: of four drawn, all are 0 in 1 of 16, and 3.5 of 4 are reached in 5 of 256.
    assert baseline[1:4] == ["2", f"37.5 25.0{NONE}50.0 [0.0, 75.0]", NONE]
    weighed = page.row("weighed")
    # Here 1, 1, 1, 1/2: three halves of four come in 13 of 256. The differences, 0, 1/2, 1, 1/2, add up as eight coins.
    assert weighed[1:4] == ["2", f"87.5 75.0{NONE}100.0 [62.5, 100.0]", "+50.0 [+12.5, +87.5]"]
    assert weighed[4] == f"100.0 100.0{NONE}100.0"
    sure = np.e / (np.e + 2)  # of every first guess
    assert baseline[-2] == f"{50 * (abs(sure - 0.5) + abs(sure - 0.25)):.1f}"
    assert weighed[-1] == NONE  # nothing published was given
    assert "+50.0 points top-1" in page.words
    assert "on 4 test images; 95% interval +12.5 to +87.5: a gain." in page.words


def test_what_the_best_recipe_mixes_up_is_told(store: Store) -> None:
    page = read(store)
    assert "By weighed on test, over all seeds." in page.words
    # its only mistake: the last of the four, a dog, and of two seeds one
    assert page.row("dog", "empty")[1:] == ["empty", "1", "25.0"]


def test_accounting_and_classes_equal_the_figures_worked_by_hand(store: Store) -> None:
    page = read(store)
    assert page.row("shop", "yes") == ["shop", "5", "3", "4", "12", "10", "2", "yes", "missing 1, broken 1"]
    # three usable, mean weight 3.25 / 3, one of three below half of it; two clusters; baseline 3/4, weighed 4/4 on test
    assert page.row("cat")[1:] == ["3", "0", "1.08", "33.3", "2", "75.0", "100.0"]
    assert page.row("dog", "0.75")[1:] == ["1", "1", "0.75", "0.0", "1", "0.0", "75.0"]
    assert page.row("empty")[1:] == ["0", "0", NONE, NONE, "0", NONE, NONE]
    assert "25.0% look wrong" in page.words  # one of four


def test_nothing_of_the_crawl_becomes_markup(store: Store) -> None:
    page = read(store)
    html = report_page(store).read_text(encoding="utf-8")
    assert "<script" not in html.lower()
    assert HOSTILE in page.words  # shown, as text
    assert any(attrs.get("title", "") and HOSTILE in str(attrs["title"]) for _, attrs in page.tags)
    assert "\u202e" not in html
    assert "pic⟨U+202E⟩gpj.exe" in page.words
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]


def test_the_page_loads_nothing_and_says_so_to_the_browser(store: Store) -> None:
    page = read(store)
    html = report_page(store).read_text(encoding="utf-8")
    addresses = [
        str(attrs[name]) for _, attrs in page.tags for name in ("src", "href", "srcset", "data") if name in attrs
    ]
    assert len(addresses) > 10
    assert all(address.startswith(("data:", "#")) for address in addresses)
    (policy,) = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    parts = {name: value for name, _, value in (part.strip().partition(" ") for part in str(policy).split(";"))}
    assert parts["default-src"] == "'none'"
    assert parts["img-src"] == "data:"
    assert parts["style-src"] == f"'sha256-{digest}'"
    assert "script-src" not in parts


def test_equal_runs_give_equal_bytes_and_no_second_work(store: Store) -> None:
    first = make_report(store, RECIPES, {})
    before = (first.folder / "report.html").read_bytes()
    assert not make_report(store, RECIPES, {}).made
    shutil.rmtree(first.folder)
    assert make_report(store, RECIPES, {}).made
    assert (first.folder / "report.html").read_bytes() == before


def test_what_changes_the_page_changes_its_identity(store: Store) -> None:
    first = make_report(store, RECIPES, {})
    assert make_report(store, RECIPES, {"baseline": 1.0}).identity != first.identity
    assert make_report(store, RECIPES[:1], {}).identity != first.identity
    smaller = ReportSettings(sheets=SheetSettings(ends=1))
    assert make_report(store, RECIPES, {}, smaller).identity != first.identity


def test_sheets_hold_the_heaviest_the_lightest_and_the_clusters(store: Store) -> None:
    page = read(store)
    sheets = [str(attrs["alt"]) for tag, attrs in page.tags if tag == "img" and " picture" in str(attrs["alt"])]
    assert sheets[:4] == [
        "Heaviest: 2 pictures",
        "Lightest: 1 picture",
        "Cluster 0: 2 pictures",
        "Cluster 1: 1 picture",
    ]
    assert page.row("Lightest")[1:] == ["0.25", "3", "title 2", "2.jpg", NONE]
    assert page.row("Cluster 1")[1:] == ["0.25", "3", "title 2", "2.jpg", NONE]


def test_classes_beyond_the_limit_are_named(store: Store) -> None:
    page = read(store, settings=ReportSettings(sheets=SheetSettings(classes=1)))
    assert "1 class without pictures here" in page.words
    assert sum(tag == "details" and attrs.get("class") == "class" for tag, attrs in page.tags) == 1


def test_an_empty_store_gives_a_page_that_says_so(tmp_path: Path) -> None:
    words = read(Store(tmp_path / "store")).words
    for sentence in ("No crawl has been listed yet", "baseline has not been trained", "No stage has been computed yet"):
        assert sentence in words


def test_a_crawl_that_is_only_listed_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    add_listing(store, "shop", CRAWL)
    page = read(store)
    assert "Crawl shop is listed but not decoded" in page.words
    assert page.row("shop", "not decoded yet")[4] == "12"


def test_missing_weights_clusters_and_trainings_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", CRAWL)
    page = read(store)
    for sentence in ("Evidence that has not been made", "no weights are shown", "weighed has not been trained"):
        assert sentence in page.words
    assert page.row("cat")[1:] == ["3", "0", NONE, NONE, NONE]
    assert "A sample: 3 pictures" in [attrs.get("alt") for _, attrs in page.tags]


@pytest.mark.parametrize(("split", "told"), [("val", "There is no test split"), ("test", "There is no val split")])
def test_a_missing_split_is_told(tmp_path: Path, split: str, told: str) -> None:
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", CRAWL)
    add_weights(store, "shop", CRAWL)
    add_training(store, [split])
    page = read(store)
    assert told in page.words
    assert f"{split} images; 95% interval" in page.words
    other = {"val": "test", "test": "val"}[split]
    assert f"{other} · " not in page.words


def test_a_recipe_not_yet_trained_leaves_the_others_standing(store: Store) -> None:
    page = read(store, [*RECIPES, "later"])
    assert "Recipe later has not been trained and scored." in page.words
    assert page.row("weighed", "+50.0 [+12.5, +87.5]")
    assert page.row("cat")[-1] == NONE


def test_a_class_wholly_in_quarantine_and_a_crawl_without_a_usable_image(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", [Image(1, reason="empty"), Image(1, reason="broken")])
    page = read(store)
    assert page.row("shop", "yes")[4:8] == ["2", "0", "2", "yes"]
    assert page.row("dog", "0", "2")[1:3] == ["0", "2"]
    assert "no decoded training image" in page.words


def test_several_crawls_are_accounted_apart_and_pictured_together(store: Store) -> None:
    add_crawl(store, "later", [Image(0, path="late.jpg"), Image(0, reason="timeout"), Image(2)])
    page = read(store)
    assert page.row("shop", "yes")[4:7] == ["12", "10", "2"]
    assert page.row("later", "yes")[4:] == ["3", "2", "1", "yes", "timeout 1"]
    # the manifest does not know the new images yet: they weigh nothing and are in no cluster
    assert page.row("cat")[1:6] == ["4", "1", "0.81", "50.0", "2"]
    assert page.row("empty")[1:6] == ["1", "0", "0.00", "0.0", "0"]
    assert page.row("Lightest")[1:] == ["0.00", "1", HOSTILE, "late.jpg", NONE]
    assert page.row("Cluster 1")[1:] == ["0.25", "3", "title 2", "2.jpg", NONE]  # of the crawl read second


def test_stage_times_are_the_newest_of_what_is_current(store: Store) -> None:
    took = [("listing", "shop", "l", 50.0), ("listing", "shop", "l", 2.0), ("listing", "shop", "replaced", 9.0)]
    took += [
        ("predictions", "baseline@0", "t", 70.0),
        ("predictions", "baseline@1", "t", 20.0),
        ("report", "all", "x", 7.0),
    ]
    lines = [
        {"stage": stage, "partition": partition, "identity": identity, "seconds": seconds, "peak_mb": 100 + seconds}
        for stage, partition, identity, seconds in took
    ]
    write_work(store.history, lines)
    page = read(store)
    assert page.row("listing", "2.0 s") == ["listing", "shop", "2.0 s", "102 MB"]
    assert page.row("predictions", "90.0 s") == ["predictions", "baseline@0, baseline@1", "90.0 s", "170 MB"]
    assert page.row("Together")[2:] == ["92.0 s", "170 MB"]


@pytest.mark.browser
def test_the_page_in_a_real_browser(store: Store) -> None:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("no chromium on this machine: the report cannot be opened in a browser")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    add_evidence(store, "shop", CRAWL)
    read(store)
    address = report_page(store).resolve().as_uri()
    pictures = Path(__file__).resolve().parents[2] / "build" / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync"]
    said: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=quiet)
        for name, width in (("report", 1280), ("report-phone", 390)):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(address)
            assert page.locator("#result-table").is_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # no sideways scrolling
            # pictures wait until they come near the window: ask for all of them, then see that none is damaged
            page.evaluate("Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode(); }))")
            assert page.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
            assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderRadius") == "10px"
            page.locator("a[href='#class-1']").first.click()
            assert page.locator("#class-1").is_visible()  # the link opened the class
            page.screenshot(path=pictures / f"{name}.png", full_page=True)
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address, address]
