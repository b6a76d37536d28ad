"""The chain: chosen on some images, told on others, errors counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.chain import chain_rows, choose, judges, reductions
from pipeline.intervals import Shares
from pipeline.tricks import Bag, Kind, PublishedRow, PublishedTable, Row

KINDS: dict[str, Kind] = {
    "baseline": "baseline",
    "a": "manifest",
    "b": "manifest",
    "taught": "student",
    "all": "ensemble",
}
PUBLISHED = PublishedTable(
    "t",
    "Table",
    (
        PublishedRow("Base", "baseline", 0.6),
        PublishedRow("A", "a", 0.5),
        PublishedRow("B", "b", 0.7),
        PublishedRow("Taught", "taught", 0.7),
        PublishedRow("All", "all", 0.9),
    ),
)
BAG = Bag(tables=(PUBLISHED,), kinds=KINDS)


def shares(first: list[float], fifth: list[float] | None = None, start: int = 0) -> Shares:
    images = np.arange(start, start + len(first), dtype=np.int64)
    return Shares(images, np.zeros(len(first), np.int32), np.array([first, fifth or first], np.float64).T)


def of(told: list[Row], metric: str) -> dict[str, Row]:
    return {row["step"]: row for row in told if row["metric"] == metric}


def test_val_chooses_and_test_tells() -> None:
    val = {"baseline": shares([0, 0, 1]), "a": shares([1, 1, 0]), "b": shares([1, 0, 0])}
    test = {"baseline": shares([0, 0, 0, 1] * 9), "a": shares([1, 0, 0, 1] * 9), "b": shares([1] * 36)}
    rows = of(chain_rows({"val": val, "test": test}, BAG, "baseline"), "top1")
    manifest = rows["manifest"]
    assert (manifest["recipe"], manifest["chosen_on"], manifest["told_on"]) == ("a", "val", "test")  # b is best on test
    assert (manifest["images"], manifest["value"]) == (36, 0.5)
    assert manifest["reduced"] == pytest.approx(1 / 3)  # of three errors one is gone
    assert manifest["reduced_low"] <= 1 / 3 <= manifest["reduced_high"]
    assert "reduced" not in rows["baseline"]
    assert "value" not in rows["student"]


def test_a_step_is_counted_from_the_first_and_from_the_one_before() -> None:
    told = reductions(
        {
            "baseline": shares([1, 0, 0, 0, 0], [1, 1, 1, 0, 0]),
            "manifest": shares([1, 1, 1, 0, 0], [1, 1, 1, 0, 0]),
            "ensemble": shares([1, 1, 1, 1, 0], [1, 1, 1, 1, 1]),
        }
    )
    last = told["ensemble"]
    assert (last["top1"]["reduced"], last["top1"]["step_reduced"]) == (pytest.approx(3 / 4), pytest.approx(1 / 2))
    assert (last["top5"]["reduced"], last["top5"]["step_reduced"]) == (1, 1)
    assert told["manifest"]["top5"]["reduced"] == 0


def test_no_error_leaves_nothing_to_reduce() -> None:
    told = reductions({"baseline": shares([1, 1]), "manifest": shares([1, 0])})
    assert told["manifest"]["top1"]["value"] == 0.5
    assert told["manifest"]["top1"]["reduced"] is None


def test_pairs_make_the_interval_narrow() -> None:
    base = (np.arange(200) % 2).astype(float)
    better = base.copy()
    better[:20:2] = 1  # ten of a hundred errors
    told = reductions({"baseline": shares(base.tolist()), "manifest": shares(better.tolist())})["manifest"]["top1"]
    assert told["reduced"] == pytest.approx(0.1)
    assert 0.03 < told["reduced_low"] < told["reduced"] < told["reduced_high"] < 0.17  # unpaired it were -0.2 to 0.3


def test_of_one_split_a_half_chooses_and_the_other_tells() -> None:
    rng = np.random.default_rng(0)
    one = {name: shares((rng.random(100) < 0.5).astype(float).tolist()) for name in ("baseline", "a", "b")}
    by = judges({"test": one}, "baseline")
    assert by is not None
    assert (by.chosen_on, by.told_on) == ("half of test", "the other half of test")
    chose, told = set(by.choosing["a"].image_id.tolist()), set(by.telling["a"].image_id.tolist())
    assert not chose & told
    assert len(chose | told) == 100
    assert 30 < len(chose) < 70
    assert by.telling["a"].share.shape == (len(told), 2)


def test_recipes_that_judged_other_images_are_not_compared() -> None:
    by = judges({"val": {"baseline": shares([0, 1]), "a": shares([1, 1], start=5)}, "test": {}}, "baseline")
    assert by is None or "a" not in by.choosing
    only_val = judges(
        {
            "val": {"baseline": shares([0, 1]), "a": shares([1, 1])},
            "test": {"baseline": shares([0, 1]), "a": shares([1, 1], start=5)},
        },
        "baseline",
    )
    assert only_val is not None
    assert set(only_val.choosing) == {"baseline"}  # what cannot be told is not chosen
    assert judges({"test": {"a": shares([1, 1])}}, "baseline") is None
    assert judges({}, "baseline") is None


def test_the_first_of_equal_ones_is_chosen_and_others_have_no_step() -> None:
    told = {name: shares([1, 0]) for name in ("baseline", "b", "a", "deeper", "all")} | {"deeper": shares([1, 1])}
    assert choose(told, KINDS) == {"baseline": "baseline", "manifest": "b", "ensemble": "all"}


def test_the_published_chain_stands_whole_without_any_run() -> None:
    rows = of(chain_rows({}, BAG, "baseline"), "class_top5")
    assert [row["published_row"] for row in rows.values()] == ["Base", "B", "Taught", "All"]
    assert "published_reduced" not in rows["baseline"]
    assert rows["manifest"]["published_reduced"] == pytest.approx(0.1 / 0.4)
    assert rows["student"]["published_step_reduced"] == 0
    assert (rows["ensemble"]["published_reduced"], rows["ensemble"]["published_step_reduced"]) == pytest.approx(
        (0.3 / 0.4, 0.2 / 0.3)
    )
    assert not any("recipe" in row for row in rows.values())
    assert "published" not in of(chain_rows({}, BAG, "baseline"), "top5")["baseline"]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_steps_compose(hits: list[tuple[bool, bool, bool]]) -> None:
    """What is left after two steps is the product of what each left."""
    base, middle, last = (shares([float(hit) for hit in column]) for column in zip(*hits, strict=True))
    told = reductions({"baseline": base, "manifest": middle, "ensemble": last})
    first, last_step = told["manifest"]["top1"]["reduced"], told["ensemble"]["top1"]
    second, both = last_step["step_reduced"], last_step["reduced"]
    if first is not None and second is not None:
        assert 1 - both == pytest.approx((1 - first) * (1 - second))
