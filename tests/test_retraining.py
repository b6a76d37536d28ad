"""When a recipe is trained again: worked by hand."""

import numpy as np
import pytest

from pipeline.retraining import Change, Moved, RetrainingSettings, mean_moved, most_moved, reasons

STILL = Change(images=100, new_images=0, features=None, precision=None)


def test_the_mean_moves_in_units_of_the_usual_distance_from_it() -> None:
    # The known lie at -3 and 3 on one axis: mean 0, and 3 from it. With (6, 0) and (0, 8) the mean of four is (1.5, 2).
    features = np.array([[-3.0, 0.0], [3.0, 0.0], [6.0, 0.0], [0.0, 8.0]])
    known = np.array([True, True, False, False])
    assert mean_moved(features, known) == pytest.approx(2.5 / 3)
    assert mean_moved(1000 * features, known) == pytest.approx(2.5 / 3)  # whatever the scale
    assert mean_moved(features + 7, known) == pytest.approx(2.5 / 3)  # and the origin
    assert mean_moved(features[:2], known[:2]) == 0
    broken = np.vstack([features, [np.inf, np.nan]])
    assert mean_moved(broken, np.append(known, True)) == pytest.approx(2.5 / 3)


def test_half_precision_does_not_overflow() -> None:
    features = np.array([[-300, 0], [300, 0], [600, 0], [0, 800]], np.float16)
    assert mean_moved(features, np.array([True, True, False, False])) == pytest.approx(2.5 / 3, rel=1e-3)


def test_nothing_is_said_of_a_class_that_had_one_image_or_one_point() -> None:
    assert np.isnan(mean_moved(np.array([[1.0], [2.0]]), np.array([True, False])))
    assert np.isnan(mean_moved(np.array([[1.0], [1.0], [2.0]]), np.array([True, True, False])))


def test_the_class_that_moved_most_either_way() -> None:
    assert most_moved(np.array([0.1, -0.4, np.nan, 0.3])) == Moved(1, -0.4)
    assert most_moved(np.array([np.nan])) is None
    assert most_moved(np.array([])) is None


def test_each_condition_is_enough_and_says_so() -> None:
    asked_from = RetrainingSettings(new_share=0.1, feature_drift=0.5, precision_drift=0.2)
    assert reasons(STILL, asked_from) == []
    assert reasons(Change(100, 9, Moved(3, 0.49), Moved(4, 0.19)), asked_from) == []
    assert reasons(Change(100, 10, None, None), asked_from) == [
        "10 of 100 usable images are new, 10.0% (from 10.0% on)"
    ]
    (told,) = reasons(Change(100, 0, Moved(3, 0.5), None), asked_from)
    assert told == "the features of class 3 moved by 0.50 (from 0.50 on)"
    for by in (-0.2, 0.2):
        (told,) = reasons(Change(100, 0, None, Moved(4, by)), asked_from)
        assert f"class 4, {by:+.1%} are right" in told
    assert len(reasons(Change(100, 10, Moved(3, 0.5), Moved(4, -0.2)), asked_from)) == 3
    assert reasons(Change(0, 0, None, None), asked_from) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("new_share", 0.0), ("new_share", 1.1), ("feature_drift", 0.0), ("precision_drift", -0.1), ("class_images", 1)],
)
def test_what_cannot_be_reached_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"retraining\.{name} must be "):
        RetrainingSettings(**{name: value})  # type: ignore[arg-type]
