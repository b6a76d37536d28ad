"""The report in a real browser: every page opens, nothing is asked of a network, keys and a phone's width suffice."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.stages.report import make_report, report_page
from pipeline.storage.artifacts import Store
from tests.stages.report_store import CRAWL, add_crawl, add_evidence, add_training, add_weights
from tests.stages.report_store import RECIPES as TINY_RECIPES
from tests.stages.wide_store import EACH, RECIPES, class_name, wide_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
LIMIT = 2_000_000  # bytes of a page
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"
SHOWN = "[...document.querySelectorAll('#classes tbody tr:not([hidden]) a')].map(a => a.textContent)"
EAGER = "Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode(); }))"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium on this machine: the report cannot be opened in a browser"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report on 24 classes."""
    store = wide_store(tmp_path_factory.mktemp("wide"), 24)
    make_report(store, RECIPES, {})
    return report_page(store).parent


class Watched:
    """A page of the browser, and everything it says or asks for."""

    def __init__(self, browser: Browser, width: dict[str, int], script: bool = True) -> None:
        self.page: Page = browser.new_page(viewport=width, java_script_enabled=script)  # type: ignore[arg-type]
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: Path) -> Page:
        self.page.goto(path.as_uri())
        return self.page

    def end(self) -> None:
        assert self.said == []
        assert {url.partition(":")[0] for url in self.asked} <= {"file", "data"}
        self.page.close()


def test_every_page_opens_without_a_word_and_fits(browser: Browser, report: Path) -> None:
    watched = Watched(browser, DESK)
    files = sorted(report.rglob("*.html"))
    assert len(files) == 8 + 24 + 2 + 12  # one of each kind, classes, recipes, groups
    for file in files:
        page = watched.open(file)
        assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1140px"
        page.evaluate(EAGER)  # pictures wait until they come near the window
        assert page.evaluate("[...document.images].every(image => image.naturalWidth)"), file
        for width in (PHONE, DESK):
            page.set_viewport_size(width)  # type: ignore[arg-type]
            assert not page.evaluate(SIDEWAYS), (file, width)
    assert max(file.stat().st_size for file in files) < LIMIT
    watched.end()


def test_every_picture_waits_until_it_is_near(browser: Browser, report: Path) -> None:
    watched = Watched(browser, DESK)
    page = watched.open(report / "class" / "00003.html")
    assert page.evaluate("document.images.length") > 3
    assert page.evaluate("[...document.images].every(image => image.loading === 'lazy')")
    watched.end()


def test_a_class_is_found_by_keys_alone(browser: Browser, report: Path) -> None:
    watched = Watched(browser, DESK)
    page = watched.open(report / "index.html")
    for _ in range(3):  # past the skip link and the name
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/classes.html")
    page.keyboard.press("/")
    page.keyboard.type("ECHARPE")  # whatever case and accents
    assert shown(page) == ["écharpe 1", "écharpe 11", "écharpe 21"]
    assert page.locator("#found").inner_text() == "3 of 24"
    for key, focused in (("ArrowDown", 1), ("ArrowDown", 11), ("ArrowUp", 1), ("ArrowDown", 11)):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.textContent") == f"écharpe {focused}"
    page.keyboard.press("Enter")
    page.wait_for_url("**/class/00011.html")
    assert page.locator("h1").inner_text() == "écharpe 11"
    watched.end()


def test_search_starts_anew_and_says_where_nothing_is_found(browser: Browser, report: Path) -> None:
    watched = Watched(browser, DESK)
    page = watched.open(report / "classes.html")
    page.keyboard.press("/")
    page.keyboard.type("zebra")
    assert shown(page) == []
    assert page.locator("#none").is_visible()
    page.keyboard.press("Escape")
    assert len(shown(page)) == 24
    assert not page.locator("#none").is_visible()
    page.keyboard.type("7 wallet")
    assert shown(page) == []
    page.keyboard.press("Escape")
    page.keyboard.type("20 wallet")
    page.keyboard.press("Enter")  # the first that is found
    page.wait_for_url("**/class/00020.html")
    watched.end()


def test_a_heading_sorts_up_and_down(browser: Browser, report: Path) -> None:
    watched = Watched(browser, DESK)
    page = watched.open(report / "classes.html")
    heading = page.get_by_role("button", name="Right labels")
    heading.click()
    column = page.locator("#classes tbody td:nth-of-type(3)")
    up = [float(text) for text in column.all_inner_texts()]
    assert up == sorted(up)
    heading.click()
    assert [float(text) for text in column.all_inner_texts()] == sorted(up, reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Right")
    watched.end()


def test_without_a_script_the_classes_are_a_plain_list(browser: Browser, report: Path) -> None:
    watched = Watched(browser, DESK, script=False)
    page = watched.open(report / "classes.html")
    assert not page.locator("#search").is_visible()
    assert page.locator("#classes tbody a").count() == 24
    page.locator("#classes tbody a").nth(5).click()
    page.wait_for_url("**/class/00005.html")
    watched.end()


def test_print_leaves_out_what_paper_cannot_do(browser: Browser, report: Path) -> None:
    watched = Watched(browser, DESK)
    page = watched.open(report / "classes.html")
    page.emulate_media(media="print")
    assert not page.locator("header.top").is_visible()
    assert not page.locator("#search").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    watched.end()


def test_words_of_a_crawl_run_nothing(browser: Browser, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", CRAWL)
    add_weights(store, "shop", CRAWL)
    add_evidence(store, "shop", CRAWL)
    add_training(store)
    make_report(store, TINY_RECIPES, {})
    watched = Watched(browser, DESK)
    asked: list[str] = []
    watched.page.on("dialog", lambda dialog: asked.append(dialog.message))
    for file in sorted(report_page(store).parent.rglob("*.html")):
        watched.open(file)
    page = watched.open(report_page(store).parent / "class" / "00000.html")
    assert page.locator("li[title*='<script>alert']").count()  # shown, as text
    assert asked == []
    watched.end()


def test_a_thousand_classes(browser: Browser, tmp_path: Path) -> None:
    store = wide_store(tmp_path, 1000)
    artifact = make_report(store, RECIPES, {}, workers=2)
    folder = artifact.folder
    assert artifact.facts["largest"] == max(file.stat().st_size for file in folder.rglob("*.html")) < LIMIT
    assert len(list((folder / "class").iterdir())) == 1000
    watched = Watched(browser, PHONE)
    page = watched.open(folder / "classes.html")
    assert page.locator("#classes tbody tr").count() == 1000
    page.keyboard.press("/")
    page.keyboard.type("jersey 99")
    assert shown(page) == [class_name(k) for k in (993,)]
    page.keyboard.press("Enter")
    page.wait_for_url("**/class/00993.html")
    assert page.locator(".card .big").first.inner_text().startswith(str(EACH))
    assert not page.evaluate(SIDEWAYS)
    page.locator("a[rel=next]").click()
    page.wait_for_url("**/class/00994.html")
    for name in ("index", "evidence", "confused"):
        assert not watched.open(folder / f"{name}.html").evaluate(SIDEWAYS)
    watched.end()


def shown(page: Page) -> list[str]:
    """The names of the classes that are to be seen."""
    names: list[str] = page.evaluate(SHOWN)
    return names
