"""Which class an image most probably is of, worked by hand."""

from typing import Any

import numpy as np
import pytest

from pipeline.evidence.fusion_classes import likeliest_class

NAN = np.nan
BOTH = ("neighbours", "opinion")


def table(n: int, **told: list[float]) -> dict[str, np.ndarray]:
    usual = {name: [NAN] * n for name in ("neighbour_class", "neighbour_share", "agreement")}
    usual |= {name: [NAN] * n for name in ("predicted_class", "predicted_probability", "confidence")}
    return {"class_index": np.zeros(n, np.int32)} | {k: np.array(v, float) for k, v in (usual | told).items()}


@pytest.mark.parametrize(
    ("right", "neighbours", "opinion", "expected"),
    [
        (0.9, (1, 0.8, 0.2), (1, 0.9, 0.1), (0, 0.9)),  # its own
        (0.1, (1, 0.6, 0.2), (1, 0.9, 0.1), (1, 0.9 * (0.75 + 1) / 2)),  # both name the same
        (0.1, (1, 0.6, 0.2), (2, 0.9, 0.1), (2, 0.9 * 1 / 2)),  # half of what is left each, the surer one wins
        (0.1, (2, 0.8, 0.2), (1, 0.9, 0.1), (1, 0.45)),  # equally sure: the lower class
        (0.1, (1, 0.8, 0.2), (NAN, NAN, NAN), (1, 0.9)),  # only one knows the image
        (0.1, (1, 0.8, 0.2), (0, 0.6, 0.6), (1, 0.45)),  # the other has nothing against the label
        (0.1, (1, 0.3, 0.25), (0, 0.6, 0.6), (-1, 0)),  # rather none of the classes: 0.18 against 0.72
        (0.1, (NAN, NAN, NAN), (NAN, NAN, NAN), (-1, 0)),
        (0.5, (NAN, NAN, NAN), (NAN, NAN, NAN), (0, 0.5)),  # as likely as not: the label stays
        (0.0, (1, 1, 0), (1, 1, 0), (1, 1)),
    ],
)
def test_what_the_label_leaves_is_shared_out(
    right: float, neighbours: tuple[float, ...], opinion: tuple[float, ...], expected: tuple[int, float]
) -> None:
    names = (
        "neighbour_class",
        "neighbour_share",
        "agreement",
        "predicted_class",
        "predicted_probability",
        "confidence",
    )
    told: dict[str, Any] = {name: [value] for name, value in zip(names, (*neighbours, *opinion), strict=True)}
    found = likeliest_class(table(1, **told), np.array([right]), BOTH)
    assert (found.class_index[0], found.probability[0]) == (expected[0], pytest.approx(expected[1]))


def test_without_a_source_only_the_label_can_be_named() -> None:
    found = likeliest_class(table(2), np.array([0.7, 0.2]), ())
    assert found.class_index.tolist() == [0, -1]
