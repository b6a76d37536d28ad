"""Shares of queries under a mixture that was fitted to others, worked by hand."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evidence.fusion import FusionSettings, Mixture, Seen
from pipeline.evidence.fusion_later import later_shares
from pipeline.evidence.fusion_views import UNKNOWN

#: One view of two bins, of which one is three times as frequent among right images, the other among wrong ones; two
#: classes, half of whose images are right. A query's share is drawn to that by two images.
LOG3 = float(np.log(3))
MIXTURE = Mixture(np.tile([LOG3, -LOG3, 0.0], (1, 2, 1)), np.empty(0), np.full(2, 0.5), 0.5, 2.0, 1, 0.0)


def shares(
    images: Sequence[tuple[int, int, float]], class_of: Sequence[int] = (0,), *, rounds: int = 100, alike: float = 0.0
) -> npt.NDArray[np.float64]:
    """Of images as bin, query and weight."""
    bins, query, weight = zip(*images, strict=True)
    seen = Seen(
        np.array(bins, np.uint8)[:, None],
        np.array(query, np.int32),
        np.array(weight, np.float32),
        np.array(class_of, np.int32),
        2,
    )
    return later_shares(MIXTURE, seen, FusionSettings(rounds=rounds, alike=alike))


def test_one_round_by_hand() -> None:
    # from a share of 1/2 an image of the first bin is right with 3/4: (3/4 + 2 * 1/2) / (1 + 2)
    assert shares([(0, 0, 1)], rounds=1) == pytest.approx([1.75 / 3])
    # a picture that there are two of counts half each time: (3/8 + 1) / (1/2 + 2)
    assert shares([(0, 0, 0.5)], rounds=1) == pytest.approx([1.375 / 2.5])
    # where results are alike by 1/2, two count as 4/3 of one, both right with 3/4: (4/3 * 3/4 + 1) / (4/3 + 2)
    assert shares([(0, 0, 1), (0, 0, 1)], rounds=1, alike=0.5) == pytest.approx([0.6])


def test_the_share_that_reproduces_itself() -> None:
    # s = (3 s / (1 + 2 s) + 1) / 3, which is 6 s^2 - 2 s - 1 = 0
    assert shares([(0, 0, 1)]) == pytest.approx([(1 + np.sqrt(7)) / 6], abs=1e-3)
    # one for and one against, or nothing known: the share of the class
    assert shares([(0, 0, 1), (1, 0, 1), (UNKNOWN, 1, 1)], (0, 0)) == pytest.approx([0.5, 0.5])


IMAGES = st.lists(
    st.tuples(st.sampled_from([0, 1, UNKNOWN]), st.integers(0, 3), st.sampled_from([1.0, 0.5, 0.25])), min_size=1
)


@given(IMAGES)
def test_each_query_is_judged_by_its_own_images_alone(images: list[tuple[int, int, float]]) -> None:
    together = shares(images, (0, 0, 1, 1), alike=0.05)
    assert ((together > 0) & (together < 1)).all()
    for query in range(4):
        own = [(bins, 0, weight) for bins, of, weight in images if of == query]
        assert together[query] == (shares(own, alike=0.05)[0] if own else 0.5)
