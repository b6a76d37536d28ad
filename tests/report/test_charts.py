import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.charts import Curve, Dots, _ticks, histogram, learning_curves, reliability_diagram, seed_dots

HOSTILE = '</text><script>alert("1")</script>&'
CURVES = [Curve(0, (1.0, 2.0, 3.0), (0.25, 0.5, 0.75)), Curve(1, (1.0, 2.0), (0.5, float("nan")))]


def drawn(svg: bytes) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own output; raises where it is not well formed


def marks(svg: bytes, tag: str) -> list[ET.Element]:
    return list(drawn(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def words(svg: bytes) -> list[str | None]:
    return [mark.text for mark in marks(svg, "text")]


def test_curves_have_a_line_each_and_skip_what_is_unknown() -> None:
    svg = learning_curves(CURVES, ["base", "other"], percent=True)
    first, second = (mark.attrib["points"].split() for mark in marks(svg, "polyline"))
    assert (len(first), len(second)) == (3, 1)
    heights = [float(point.split(",")[1]) for point in first]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)  # equal steps rise equally
    assert heights[0] > heights[2]
    assert {"base", "other", "20%", "80%", "epoch"} <= set(words(svg))


def test_dots_show_every_seed_the_mean_and_the_reference() -> None:
    svg = seed_dots([Dots(0, "base", (0.70, 0.72)), Dots(1, "other", (0.75,))], reference=0.71)
    assert len(marks(svg, "circle")) == 3
    assert {"71.0", "75.0", "base", "other"} <= set(words(svg))
    dashed = [line for line in marks(svg, "line") if "stroke-dasharray" in line.attrib]
    low, high = (float(dot.attrib["cx"]) for dot in marks(svg, "circle")[:2])
    assert float(dashed[0].attrib["x1"]) == pytest.approx((low + high) / 2, abs=0.1)


def test_bars_are_as_high_as_their_counts_and_marked_below_the_edge() -> None:
    svg = histogram([4, 2, 0], [0.0, 0.5, 1.0, 1.5], ("weight", "images"), marked_below=0.5)
    bars = marks(svg, "rect")
    first, second, third = (float(bar.attrib["height"]) for bar in bars)
    assert first == pytest.approx(2 * second, abs=0.2)
    assert third == 0
    assert [bar.attrib["class"] for bar in bars] == ["marked", "bar", "bar"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: learning_curves(CURVES, [HOSTILE, HOSTILE], percent=False),
        lambda: seed_dots([Dots(0, HOSTILE, (0.5, 0.5))], 0.5),
        lambda: histogram([1], [0.0, 0.0], (HOSTILE, HOSTILE), -1.0),
        lambda: learning_curves([Curve(0, (1.0,), (float("inf"),))], ["x"], percent=False),
    ],
)
def test_charts_are_well_formed_alike_on_every_call_and_hold_no_script(draw: Callable[[], bytes]) -> None:
    svg = draw()
    assert svg == draw()
    assert not marks(svg, "script")
    assert b"<script" not in svg


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(2, 9))
def test_ticks_enclose_the_range_and_ascend(low: float, span: float, wanted: int) -> None:
    ticks = _ticks(low, low + span, wanted)
    slack = 1e-6 * max(1.0, abs(low), span)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + span - slack
    assert 2 <= len(ticks) <= 2 * wanted + 2
    assert all(a < b for a, b in pairwise(ticks))


def test_honest_probabilities_lie_on_the_dashed_line_and_empty_bins_are_not_drawn() -> None:
    svg = reliability_diagram([0.25, float("nan"), 1.0], [0.25, float("nan"), 0.5], [25, 0, 100])
    honest, bold = ([float(dot.attrib[key]) for key in ("cx", "cy", "r")] for dot in marks(svg, "circle"))
    line = next(mark.attrib for mark in marks(svg, "line") if "stroke-dasharray" in mark.attrib)
    x1, x2, y1, y2 = (float(line[key]) for key in ("x1", "x2", "y1", "y2"))
    assert honest[:2] == pytest.approx([x1 + (x2 - x1) / 4, y1 + (y2 - y1) / 4], abs=0.1)
    assert bold[:2] == pytest.approx([x2, (y1 + y2) / 2], abs=0.1)
    assert (honest[2], bold[2]) == (7, 11.5)  # a quarter of the images, half of what the radius grows by
    assert {"0%", "50%", "100%"} <= set(words(svg))
