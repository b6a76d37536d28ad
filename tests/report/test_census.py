import numpy as np
import pytest

from pipeline.report.census import (
    ClassName,
    CrawlAccount,
    Weights,
    class_rows,
    cluster_counts,
    light_images,
    reason_counts,
)


def test_reasons_are_counted_most_frequent_first() -> None:
    defect = np.array([-1, 2, 0, 2, -1, 2])
    assert reason_counts(defect, ["missing", "empty", "broken"]) == (("broken", 3), ("missing", 1))
    assert reason_counts(np.array([-1], np.int8), ["missing"]) == ()


def test_an_account_is_whole_only_where_nothing_vanished() -> None:
    def account(listed: int, usable: int | None, quarantined: int | None) -> CrawlAccount:
        return CrawlAccount("a", listed, (listed, 0, 0), usable, quarantined, ())

    assert account(5, 3, 2).whole
    assert account(5, 5, 0).whole
    assert not account(5, 3, 1).whole
    assert not account(5, None, None).whole


def test_light_is_measured_within_the_class() -> None:
    classes = np.array([0, 0, 0, 1, 1])
    # class 0 has mean 1.2: below 0.6 is light; class 1 weighs little as a whole, which is no fault of its images
    assert light_images(np.array([0.5, 0.6, 2.5, 0.1, 0.1]), classes).tolist() == [True, False, False, False, False]
    assert not light_images(np.array([0.0, 0.0]), np.array([0, 0])).any()
    # an image that no recipe judged is not light, and no part of the mean
    assert light_images(np.array([1.0, np.nan, 0.3, 1.0]), np.zeros(4, int)).tolist() == [False, False, True, False]


def test_doubles_share_a_weight_and_are_not_light_for_that() -> None:
    # three of one picture, of which the recipe keeps two; a pair; one alone; one that repeats an image of val
    counted = np.array([0.5, 0.5, 0.0, 0.1, 0.1, 1.0, 0.0])
    group, leak = np.array([7, 7, 7, 8, 8, 9, 10]), np.array([False] * 6 + [True])
    weights = Weights.of(counted, group, leak)
    assert weights.counted.tolist() == counted.tolist()
    assert weights.alone == pytest.approx([1, 1, 0, 0.2, 0.2, 1, np.nan], nan_ok=True)
    light = light_images(weights.alone, np.zeros(7, int))
    assert light.tolist() == [False, False, True, True, True, False, False]


def test_clusters_are_counted_per_class() -> None:
    classes, cluster = np.array([0, 0, 0, 2, 2, 2]), np.array([0, 1, 1, 0, -1, 0])
    assert cluster_counts(classes, cluster, 4).tolist() == [2, 0, 1, 0]
    assert cluster_counts(np.zeros(0, np.int32), np.zeros(0, np.int32), 2).tolist() == [0, 0]


def test_class_rows_by_hand() -> None:
    names = [ClassName("cat", "a feline"), ClassName("dog", ""), ClassName("elk", "")]
    usable, defective = np.array([0, 0, 0, 1]), np.array([1, 2, 2])
    weight = np.array([0.2, 1.0, 1.8, 1.0])
    top1 = [np.array([0.5, np.nan, 1.0]), None]
    cat, dog, elk = class_rows(names, usable, defective, Weights(weight, weight), np.array([2, 1, 0]), top1)
    assert (cat.usable, cat.quarantined, cat.clusters) == (3, 0, 2)
    assert cat.weight == pytest.approx(1.0)
    assert cat.light == pytest.approx(1 / 3)
    assert cat.top1 == (0.5, None)
    assert (dog.usable, dog.quarantined, dog.light, dog.top1) == (1, 1, 0.0, (None, None))
    assert (elk.usable, elk.quarantined, elk.weight, elk.light) == (0, 2, None, None)


def test_class_rows_without_weights_or_clusters() -> None:
    (only,) = class_rows([ClassName("cat", "")], np.array([0]), np.zeros(0, np.int32), None, None, [])
    assert (only.weight, only.light, only.clusters, only.top1) == (None, None, None, ())
