"""The source's tables beside ours, by hand."""

import pytest

from pipeline.intervals import METRICS
from pipeline.tricks import YOURS, Bag, PublishedRow, PublishedTable, Row, over_seeds, trick_rows

BAG = Bag(
    tables=(
        PublishedTable("first", "First slide", (PublishedRow("Base", "baseline", 0.7), PublishedRow("A", "a", 0.75))),
        PublishedTable("nets", "Networks", (PublishedRow("Wide", None, 0.8, 0.5), PublishedRow("B", "b", None))),
    ),
    kinds={"baseline": "baseline", "a": "manifest", "b": "manifest"},
    networks={"baseline": "resnet18", "a": "resnet18", "mine": "resnet50"},
)


def scores(recipe: str, values: list[float], split: str = "test") -> list[Row]:
    told = enumerate(values)
    return [{"recipe": recipe, "seed": s, "split": split, **dict.fromkeys(METRICS, value)} for s, value in told]


def sure(recipe: str, value: float, gain: float | None, split: str = "test") -> list[Row]:
    gains = {} if gain is None else {"gain": gain, "gain_low": gain - 0.02, "gain_high": gain + 0.03}
    ends = {"value": value, "low": value - 0.1, "high": value + 0.1, "images": 40}
    return [{"recipe": recipe, "split": split, "metric": metric} | ends | gains for metric in METRICS]


SUMMARY = [*scores("baseline", [0.5, 0.6]), *scores("a", [0.7, 0.6]), *scores("mine", [0.4])]
INTERVALS = [*sure("baseline", 0.55, None), *sure("a", 0.65, 0.1), *sure("mine", 0.4, -0.1)]


def rows(metric: str = "class_top5") -> dict[tuple[str, str], Row]:
    told = trick_rows(BAG, SUMMARY, INTERVALS, "baseline")
    return {(row["table"], row["row"]): row for row in told if row["metric"] == metric}


def test_every_row_stands_beside_ours_and_what_is_in_no_table_stands_last() -> None:
    found = rows()
    assert list(found) == [("first", "Base"), ("first", "A"), ("nets", "Wide"), ("nets", "B"), (YOURS, "mine")]
    a = found["first", "A"]
    assert (a["recipe"], a["network"], a["seeds"], a["images"], a["split"]) == ("a", "resnet18", 2, 40, "test")
    assert (a["published"], a["published_gain"]) == (0.75, pytest.approx(0.05))
    assert (a["value"], a["lowest"], a["highest"], a["low"], a["high"]) == pytest.approx((0.65, 0.6, 0.7, 0.55, 0.75))
    assert (a["gain"], a["gain_low"], a["gain_high"]) == pytest.approx((0.1, 0.08, 0.13))


def test_the_baseline_has_no_gain() -> None:
    base = rows()["first", "Base"]
    assert base["published_gain"] is None
    assert "gain" not in base


def test_what_was_not_run_has_no_figure_of_ours() -> None:
    wide, b = rows()["nets", "Wide"], rows()["nets", "B"]
    assert (wide["seeds"], wide["recipe"], wide["network"]) == (0, None, None)
    assert (b["seeds"], b["recipe"], b["published"]) == (0, "b", None)
    assert "value" not in wide
    assert "value" not in b


def test_published_figures_are_of_the_class_means() -> None:
    assert rows("class_top1")["nets", "Wide"]["published"] == 0.5
    assert rows("class_top1")["nets", "Wide"]["published_gain"] is None  # no top-1 of the baseline was published
    assert rows("top5")["nets", "Wide"]["published"] is None


def test_gains_over_seeds_are_paired_and_one_seed_has_no_interval() -> None:
    a, mine = rows()["first", "A"], rows()[YOURS, "mine"]
    # seed by seed +0.2 and 0.0: mean 0.1, deviation 0.1414, and 12.706 / sqrt(2) of it
    half = 12.706 * 0.1
    assert (a["gain_seeds_low"], a["gain_seeds_high"]) == pytest.approx((0.1 - half, 0.1 + half), rel=1e-3)
    assert (a["seeds_low"], a["seeds_high"]) == (pytest.approx(0.65 - 12.706 * 0.05, rel=1e-2), 1.0)  # no share is more
    assert (mine["seeds"], mine["seeds_low"], mine["gain_seeds_high"]) == (1, None, None)


def test_the_interval_over_seeds_is_students() -> None:
    # of 1, 2, 3: mean 2, deviation 1, t of two degrees of freedom 4.3027
    assert over_seeds([1, 2, 3]) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), rel=1e-4)
    assert over_seeds([2, 2, 2]) == (2, 2)
    assert over_seeds([1]) == (None, None)


def test_each_split_has_its_own_rows() -> None:
    both = [*SUMMARY, *scores("baseline", [0.9, 0.9], "val")]
    told = trick_rows(BAG, both, [*INTERVALS, *sure("baseline", 0.9, None, "val")], "baseline")
    val = {row["row"]: row for row in told if (row["split"], row["metric"]) == ("val", "top1")}
    assert (val["Base"]["value"], val["A"]["seeds"], val["mine"]["seeds"]) == (0.9, 0, 0)


def test_without_any_score_the_published_tables_stand() -> None:
    told = trick_rows(BAG, [], [], "baseline")
    assert {row["split"] for row in told} == {"test"}
    assert {row["table"] for row in told} == {"first", "nets"}
    assert not any(row["seeds"] for row in told)
