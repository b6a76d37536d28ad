import base64
import hashlib
import posixpath
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.report.class_page import ClassPage
from pipeline.report.page import RecipeNote
from pipeline.report.sheets import SheetSettings
from pipeline.stages.report import ReportSettings, make_report, render_class
from pipeline.storage.artifacts import Store
from pipeline.storage.work import write_work
from tests.stages.report_store import (
    CRAWL,
    HOSTILE,
    NAMES,
    NONE,
    RECIPES,
    Image,
    Reader,
    add_crawl,
    add_evidence,
    add_listing,
    add_training,
    add_weights,
    pages,
    read,
    shown,
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
    classes = shown(store, "classes.html")
    # three usable, one of three below half of their mean weight 3.25 / 3; baseline 3/4, weighed 4/4 on test
    assert classes.row("cat")[1:] == ["3", "0", "33.3", "1.08", "75.0", "100.0"]
    assert classes.row("dog")[1:] == ["1", "1", "0.0", "0.75", "0.0", "75.0"]
    assert classes.row("empty")[1:] == ["0", "0", NONE, NONE, NONE, NONE]
    assert "0 quarantined, 2 clusters" in shown(store, "class/00000.html").words
    assert "25.0% look wrong" in page.words  # one of four


def test_a_class_tells_what_recipes_make_of_it_and_what_it_is_taken_for(store: Store) -> None:
    read(store)
    dog = shown(store, "class/00001.html")
    assert dog.row("baseline") == ["baseline", NONE, NONE, "0.0"]  # it has no manifest here
    assert dog.row("weighed") == ["weighed", "0.75", "0.0", "75.0"]
    assert dog.row("empty") == ["empty", "25.0", NONE]
    assert "75.0% top-1 on test by weighed , the best recipe on this class" in dog.words
    assert [attrs["href"] for _, attrs in dog.tags if attrs.get("rel") in ("prev", "next")] == [
        "00000.html",
        "00002.html",
    ]
    assert "There is no decoded training image of this class to show." in shown(store, "class/00002.html").words


def test_a_recipe_tells_its_weights_and_results(store: Store) -> None:
    read(store)
    weighed = shown(store, "recipe/weighed.html")
    assert "25.0% of the training images" in weighed.words
    assert "It trains on 100.0% of all" in weighed.words
    assert weighed.row("test")[:5] == ["test", "4", "2", f"87.5 75.0{NONE}100.0 [62.5, 100.0]", "+50.0 [+12.5, +87.5]"]
    assert weighed.row("cat", "1.08") == ["cat", "3", "1.08", "33.3"]
    sheets = [str(attrs["alt"]) for tag, attrs in weighed.tags if tag == "img" and " picture" in str(attrs["alt"])]
    assert sheets == ["Heaviest: 2 pictures", "Lightest: 2 pictures"]
    assert "Every image counts. Slide “A slide”." in shown(store, "recipe/baseline.html").words


def test_nothing_of_the_crawl_becomes_markup(store: Store) -> None:
    page = read(store)
    scripts = {name for name, html in pages(store).items() if "<script" in html.lower()}
    assert scripts == {"classes.html", "class-evidence.html"}  # ours
    html = "".join(pages(store).values())
    assert HOSTILE in page.words  # shown, as text
    assert any(attrs.get("title", "") and HOSTILE in str(attrs["title"]) for _, attrs in page.tags)
    assert "\u202e" not in html
    assert "pic⟨U+202E⟩gpj.exe" in page.words
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]


def test_a_page_loads_nothing_and_says_so_to_the_browser(store: Store) -> None:
    read(store)
    for name, html in pages(store).items():
        page = Reader(html)
        loaded = [str(attrs[key]) for _, attrs in page.tags for key in ("src", "srcset", "data") if key in attrs]
        assert all(address.startswith("data:") for address in loaded)
        (policy,) = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
        parts = {key: value for key, _, value in (part.strip().partition(" ") for part in str(policy).split(";"))}
        assert parts["default-src"] == "'none'"
        assert parts["img-src"] == "data:"
        assert parts["style-src"] == f"'sha256-{digest(html, 'style')}'"
        if name.startswith("class") and "/" not in name:
            assert parts["script-src"] == f"'sha256-{digest(html, 'script')}'"
        else:
            assert "script-src" not in parts


