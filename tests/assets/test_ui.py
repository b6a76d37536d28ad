"""The Dagster UI as a person uses it: in a real headless browser, a recipe materialised by clicking."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.ui_speed import served
from pipeline.storage.artifacts import Store
from tests.assets.conftest import ROOT, SmallRun

CHROMIUM = shutil.which("chromium")
PICTURES = ROOT / "build" / "screenshots"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=60_000)  # a busy machine takes its time to draw

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on the PATH to open the UI in"),
]


def until(ready: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def address(small_run: SmallRun) -> Iterator[str]:
    """`winnow ui` over the small run's store."""
    with served(Store(small_run.store)) as (address, _):
        yield address


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        opened = browser.new_page(viewport={"width": 1500, "height": 950})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def materialised(run: SmallRun, asset: str, partition: str) -> bool:
    with dg.DagsterInstance.from_config(str(run.store / "dagster")) as instance:
        return partition in instance.get_materialized_partitions(dg.AssetKey(asset))


def shoot(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    assert path.stat().st_size > 10_000


def click_recipe(page: Page, address: str, asset: str, recipe: str) -> None:
    """Open an asset, choose one of its partitions and launch it."""
    page.goto(f"{address}/assets/{asset}", wait_until="domcontentloaded")
    page.get_by_role("button", name="Materialize…").click()
    page.get_by_text("Select a partition or create one").click()
    page.get_by_placeholder("Filter partitions").fill(recipe)
    page.get_by_role("menuitem").filter(has_text=recipe).first.click()
    page.keyboard.press("Escape")
    shoot(page, f"launch-{asset}")
    page.get_by_role("button", name="Launch 1 run").click()


def test_the_graph_shows_every_group(page: Page, address: str) -> None:
    page.goto(f"{address}/asset-groups", wait_until="domcontentloaded")
    for group in ("crawl", "baseline", "evidence", "recipes", "results"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    shoot(page, "groups")


def test_an_asset_shows_rows_columns_checks_and_a_picture(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/images", wait_until="domcontentloaded")
    expect(page.get_by_text("550", exact=True).first).to_be_visible()
    expect(page.get_by_text("perceptual_hash").first).to_be_visible()
    shoot(page, "images")
    page.goto(f"{address}/assets/images?view=checks", wait_until="domcontentloaded")
    expect(page.get_by_text("nothing_lost").first).to_be_visible()
    shoot(page, "checks")


@pytest.mark.slow
def test_a_recipe_is_made_by_clicking(page: Page, address: str, small_run: SmallRun) -> None:
    before = small_run.work()
    click_recipe(page, address, "manifest", "class-reweight")
    until(lambda: small_run.work_since(before) == ["manifest/class-reweight"], 120, "the manifest")
    click_recipe(page, address, "model", "class-reweight")
    until(lambda: "model/class-reweight@0" in small_run.work_since(before), 200, "the training")
    assert small_run.work_since(before) == ["manifest/class-reweight", "model/class-reweight@0"]
    until(lambda: materialised(small_run, "model", "class-reweight"), 60, "the end of the step")
    page.goto(f"{address}/assets/model?view=events", wait_until="domcontentloaded")
    page.get_by_text("[Show Markdown]").first.click()
    curve = page.get_by_role("img", name="picture")
    expect(curve).to_be_visible()
    assert curve.evaluate("picture => picture.naturalWidth") > 0
    shoot(page, "curve")


def test_the_curve_is_told_while_it_trains(small_run: SmallRun) -> None:
    with dg.DagsterInstance.from_config(str(small_run.store / "dagster")) as instance:
        told = instance.fetch_observations(dg.AssetKey("model"), limit=10).records
    seen = [record.asset_observation for record in told if record.asset_observation is not None]
    assert {one.partition for one in seen} >= {"kmeans-size"}
    assert all({"epoch", "loss", "learning_rate"} <= set(one.metadata) for one in seen)


def test_the_report_of_the_run_opens_without_a_network(page: Page, small_run: SmallRun) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    path = Path(small_run.winnow("report").strip())
    page.goto(path.as_uri())
    expect(page.get_by_role("heading", name="10 classes, 550 images")).to_be_visible()
    page.get_by_role("link", name="Recipes", exact=True).click()
    expect(page.get_by_text("kmeans-size").first).to_be_visible()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    shoot(page, "report-of-a-run")
