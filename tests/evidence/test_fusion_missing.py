"""Fusing what is missing: whole sources, single figures, and images of which nothing is known."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evidence.fusion import FusionSettings, Mixture, Seen, fit_mixture
from pipeline.evidence.fusion_classes import NAMED, NO_CLASS, likeliest_class
from pipeline.evidence.fusion_verified import correct
from pipeline.evidence.fusion_views import SOURCES, UNKNOWN, Scale, first_guess, margins

N, SETTINGS = 40, FusionSettings(bins=4, rounds=20)
LABEL = np.repeat([0, 1], N // 2)
QUERY = np.repeat(np.arange(4), N // 4).astype(np.int32)

some_sources = st.sets(st.sampled_from(sorted(SOURCES)), min_size=1).map(
    lambda chosen: tuple(name for name in SOURCES if name in chosen)
)


def columns_of(seed: int, missing: float) -> dict[str, np.ndarray]:
    """Figures of every source, of which a share is null; of the last image nothing is known."""
    rng = np.random.default_rng(seed)
    every = {
        "agreement": rng.random(N),
        "neighbour_share": rng.random(N),
        "neighbour_class": rng.integers(2, size=N).astype(float),
        "margin": rng.random(N) * 2 - 1,
        "confidence": rng.random(N),
        "predicted_class": rng.integers(2, size=N).astype(float),
        "predicted_probability": rng.random(N),
        "aum": rng.normal(size=N),
        "keyword": rng.random(N),
        "keyword_other": rng.random(N),
        "semantic": rng.random(N),
        "semantic_other": rng.random(N),
        "position": rng.permutation(N).astype(float) + 1,
    }
    for values in every.values():
        values[rng.random(N) < missing] = np.nan
        values[-1] = np.nan
    return every | {"class_index": LABEL}


def fused(columns: dict[str, np.ndarray], sources: tuple[str, ...]) -> tuple[Mixture, Seen, np.ndarray]:
    margin = margins(columns, sources)
    scale = Scale.fit(margin, sources, SETTINGS.bins)
    scores = scale.scores(margin)
    seen = Seen(scale.bins(scores), QUERY, np.ones(N, np.float32), np.array([0, 0, 1, 1], np.int32), 2)
    return fit_mixture(seen, first_guess(margin, sources), SETTINGS), seen, scores


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 0.3, 0.9, 1]), some_sources)
def test_whatever_is_missing_every_image_has_a_probability(seed: int, missing: float, sources: tuple[str, ...]) -> None:
    columns = columns_of(seed, missing)
    found, seen, scores = fused(columns, sources)
    right = found.probability(seen, slice(None))
    assert ((right > 0) & (right < 1)).all()
    # an image of which nothing is known is no more extreme than its query
    blind = (seen.bins == UNKNOWN).all(axis=1)
    assert blind[-1]
    assert right[blind] == pytest.approx(found.query_share[QUERY[blind]])
    named = tuple(name for name in sources if name in NAMED)
    likeliest = likeliest_class(columns, right, named)
    assert likeliest.class_index[-1] in (NO_CLASS, LABEL[-1])
    assert np.isfinite(likeliest.probability).all()
    # neither do verdicts on others make more of it than of its query
    rows = np.arange(0, N - 1, 3)
    taught = correct(found, seen.only(rows), scores[rows], rows % 2 == 0)
    then = taught.probability(found, seen, scores, slice(None))
    assert ((then > 0) & (then < 1)).all()
    start = taught.odds(found, seen, scores, slice(None))[:, 0]
    assert then[blind] == pytest.approx(1 / (1 + np.exp(-start[blind])))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_a_view_that_falls_silent_leaves_the_others_and_the_query(seed: int, data: Any) -> None:
    found, seen, _ = fused(columns_of(seed, 0), tuple(SOURCES))
    view, image = data.draw(st.integers(0, 2)), data.draw(st.integers(0, N - 2))
    silent = Seen(seen.bins.copy(), seen.query, seen.weight, seen.class_of, seen.classes)
    silent.bins[image, view] = UNKNOWN
    before, after = (found.odds(one, slice(image, image + 1))[0] for one in (seen, silent))
    assert after[1 + view] == 0
    assert np.delete(after, 1 + view).tolist() == np.delete(before, 1 + view).tolist()


def test_what_is_missing_makes_probabilities_less_sure() -> None:
    """Of images that each know all three views, the less of them is left, the nearer all come to their queries."""
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.7
    bins = np.where(right[:, None], rng.integers(1, 4, (2000, 3)), rng.integers(0, 3, (2000, 3))).astype(np.uint8)
    query = np.zeros(2000, np.int32)
    seen = Seen(bins, query, np.ones(2000, np.float32), np.zeros(1, np.int32), 1)
    found = fit_mixture(seen, (bins.mean(axis=1) / 3).astype(np.float32), SETTINGS)
    unsure = []
    for left in (3, 2, 1, 0):
        known = np.where(np.arange(3) < left, bins, UNKNOWN).astype(np.uint8)
        told = found.probability(Seen(known, query, seen.weight, seen.class_of, 1), slice(None))
        unsure.append(float((told * (1 - told)).mean()))
    assert unsure == sorted(unsure)
    assert unsure[0] < 0.8 * unsure[-1]
