import numpy as np
import pytest

from pipeline.report.results import Gain, Spread, best_recipe, class_top1, hits_of, split_results


def row(recipe: str, seed: int, split: str, top1: float) -> dict[str, object]:
    other = {"top5": 0.9, "class_top1": top1 / 2, "class_top5": 0.8, "calibration_error": top1 / 4}
    return {"recipe": recipe, "seed": seed, "split": split, "images": 10, "top1": top1, **other}


SUMMARY = [
    row("weighed", 1, "test", 0.8),
    row("weighed", 0, "test", 0.6),
    row("base", 0, "test", 0.5),
    row("base", 0, "val", 0.75),
    row("weighed", 0, "val", 0.25),
    row("second", 0, "val", 0.5),
    row("stranger", 0, "val", 1.0),
]


def sure(recipe: str, metric: str, value: float, gain: float | None) -> dict[str, object]:
    ends = {"low": value - 0.1, "high": value + 0.1}
    gains = {"gain": gain, "gain_low": gain and gain - 0.2, "gain_high": gain and gain + 0.2}
    return {"recipe": recipe, "split": "test", "metric": metric, "images": 10, "value": value} | ends | gains


INTERVALS = [sure("base", "top1", 0.5, None), sure("weighed", "top5", 0.9, 0.0), sure("weighed", "top1", 0.7, 0.25)]


def test_seeds_fold_into_mean_low_and_high() -> None:
    test, val = split_results(SUMMARY, INTERVALS, ["base", "weighed", "second"])
    assert (test.split, val.split, test.images) == ("test", "val", 10)
    base, weighed = test.rows
    assert weighed.seeds == 2
    assert weighed.top1 == (0.6, 0.8)  # in the order of the seeds
    top1, _, class_mean, _ = weighed.scores
    assert (top1.mean, top1.low, top1.high) == pytest.approx((0.7, 0.6, 0.8))
    assert class_mean.mean == pytest.approx(0.35)
    assert weighed.sure == Spread(0.7, 0.7 - 0.1, 0.7 + 0.1)
    assert weighed.gain == Gain(0.25, 0.25 - 0.2, 0.25 + 0.2, 10)
    assert weighed.calibration_error == pytest.approx(0.175)
    assert weighed.leads
    assert base.sure is not None
    assert base.gain is None
    assert val.rows[1].sure is None
    assert not base.leads
    assert [row.recipe for row in val.rows] == ["base", "weighed", "second"]  # the stranger is not of this run


def test_best_is_chosen_on_val_and_on_test_only_without_val() -> None:
    recipes = ["base", "weighed", "second"]
    assert best_recipe(split_results(SUMMARY, [], recipes), "base") == "second"
    only_test = [entry for entry in SUMMARY if entry["split"] == "test"]
    assert best_recipe(split_results(only_test, [], recipes), "base") == "weighed"
    assert best_recipe(split_results(SUMMARY, [], ["base"]), "base") is None
    assert split_results([], [], recipes) == ()


def test_hits_average_the_seeds_of_each_image() -> None:
    ids = np.array([7, 3, 7, 3, 9], np.int64)
    hits = hits_of(ids, np.array([1, 0, 1, 0, 1]), np.array([True, False, False, False, True]))
    assert hits.image_id.tolist() == [3, 7, 9]
    assert hits.class_index.tolist() == [0, 1, 1]
    assert hits.share.tolist() == [0.0, 0.5, 1.0]
    np.testing.assert_array_equal(class_top1(hits, 3), [0.0, 0.75, np.nan])
