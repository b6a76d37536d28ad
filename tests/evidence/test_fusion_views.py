"""Margins, views and bins on images worked by hand."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.evidence.fusion_views import UNKNOWN, Scale, first_guess, margins

NAN = np.nan


def table(**told: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in told.items()}


def test_margins_are_what_speaks_for_the_label_minus_what_speaks_for_the_best_other() -> None:
    columns = table(
        class_index=[0, 0, 1, 1],
        agreement=[0.8, 0.3, 0.2, NAN],
        neighbour_class=[0, 0, 2, NAN],
        neighbour_share=[0.8, 0.3, 0.6, NAN],
        margin=[0.5, NAN, -0.25, -1],
        aum=[0, np.inf, NAN, -2 * np.arctanh(0.5)],
        keyword=[0.7, 0, NAN, 0.5],
        keyword_other=[0.2, 0.7, NAN, 0.5],
        semantic=[0.5, 0, NAN, -0.5],
        semantic_other=[0.1, 0.5, NAN, 0.5],
        position=[1, 4, NAN, 2],
    )
    found = margins(columns, ("neighbours", "opinion", "aum", "keyword", "semantic", "rank"))
    expected = [
        [0.6, 0.5, 0, 0.5, 0.2, 0.75],
        # three of ten neighbours are its own and no class has more: the best other has at most as many
        [0, NAN, 1, -0.7, -0.25, -0.75],
        [-0.4, -0.25, NAN, NAN, NAN, NAN],
        [NAN, -1, -0.5, 0, -0.5, -0.5],
    ]
    assert found == pytest.approx(np.array(expected), nan_ok=True, abs=1e-6)


def test_the_first_guess_is_the_mean_over_views_and_does_not_ask_ranks() -> None:
    margin = np.array([[1, 0, -1, 1], [NAN, NAN, NAN, -1], [-1, -1, NAN, NAN]], np.float32)
    # picture: (1 + 0) / 2, text: -1; then from [-1, 1] to [0, 1]
    assert first_guess(margin, ("neighbours", "opinion", "keyword", "rank")).tolist() == [0.375, 0.5, 0]


def test_scores_are_shares_of_images_and_bins_hold_equally_many() -> None:
    rng = np.random.default_rng(0)
    margin = np.stack([rng.normal(size=4000), 100 * rng.random(4000), np.full(4000, NAN)], axis=1)
    scale = Scale.fit(margin, ("opinion", "keyword", "rank"), 4)
    scores = scale.scores(margin)
    assert scores[:, 0] == pytest.approx(margin[:, 0].argsort().argsort() / 3999, abs=0.005)
    assert np.isnan(scores[:, 2]).all()
    bins = scale.bins(scores)
    assert np.bincount(bins[:, 1]).tolist() == pytest.approx([1000] * 4, abs=30)
    assert (bins[:, 2] == UNKNOWN).all()


def test_a_view_is_the_mean_of_the_sources_that_know() -> None:
    margin = np.array([[-1, 1], [0, NAN], [1, -1], [NAN, NAN]])
    scores = Scale.fit(margin, ("neighbours", "opinion"), 2).scores(margin)
    assert scores[:, 0].tolist() == pytest.approx([0.5, 0.5, 0.5, NAN], nan_ok=True)


def test_equal_margins_share_one_rank_however_many() -> None:
    margin = np.array([[0.0]] * 5)
    scale = Scale.fit(margin, ("opinion",), 3)
    assert scale.scores(margin)[:, 0].tolist() == [0.5] * 5
    assert len(set(scale.bins(scale.scores(margin))[:, 0].tolist())) == 1


@example([1.1e-308, -2.2e-309], 0, 0)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.floats(-2, 2), st.floats(-2, 2))
def test_a_larger_margin_never_scores_lower(sample: list[float], a: float, b: float) -> None:
    scale = Scale.fit(np.array(sample)[:, None], ("opinion",), 5)
    low, high = scale.scores(np.array(sorted([a, b]))[:, None])[:, 0]
    assert 0 <= low <= high <= 1
