"""A day with the Dagster UI, in a real browser: the stories of docs/ui.md, each from the first click to what is found.

Pictures of every step lie in build/screenshots afterwards; those of the page are taken from there. They show the store
as lying in /srv/winnow, wherever it lies.
"""

import re

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from tests.assets.conftest import SmallRun
from tests.assets.test_ui import CHROMIUM, address, materialised, page, shoot, until  # noqa: F401 - fixtures

RECIPE = "kmeans-size"
EPOCHS = 4  # enough to look at the second while the last is to come

ELSEWHERE = """([here, there]) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(here, there);
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on the PATH to open the UI in"),
]


def keep(page: Page, run: SmallRun, name: str) -> None:  # noqa: F811
    page.evaluate(ELSEWHERE, [str(run.store), "/srv/winnow/store"])
    shoot(page, name)


def launch(page: Page, at: str, asset: str, config: str) -> None:  # noqa: F811
    """Open the launchpad of an asset, choose the recipe, type other settings, start."""
    page.goto(f"{at}/assets/{asset}", wait_until="domcontentloaded")
    page.get_by_role("button", name="Materialize…").click(modifiers=["Shift"])
    pad = page.get_by_role("dialog")
    expect(pad.get_by_text("No errors")).to_be_visible()  # it has loaded; what is typed before is lost
    pad.get_by_placeholder("Partition").fill(RECIPE)
    page.get_by_role("menuitem").filter(has_text=RECIPE).first.click()
    pad.locator(".CodeMirror").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(f"ops: {{{asset}: {{config: {{{config}}}}}}}")
    expect(pad.get_by_text("No errors")).to_be_visible()
    shoot(page, f"ui-launchpad-{asset}")
    pad.get_by_role("button", name="Materialize").click()
    page.wait_for_url("**/runs/*")


def seen(run: SmallRun) -> int:
    """Epochs that the UI has been told of."""
    with dg.DagsterInstance.from_config(str(run.store / "dagster")) as instance:
        told = instance.fetch_observations(dg.AssetRecordsFilter(dg.AssetKey("model"), asset_partitions=[RECIPE]), 50)
    return len(told.records)


def figure(page: Page, name: str) -> float:  # noqa: F811
    """A figure of the event that is shown."""
    row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True)).first
    expect(row).to_be_visible()
    return float(re.sub(r"[^\d.]", "", row.get_by_role("cell").nth(1).inner_text()))


def test_other_settings_the_curve_and_why_it_was_late(page: Page, address: str, small_run: SmallRun) -> None:  # noqa: F811
    before, epochs = small_run.work(), seen(small_run)
    launch(page, address, "model", f"epochs: {EPOCHS}")
    until(lambda: seen(small_run) >= epochs + 2, 400, "the second epoch")
    assert small_run.work_since(before) == []  # it still trains
    page.goto(f"{address}/assets/model?view=events", wait_until="domcontentloaded")
    expect(page.get_by_text("learning_rate").first).to_be_visible()
    page.get_by_text("[Show Markdown]").first.click()
    expect(page.get_by_role("img", name="picture")).to_be_visible()
    keep(page, small_run, "ui-curve")
    until(lambda: small_run.work_since(before) == [f"model/{RECIPE}@0"], 400, "the end of the training")
    page.goto(f"{address}/runs", wait_until="domcontentloaded")
    expect(page.get_by_text("Success").first).to_be_visible()
    keep(page, small_run, "ui-runs")
    page.goto(f"{address}/assets/model?view=partitions&partition={RECIPE}", wait_until="domcontentloaded")
    assert figure(page, "seconds") > figure(page, "seconds_before")
    assert figure(page, "epochs") == EPOCHS  # which is why
    keep(page, small_run, "ui-late")


def test_two_manifests_compared(page: Page, address: str, small_run: SmallRun) -> None:  # noqa: F811
    launch(page, address, "comparison", "with: baseline")
    until(lambda: materialised(small_run, "comparison", RECIPE), 200, "the comparison")
    page.goto(f"{address}/assets/comparison?view=partitions&partition={RECIPE}", wait_until="domcontentloaded")
    expect(page.get_by_text("moved_percent")).to_be_visible()
    expect(page.get_by_role("cell", name="heavier", exact=True)).to_be_visible()
    keep(page, small_run, "ui-compared")


def test_the_manifest_of_another_day(page: Page, address: str, small_run: SmallRun) -> None:  # noqa: F811
    page.goto(f"{address}/assets/manifest?view=events", wait_until="domcontentloaded")
    page.get_by_text(RECIPE, exact=True).first.click()
    expect(page.get_by_text(str(small_run.store / "artifacts" / "manifest" / RECIPE)).first).to_be_visible()
    page.get_by_text("[Show Markdown]").first.click()
    picture = page.get_by_role("img", name="picture")
    expect(picture).to_be_visible()
    assert picture.evaluate("picture => picture.naturalWidth") > 0
    keep(page, small_run, "ui-manifest")
