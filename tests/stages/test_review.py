"""The review queue of a small store: who is asked, what is written, and what comes back."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.policy.policy import Policy
from pipeline.policy.review import ReviewSettings
from pipeline.records import REVIEW
from pipeline.stages import classes
from pipeline.stages.manifest import make_manifest
from pipeline.stages.review import make_review
from pipeline.stages.review_files import COLUMNS, PAGE, SHEET
from pipeline.stages.settled import make_settled
from pipeline.stages.verdicts import take_verdicts
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Artifact, NotMadeError, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import read_table
from tests.policy.tables import part
from tests.stages.tiny_store import Picture, add_crawl, add_evidence

HOSTILE = "<script>alert(1)</script>\" onerror='x' =cmd|' /C calc'!A0 \u202e"
FUSED = Policy(parts=(part("fused"),))
FORMULA = "=1+1"


def ready(folder: Path) -> Store:
    """100 to 103 of class 0, 104 and 105 of class 2; 101 doubles 100, 105 is a leak."""
    store = Store(folder)
    titles = [HOSTILE, FORMULA, None, "a plain one", None, None]
    pictures = [Picture(0 if k < 4 else 2, (k, 0), title=title) for k, title in enumerate(titles)]
    add_crawl(store, "a", pictures)
    store.make("images", "a", "pixels", lambda draft: _with_pixels(draft, store.current("images", "a")))
    doubles: dict[str, Any] = {"duplicate_group": [100, 100, 102, 103, 104, 105], "training_copies": [2, 2, 1, 1, 1, 1]}
    add_evidence(store, ["a"], "duplicates", **doubles, leak=[False] * 5 + [True])
    right: dict[str, Any] = {"right_probability": [0.5, 0.5, 0.9, 0.1, 0.5, 0.5], "fused_class": [0, 0, 0, 2, 2, 2]}
    add_evidence(store, ["a"], "fused", **right)
    return store


def _with_pixels(draft: Draft, images: Artifact) -> Facts:
    shutil.copytree(images.table("images"), draft.table("images"), dirs_exist_ok=True)
    for shard in range(2):
        path = draft.table("pixels") / f"part-{shard:05d}.npy"
        with write_array(path, (3, 8, 8, 3), "uint8") as pixels:
            pixels[:] = 90 * shard + 30
        draft.finish(shard, {path: 3})
    return images.facts


def asked(store: Store, policy: Policy = FUSED, count: int = 9) -> Artifact:
    settled = make_settled(store, ["a"])
    make_manifest(store, "mine", policy, ["a"], settled=settled)
    return make_review(store, "mine", policy, ["a"], ReviewSettings(count=count, crowding=9))


def test_one_of_each_group_no_leak_and_nobody_twice(tmp_path: Path) -> None:
    store = ready(tmp_path)
    made = asked(store)
    table = read_table(made.table("review"))
    assert table.schema.equals(REVIEW)
    rows = {row["image_id"]: row for row in table.to_pylist()}
    assert sorted(rows) == [100, 102, 103, 104]
    assert table["place"].to_pylist() == [1, 2, 3, 4]
    assert table["image_id"].to_pylist()[0] == 100  # of the larger query, the lowest id
    assert (rows[103]["class_name"], rows[103]["suggested_class"], rows[103]["suggested_name"]) == (
        "class 0",
        2,
        "class 2",
    )
    assert rows[102]["suggested_class"] is None
    assert rows[100]["reason"] == "one of 4 results of its query, 0 of which are asked before it"
    changes = table["change"].to_pylist()
    assert changes == sorted(changes, reverse=True)
    assert not asked(store).made
    file = tmp_path / "v.csv"
    file.write_text("image_id,verdict\n100,right\n104,right\n")
    take_verdicts(store, ["a"], file)
    again = read_table(asked(store).table("review"))
    # 101 is its double by the picture, not by the bytes; it is asked for itself
    assert set(again["image_id"].to_pylist()) == {101, 102, 103}
    assert "1 of which" in again["reason"].to_pylist()[0]


def test_where_a_recipe_does_not_read_fused_a_verdict_moves_the_image_alone(tmp_path: Path) -> None:
    rows = read_table(asked(ready(tmp_path), Policy(parts=(part("baseline"),)), 2).table("review")).to_pylist()
    # 103 counts fully and is most probably wrong; 100 and its double count one picture, as 104 does, and are like it
    assert [row["image_id"] for row in rows] == [103, 100]
    assert rows[0]["reason"] == "its label is 10% likely right: a verdict settles what it counts"


def test_stretches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for images in (1, 100):
        monkeypatch.setattr(classes, "SHARD_IMAGES", images)
        told.append(read_table(asked(ready(tmp_path / str(images))).table("review")))
    assert told[0].equals(told[1])


def test_what_is_lacking_is_said(tmp_path: Path) -> None:
    store = ready(tmp_path)
    with pytest.raises(NotMadeError, match=r"no settled yet: run `winnow run`"):
        make_review(store, "mine", FUSED, ["a"], ReviewSettings())
    make_settled(store, ["a"])
    with pytest.raises(NotMadeError, match=r"no manifest of mine yet"):
        make_review(store, "mine", FUSED, ["a"], ReviewSettings())
    bare = Store(tmp_path / "bare")
    add_crawl(bare, "a", [Picture(0, (0, 0))])
    add_evidence(bare, ["a"], "duplicates")
    with pytest.raises(NotMadeError, match=r"no evidence-fused yet: run `winnow run`"):
        make_review(bare, "mine", FUSED, ["a"], ReviewSettings())


def test_the_csv_is_safe_in_a_spreadsheet_and_comes_back_as_it_went(tmp_path: Path) -> None:
    store = ready(tmp_path)
    sheet = asked(store).folder / SHEET
    text = sheet.read_bytes().decode("utf-8-sig")
    lines = list(csv.reader(text.splitlines()))
    assert lines[0] == list(COLUMNS)
    assert all(cell[:1] not in "=+-@" or cell.replace(".", "").isdigit() or not cell for line in lines for cell in line)
    assert {line[1] for line in lines[1:]} == {"'100", "'102", "'103", "'104"}
    filled = tmp_path / "filled.csv"
    answers = {"'100": "right", "'103": "class 2", "'104": ""}
    with filled.open("w", newline="") as stream:
        csv.writer(stream).writerows([lines[0], *([*line[:-1], answers.get(line[1], "")] for line in lines[1:])])
    taken = take_verdicts(store, ["a"], filled)
    rows = read_table(taken.artifact.table("verdicts")).to_pylist()
    assert sorted((row["image_id"], row["right"], row["found_wnid"]) for row in rows) == [
        (100, True, None),
        (103, False, "n2"),
    ]
    assert (taken.unanswered, taken.rejected) == (2, [])


def test_the_page_escapes_what_a_crawl_says(tmp_path: Path) -> None:
    html = (asked(ready(tmp_path)).folder / PAGE).read_text()
    assert html.count("<script") == 1  # the page's own
    assert "onerror='x'" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    shown = [after.split("</p>")[0] for after in html.split('<p class="text">')[1:]]
    assert len(shown) == 4
    assert not any("\u202e" in text for text in shown)  # turns letters round
    assert "http://" not in html
    assert "https://" not in html
    assert 'loading="lazy"' in html
    assert html.count("data:image/jpeg;base64,") == 4


@pytest.mark.browser
def test_the_page_in_a_real_browser_marks_by_keys_and_gives_the_csv_back(tmp_path: Path) -> None:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("no chromium on this machine: the page cannot be opened in a browser")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    store = ready(tmp_path)
    page_file = asked(store).folder / PAGE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(accept_downloads=True)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if "http" in request.url else None)
        page.goto(page_file.as_uri())
        order = [ask.get_attribute("data-id") for ask in page.query_selector_all(".ask")]
        for key in ("ArrowRight", "r", "w", "s", "ArrowUp", "u"):  # the first three are marked as far as they can be
            page.keyboard.press(key)
        page.reload()
        page.locator(".ask input").last.fill("=2+2")
        page.keyboard.press("Tab")
        marked = page.inner_text("#told")
        with page.expect_download() as download:
            page.click("#download")
        download.value.save_as(tmp_path / "down.csv")
        browser.close()
    assert said == []
    lines = list(csv.reader((tmp_path / "down.csv").read_text("utf-8-sig").splitlines()))
    assert lines[0] == list(COLUMNS)
    verdicts = {line[1].lstrip("'"): line[-1] for line in lines[1:]}
    assert [verdicts[str(one)] for one in order][-1] == "'=2+2"
    assert verdicts[str(order[0])] == "right"
    assert marked == f"{sum(map(bool, verdicts.values()))} of 4 marked"
    taken = take_verdicts(store, ["a"], tmp_path / "down.csv")
    assert [one.line.cells["verdict"] for one in taken.rejected] == ["=2+2"]
