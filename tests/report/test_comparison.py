"""The page about two manifests: whatever a crawl says is text."""

from typing import Any

import numpy as np

from pipeline.policy.comparison import CHANGES, QUANTILES, Comparison, Moved, Phrase
from pipeline.report.comparison import (
    ComparisonPage,
    change_rows,
    class_rows,
    reason_rows,
    sentences,
    weights_of,
)
from pipeline.report.render import render_comparison
from pipeline.report.sheets import Caption, Sheet

HOSTILE = "<script>alert(1)</script>"
FOUND = Comparison(
    images=np.array([0, 0, 3, 0, 2, 0, 0, 1]),
    say_a=np.array([0, 0, 3.0, 0, 2.0, 0, 0, 0]),
    say_b=np.array([0, 0, 0, 0, 1.0, 0, 0, 0]),
    relabelled=1,
    moved=0.125,
    ratios=np.linspace(0.25, 1.75, len(QUANTILES)),
    kept=np.array([[3, 2, 0], [1, 1, 0]]),
    class_say=np.array([[3.0, 2.0, 0], [0.5, 0.5, 0]]),
    changed=np.array([3, 2, 0]),
    phrases={
        HOSTILE: Phrase(gone=Moved(3, -2.5)),
        "stays": Phrase(stays=Moved(2, 1.0)),
        "nothing": Phrase(),
        "new": Phrase(come=Moved(4, 0.0)),
    },
    most_lost=[],
    most_gained=[],
    most_relabelled=[],
)


def test_what_is_told_of_a_comparison() -> None:
    assert [(row.name, row.images) for row in change_rows(FOUND)] == [
        *((CHANGES[2], 3), (CHANGES[4], 2), (CHANGES[7], 1)),
    ]
    assert [row.words for row in reason_rows(FOUND)] == ["new", HOSTILE, "stays"]
    assert [(row.name, row.changed, row.images) for row in class_rows(FOUND, ["cat", "dog", "empty"])] == [
        *(("cat", 3, (3, 1)), ("dog", 2, (2, 1))),
    ]
    first, second, third = sentences(FOUND)
    assert first == "12.5% of the training falls to other images in B than in A."
    assert "1.00 times as much at the median; the middle half 0.75 to 1.25, the extremes 0.25 and 1.75" in second
    assert third == "1 image has another class."


def test_an_image_s_weights_in_words() -> None:
    row: dict[str, Any] = {
        "weight_a": 0.5,
        "repeats_a": 3,
        "class_index_a": 0,
        "weight_b": 0.0,
        "repeats_b": 0,
        "class_index_b": 1,
    }
    assert weights_of(row, ["cat", "dog"]) == "0.50 \N{MULTIPLICATION SIGN} 3 → left out, cat → dog"
    row |= {"weight_b": None, "repeats_b": None, "class_index_b": None}
    assert weights_of(row, ["cat", "dog"]) == "0.50 \N{MULTIPLICATION SIGN} 3 → not listed"


def test_nothing_a_crawl_says_becomes_markup() -> None:
    caption = Caption(HOSTILE, HOSTILE, None, None, facts=(HOSTILE,))
    sheet = Sheet("Lose most", "", "data:image/jpeg;base64,", 1, (caption,), beside=True)
    classes = class_rows(FOUND, [HOSTILE] * 3)
    page = ComparisonPage(HOSTILE, "b", sentences(FOUND), change_rows(FOUND), reason_rows(FOUND), classes, (sheet,))
    html = render_comparison(page).decode()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 7