def digest(html: str, tag: str) -> str:
    """Of the only element of that name, as a policy names it."""
    (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_every_link_leads_to_a_page_of_the_report(store: Store) -> None:
    add_evidence(store, "shop", CRAWL)
    read(store)
    every = pages(store)
    ids = {name: {attrs["id"] for _, attrs in Reader(html).tags if "id" in attrs} for name, html in every.items()}
    linked = {"index.html"}
    for name, html in every.items():
        for tag, attrs in Reader(html).tags:
            if tag == "a":
                file, _, place = str(attrs["href"]).partition("#")
                goal = posixpath.normpath(posixpath.join(posixpath.dirname(name), file)) if file else name
                assert goal in every, (name, goal)
                assert not place or place in ids[goal], (name, goal, place)
                linked.add(goal)
    assert linked == set(every)  # and each page can be reached
    for kind, count in {"class/": 3, "recipe/": 2, "group/": 1}.items():
        assert sum(name.startswith(kind) for name in every) == count


def test_equal_runs_give_equal_bytes_and_no_second_work(store: Store) -> None:
    first = make_report(store, RECIPES, {})
    before = (first.folder / "class/00000.html").read_bytes()
    assert not make_report(store, RECIPES, {}).made
    shutil.rmtree(first.folder)
    assert make_report(store, RECIPES, {}).made
    assert (first.folder / "class/00000.html").read_bytes() == before


def test_what_changes_the_page_changes_its_identity(store: Store) -> None:
    first = make_report(store, RECIPES, {})
    assert make_report(store, RECIPES, {"baseline": RecipeNote("baseline", 1.0)}).identity != first.identity
    assert make_report(store, RECIPES[:1], {}).identity != first.identity
    smaller = ReportSettings(sheets=SheetSettings(ends=1))
    assert make_report(store, RECIPES, {}, smaller).identity != first.identity


def test_sheets_hold_the_heaviest_the_lightest_and_the_clusters(store: Store) -> None:
    read(store)
    page = shown(store, "class/00000.html")
    sheets = [str(attrs["alt"]) for tag, attrs in page.tags if tag == "img" and " picture" in str(attrs["alt"])]
    assert sheets[:4] == [
        "Heaviest: 2 pictures",
        "Lightest: 1 picture",
        "Cluster 0: 2 pictures",
        "Cluster 1: 1 picture",
    ]
    assert page.row("Lightest")[1:] == ["0.25", "3", "title 2", "2.jpg", NONE]
    assert page.row("Cluster 1")[1:] == ["0.25", "3", "title 2", "2.jpg", NONE]


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
    assert shown(store, "classes.html").row("cat")[1:] == ["3", "0"]
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
    assert shown(store, "classes.html").row("cat")[-2:] == ["75.0", "100.0"]
    assert "It has no manifest of its own" in shown(store, "recipe/later.html").words


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
    classes, page = shown(store, "classes.html"), shown(store, "class/00000.html")
    assert classes.row("cat")[1:5] == ["4", "1", "50.0", "0.81"]
    assert classes.row("empty")[1:5] == ["1", "0", "0.0", "0.00"]
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


def test_a_killed_report_continues_and_workers_change_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.stages.report.AT_ONCE", 1)  # a class a shard
    first = make_report(store, RECIPES, {})
    before = pages(store)
    for lost in ("artifact.json", "ledger/00001.json", "class/00001.html"):
        (first.folder / lost).unlink()
    drawn: list[str] = []

    def counted(page: ClassPage) -> bytes:
        drawn.append(page.row.name)
        return render_class(page)

    monkeypatch.setattr("pipeline.stages.report.render_class", counted)
    again = make_report(store, RECIPES, {}, workers=2)
    assert again.made
    assert again.facts == first.facts
    assert drawn == [NAMES[1]]  # the others stood
    assert pages(store) == before
    shutil.rmtree(first.folder)
    assert make_report(store, RECIPES, {}, workers=3).facts == first.facts
    assert pages(store) == before
