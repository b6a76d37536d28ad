import numpy as np
import pytest

from pipeline.evidence_tables import EVIDENCE
from pipeline.report.overview import BARS, READINGS, SourceRow, class_means, share_in_words, spread_of, top_names

NAN = float("nan")


def test_every_source_is_explained_by_a_column_it_has() -> None:
    assert [reading.source for reading in READINGS] == list(EVIDENCE)
    assert all(reading.column in EVIDENCE[reading.source].names for reading in READINGS)


def test_spread_by_hand() -> None:
    spread = spread_of(np.array([0.0, NAN, 0.5, 1.0, np.inf], np.float32), (0, 1))
    assert spread is not None
    assert (spread.known, spread.mean, spread.median) == (3, 0.5, 0.5)
    assert [spread.low, spread.high] == pytest.approx([0.1, 0.9])
    assert [(k, bar) for k, bar in enumerate(spread.bars) if bar] == [(0, 1), (BARS // 2, 1), (BARS - 1, 1)]
    row = SourceRow("x", "y", "", 5, spread, ())
    assert row.unknown == pytest.approx(0.4)


def test_the_bars_enclose_the_figures_and_outliers_count_in_the_last() -> None:
    free = spread_of(np.array([3, 5, 5]), None)
    assert free is not None
    assert (free.first, free.last, free.bars[0], free.bars[-1]) == (3, 5, 1, 2)
    bounded = spread_of(np.array([-4.0, 9.0]), (0, 1))
    assert bounded is not None
    assert (bounded.bars[0], bounded.bars[-1]) == (1, 1)
    same = spread_of(np.array([2.0, 2.0]), None)
    assert same is not None
    assert sum(same.bars) == 2


@pytest.mark.parametrize("values", [np.zeros(0), np.array([NAN, np.inf])])
def test_nothing_known_is_no_spread(values: np.ndarray) -> None:
    assert spread_of(values, None) is None
    assert SourceRow("x", "y", "", len(values), None, ()).unknown == 1


def test_class_means_leave_the_unknown_out_and_know_empty_classes() -> None:
    values, starts = np.array([1.0, NAN, 3.0, NAN]), np.array([0, 3, 3, 4])
    assert class_means(values, starts) == (2.0, None, None)
    assert class_means(np.array([True, False, True, True]), starts) == (2 / 3, None, 1.0)
    assert class_means(np.zeros(0), np.array([0, 0])) == (None,)


def test_words() -> None:
    assert share_in_words(1, 8, "stands out") == "1 image (12.5%) stands out"
    assert share_in_words(1200, 4800, "stand out") == "1,200 images (25.0%) stand out"
    assert share_in_words(0, 0, "stand out") == "0 images (0.0%) stand out"
    assert top_names(np.array([1, 0, 5, 1]), ["a", "b", "c", "d"], 2) == (("c", 5 / 7), ("a", 1 / 7))
