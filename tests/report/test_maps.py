import xml.etree.ElementTree as ET

import numpy as np
import pytest
from sklearn.decomposition import PCA

from pipeline.report.maps import RAMP, UNKNOWN, Marks, draw_map, graded, levelled, project

NAN = float("nan")


@pytest.mark.parametrize(("n", "d"), [(30, 5), (6, 40)])  # either Gram matrix
def test_the_map_is_the_first_two_principal_components(n: int, d: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, d)) * np.linspace(3, 1, d)
    expected = PCA(2).fit_transform(points)
    place = project(points)
    np.testing.assert_allclose(np.abs(place), np.abs(expected), atol=1e-8)
    assert (place[np.abs(place).argmax(axis=0), [0, 1]] > 0).all()  # each direction points to its largest coordinate


def test_equal_images_in_another_order_lie_where_they_lay() -> None:
    rng = np.random.default_rng(1)
    points, order = rng.normal(size=(20, 3)), rng.permutation(20)
    np.testing.assert_allclose(project(points[order]), project(points)[order], atol=1e-9)


def test_degenerate_features_have_a_place_or_none() -> None:
    assert project(np.zeros((0, 4))).shape == (0, 2)
    assert project(np.ones((1, 4))).tolist() == [[0, 0]]
    assert project(np.full((3, 4), 7.0)).tolist() == [[0, 0]] * 3  # constant
    line = project(np.array([[0.0, 0], [1, 1], [2, 2]]))
    np.testing.assert_allclose(np.abs(line), np.array([[1, 0], [0, 0], [1, 0]]) * 2**0.5, atol=1e-7)
    broken = project(np.array([[0.0, 0], [NAN, 1], [2, np.inf], [1, 0]], np.float16))
    assert np.isnan(broken).any(axis=1).tolist() == [False, True, True, False]


def test_grades_run_from_the_highest_figures_and_name_the_unknown() -> None:
    high, low, unknown = graded(np.array([0.5, 0.49, 1.0, NAN]), (0.5,), ("low", "high"))
    assert (high.label, high.points.tolist(), high.colour) == ("high", [0, 2], RAMP[0])
    assert (low.label, low.points.tolist(), low.colour, low.shape) == ("low", [1], RAMP[-1], "cross")
    assert (unknown.points.tolist(), unknown.colour) == ([3], UNKNOWN)
    assert [mark.label for mark in graded(np.array([0.1]), (0.5,), ("low", "high"))] == ["high", "low"]


def test_levels_keep_their_order() -> None:
    marks = levelled(np.array([2, 0, -1, 0]), ("clean", "noisy", "worse"))
    assert [(mark.label, mark.points.tolist()) for mark in marks] == [
        ("clean", [1, 3]),
        ("noisy", []),
        ("worse", [0]),
        ("not known", [2]),
    ]
    assert len({mark.colour for mark in marks}) == 4


def test_a_map_draws_every_image_once_to_one_scale_with_its_legend() -> None:
    place = np.array([[0.0, 0], [10, 0], [0, 1], [NAN, NAN]])
    marks = [Marks("<b>", RAMP[0], "disc", np.array([0, 1, 3])), Marks("rare", RAMP[4], "cross", np.array([2]))]
    svg = draw_map(place, marks)
    assert svg == draw_map(place, marks)
    tree = ET.fromstring(svg)  # noqa: S314 - our own output; raises where it is not well formed
    names = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert names == ["<b> (3)", "rare (1)"]
    paths = [node.attrib["d"] for node in tree.iter("{http://www.w3.org/2000/svg}path")]
    frequent, rare = paths[-2:]  # the rare ones are drawn last, on top
    assert (frequent.count("M"), rare.count("M")) == (2, 1)
    (x0, y0), (x1, y1) = (tuple(map(float, mark.removesuffix("h0").split())) for mark in frequent[1:].split("M"))
    x2, y2 = (float(part) + 2.6 for part in rare[1:].split("l")[0].split())
    assert y0 == y1
    assert x0 == pytest.approx(x2, abs=0.2)
    assert (y0 - y2) * 10 == pytest.approx(x1 - x0, abs=1)  # up is up, and a unit is as long as across
    assert b"<b>" not in svg


def test_a_map_without_images_is_a_frame() -> None:
    assert b"<rect" in draw_map(np.zeros((0, 2)), [Marks("x", RAMP[0], "disc", np.zeros(0, np.int64))])
    assert b"<rect" in draw_map(np.zeros((2, 2)), [Marks("x", RAMP[0], "disc", np.arange(2))])
