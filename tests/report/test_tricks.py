"""The source's tables beside ours, as they are shown."""

import xml.etree.ElementTree as ET
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.chain import chain_rows
from pipeline.intervals import METRICS
from pipeline.report.charts import gain_chart
from pipeline.report.page import TricksPart
from pipeline.report.render import _templates
from pipeline.report.tricks import HEADINGS, STEP_HEADINGS, Tricks, cells, gain_bars, step_cells, tricks_of
from pipeline.result_tables import CHAIN, TRICKS
from pipeline.tricks import Bag, PublishedRow, PublishedTable, trick_rows

SVG = "{http://www.w3.org/2000/svg}"
BAG = Bag(
    tables=(
        PublishedTable("first", "First <slide>", (PublishedRow("Base", "baseline", 0.7), PublishedRow("A", "a", 0.75))),
        PublishedTable("pretrained", "Networks", (PublishedRow("Wide", None, 0.8, 0.5),)),
        PublishedTable("again", "Again", (PublishedRow("A once more", "a", 0.75), PublishedRow("B", "b", 0.6))),
    ),
    kinds={"baseline": "baseline", "a": "manifest", "b": "manifest"},
    networks={"baseline": "resnet18", "a": "resnet18"},
)


def whole(rows: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    return [{**dict.fromkeys(names), **row} for row in rows]


def told(values: dict[str, list[float]], bag: Bag = BAG, splits: tuple[str, ...] = ("test",)) -> Tricks:
    """What is shown of recipes whose seeds reached these values by every metric."""
    summary, intervals = [], []
    for split in splits:
        for name, own in values.items():
            rows = enumerate(own)
            summary += [{"recipe": name, "seed": s, "split": split} | dict.fromkeys(METRICS, v) for s, v in rows]
            mean = sum(own) / len(own)
            gain = None if name == "baseline" else mean - sum(values["baseline"]) / len(values["baseline"])
            ends = {"gain_low": gain - 0.01, "gain_high": gain + 0.02} if gain is not None else {}
            row = {"recipe": name, "split": split, "images": 9, "low": mean - 0.1, "high": mean + 0.1, "gain": gain}
            intervals += [row | ends | {"metric": metric} for metric in METRICS]
    tricks = whole(trick_rows(bag, summary, intervals, "baseline"), TRICKS.names)
    found = tricks_of(tricks, whole(chain_rows({}, bag, "baseline"), CHAIN.names), "baseline")
    assert found is not None
    return found


TOLD = told({"baseline": [0.5, 0.6], "a": [0.6, 0.7], "mine": [0.25, 0.25]})


def test_a_row_in_words() -> None:
    base, a = TOLD.tables[0].rows
    assert len(HEADINGS) == len(cells(a))
    assert cells(a)[:5] == ("A", "a (resnet18)", "2", "75.00", "65.0 (60.0 to 70.0) [55.0, 75.0]")
    assert cells(a)[5:7] == ("+5.00", "+10.0 [+9.0, +12.0]")
    assert cells(base)[5:7] == ("", "")
    (mine,) = TOLD.tables[-1].rows
    assert cells(mine)[1:5] == ("mine", "2", "", "25.0 [15.0, 35.0]")


def test_what_was_not_run_says_so() -> None:
    (wide,) = TOLD.tables[1].rows
    assert cells(wide) == ("Wide", "(not run)", "", "80.00", "", "+10.00", "", "", "")
    assert cells(TOLD.tables[2].rows[1])[1] == "b (not run)"


def test_steps_in_words() -> None:
    found = [step_cells(step) for step in TOLD.steps]
    assert {len(row) for row in found} == {len(STEP_HEADINGS)}
    assert [row[:2] for row in found] == [
        (name, "(not run)") for name in ("baseline", "manifest", "student", "ensemble")
    ]
    assert found[1][-2:] == ("75.00", "16.7")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "only the published figures"),
        ({"baseline": [0.5], "a": [0.5]}, "Only one seed was run"),
        ({"baseline": [0.5, 0.5, 0.5], "a": [0.5]}, "Of a only one seed"),
        ({"baseline": [0.5, 0.5]}, "12.7 times"),
        ({"baseline": [0.5, 0.5, 0.5]}, "The baseline here is a resnet18"),
    ],
)
def test_what_to_know_before_reading(values: dict[str, list[float]], words: str) -> None:
    assert words in " ".join(told(values).notes)


def test_a_resnet_50_of_many_seeds_needs_no_word() -> None:
    assert told({"baseline": [0.5] * 3}, Bag(BAG.tables, BAG.kinds, {"baseline": "resnet50"})).notes == ()


def test_test_is_shown_before_val_and_nothing_without_tables() -> None:
    assert told({"baseline": [0.5]}, splits=("val", "test")).split == "test"
    assert told({"baseline": [0.5]}, splits=("val",)).split == "val"
    assert tricks_of([], [], "baseline") is None


def test_each_trick_has_one_bar_and_pretrained_networks_none() -> None:
    bars = gain_bars(TOLD, "top5")
    assert [(bar.label, bar.group, bar.published is None, bar.ours is None) for bar in bars] == [
        ("a", "First <slide>", False, False),
        ("b", "Again", False, True),
        ("mine", "In no table of the source", True, False),
    ]
    assert [bar.label for bar in gain_bars(TOLD, "top1")] == ["a", "mine"]


def test_bars_reach_as_far_as_the_gain() -> None:
    svg = ET.fromstring(gain_chart(gain_bars(TOLD, "top5")))  # noqa: S314 - our own output
    words = [mark.text for mark in svg.iter(f"{SVG}text")]
    assert {"First <slide>", "not run", "+10.0", "\N{MINUS SIGN}30.0"} <= set(words)
    boxes = [mark.attrib for mark in svg.iter(f"{SVG}rect")][2:]  # the first two are the legend's
    a_published, a, b_published, mine = (float(box["width"]) for box in boxes)
    assert a / a_published == pytest.approx(2, rel=0.02)
    assert mine / a == pytest.approx(3, rel=0.02)
    assert b_published == pytest.approx(a, rel=0.02)
    zero = float(boxes[1]["x"])
    assert float(boxes[3]["x"]) + mine == pytest.approx(zero, abs=0.2)  # a loss goes the other way
    assert a > 5


def test_the_section_tells_every_row_and_escapes() -> None:
    html = _templates().get_template("tricks.html").render(page=SimpleNamespace(tricks=TricksPart(TOLD, ())))
    assert "First &lt;slide&gt;" in html
    assert html.count("not run") == 4 + 2  # steps, and rows
    assert "only" not in html
    assert "12.7 times" in html
    many = told({"baseline": [0.5, 0.5, 0.5], "a": [0.6, 0.6, 0.6]})
    html = _templates().get_template("tricks.html").render(page=SimpleNamespace(tricks=TricksPart(many, ())))
    assert "seeds [+10.0, +10.0]" in html
    empty = _templates().get_template("tricks.html").render(page=SimpleNamespace(tricks=None))
    assert not empty.strip()
