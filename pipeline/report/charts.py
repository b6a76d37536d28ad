"""Charts of results and counts, as small SVG documents."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.report.svg import WIDTH, cut, document, number, scale, text
from pipeline.report.svg import line as straight

#: One per recipe in the order of the run, the first for the baseline; legible on white and on black.
COLOURS: Final = ("#868e99", "#3b78e7", "#d9730d", "#2a9d6f", "#9b5fd0", "#d1495b", "#1795a8", "#a3752f")


@dataclass(frozen=True)
class Curve:
    """One training: its figure after each epoch."""

    recipe: int  # position in the run's recipes, picks the colour
    epochs: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Dots:
    """One recipe's figure for each seed."""

    recipe: int
    label: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class GainBar:
    """What one trick gained over its baseline, as shares; None where it was not published, or not run."""

    label: str
    group: str  # bars of one group stand together under its name
    published: float | None
    ours: float | None
    low: float | None  # of the interval of ours
    high: float | None


def learning_curves(curves: Sequence[Curve], labels: Sequence[str], percent: bool) -> bytes:
    """Lines over epochs, one per training, coloured by recipe.

    Args:
        curves: at least one, each with at least one epoch; only finite values are drawn.
        labels: the recipes' names, by position.
        percent: values are shares and the axis is in percent.
    """
    points = [[(x, y) for x, y in zip(c.epochs, c.values, strict=True) if math.isfinite(y)] for c in curves]
    every = [point for line in points for point in line] or [(1.0, 0.0)]
    used = sorted({curve.recipe for curve in curves})
    legend, top = _legend([(recipe, labels[recipe]) for recipe in used])
    height, left, right, bottom = 250 + top, 48, 14, 40
    y_ticks = _ticks(min(y for _, y in every), max(y for _, y in every), 5)
    first, last = min(x for x, _ in every), max(x for x, _ in every)
    at_x = scale(first, last, left, WIDTH - right)
    at_y = scale(y_ticks[0], y_ticks[-1], height - bottom, top + 8)
    body = [legend, *_rows(y_ticks, at_y, (left, WIDTH - right), percent)]
    whole = [x for x in _ticks(first, last, 7) if first <= x <= last and x == round(x)]
    body += [text(at_x(x), height - bottom + 17, number(x), "mid") for x in whole]
    body.append(text((left + WIDTH - right) / 2, height - 6, "epoch", "mid"))
    for curve, line in zip(curves, points, strict=True):
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in line)
        colour = _colour(curve.recipe)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.7" opacity=".85"/>')
        body += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="2.6" fill="{colour}"/>' for x, y in line[-1:]]
    return document(height, body)


def seed_dots(rows: Sequence[Dots], reference: float | None) -> bytes:
    """A row per recipe: a dot per seed, a bar from the lowest to the highest, a tick at the mean with its figure.

    The axis does not start at zero, therefore dots and not bars.

    Args:
        rows: at least one, each with at least one share in [0, 1].
        reference: share marked by a dashed line (the baseline's mean), or None.
    """
    every = [value for row in rows for value in row.values]
    ticks = _ticks(min(every), max(every), 5)
    left, right, step, top = 12 + 7 * min(22, max(len(row.label) for row in rows)), 62, 34, 8
    height = top + step * len(rows) + 34
    at = scale(ticks[0], ticks[-1], left, WIDTH - right)
    floor = top + step * len(rows)
    body = []
    for tick in ticks:
        body.append(straight(at(tick), top, at(tick), floor, "grid"))
        body.append(text(at(tick), floor + 18, number(100 * tick), "mid"))
    if reference is not None:
        dashed = f'x1="{at(reference):.1f}" x2="{at(reference):.1f}" y1="{top}" y2="{floor}"'
        body.append(f'<line {dashed} class="axis" stroke-dasharray="3 3"/>')
    for k, row in enumerate(rows):
        y, colour, mean = top + step * (k + 0.5), _colour(row.recipe), sum(row.values) / len(row.values)
        low, high = at(min(row.values)), at(max(row.values))
        body.append(text(left - 10, y + 4, cut(row.label, 22), "end strong"))
        body.append(f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        tall = f'x1="{at(mean):.1f}" x2="{at(mean):.1f}" y1="{y - 9}" y2="{y + 9}"'
        body.append(f'<line {tall} stroke="{colour}" stroke-width="3"/>')
        body += [f'<circle cx="{at(v):.1f}" cy="{y}" r="4" fill="{colour}" opacity=".8"/>' for v in row.values]
        body.append(text(WIDTH - right + 16, y + 4, f"{100 * mean:.1f}", "strong"))
    return document(height, body)


def gain_chart(bars: Sequence[GainBar]) -> bytes:
    """Bars of gains in points: ours with its interval, and above it in grey what was published.

    Args:
        bars: at least one, those of a group one after another.
    """
    numbers = [value for bar in bars for value in (bar.published, bar.ours, bar.low, bar.high) if value is not None]
    ticks = _ticks(min(0.0, *numbers), max(0.0, *numbers), 6)
    left, right, y = 14 + 7.4 * min(22, max(len(bar.label) for bar in bars)), 62, 26.0
    at = scale(ticks[0], ticks[-1], left, WIDTH - right)
    body = [
        f'<rect x="0" y="4" width="12" height="7" fill="{COLOURS[0]}" opacity=".45"/>',
        text(17, 12, "published", ""),
        f'<rect x="90" y="4" width="12" height="7" fill="{COLOURS[1]}"/>',
        text(107, 12, "ours, with its 95% interval over images", ""),
    ]
    for number_of, bar in enumerate(bars):
        if not number_of or bar.group != bars[number_of - 1].group:
            body.append(text(0, y + 11, cut(bar.group, 60), ""))
            y += 20
        body += _gain_bar(bar, y, left, at)
        y += 28
    grid = [straight(at(tick), 18, at(tick), y, "axis" if tick == 0 else "grid") for tick in ticks]
    figures = [text(at(tick), y + 16, number(100 * tick), "mid") for tick in ticks]
    return document(y + 24, [*grid, *body, *figures])


def _gain_bar(bar: GainBar, y: float, left: float, at: Callable[[float], float]) -> list[str]:
    body = [text(left - 10, y + 15, cut(bar.label, 22), "end" if bar.ours is None else "end strong")]
    for value, top, height, look in (
        (bar.published, y + 2, 6, f'fill="{COLOURS[0]}" opacity=".45"'),
        (bar.ours, y + 10, 9, f'fill="{COLOURS[1]}"'),
    ):
        if value is not None:
            start, width = min(at(0), at(value)), max(0.8, abs(at(value) - at(0)))
            body.append(f'<rect x="{start:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}" {look}/>')
    if bar.low is not None and bar.high is not None:
        body.append(straight(at(bar.low), y + 14.5, at(bar.high), y + 14.5, "axis"))
        body += [straight(at(end), y + 11, at(end), y + 18, "axis") for end in (bar.low, bar.high)]
    told = "not run" if bar.ours is None else f"{100 * bar.ours:+.1f}".replace("-", "\N{MINUS SIGN}")
    body.append(text(WIDTH - 50, y + 18, told, "" if bar.ours is None else "strong"))
    return body


def histogram(counts: Sequence[int], edges: Sequence[float], labels: tuple[str, str], marked_below: float) -> bytes:
    """Bars of counts between edges.

    Args:
        counts: (n,) at least 0.
        edges: (n + 1,) ascending.
        labels: what is counted on the horizontal axis, and what a count counts.
        marked_below: bars that end at or below this value have another colour.
    """
    height, left, right, top, bottom = 216, 48, 14, 28, 40
    ticks = [tick for tick in _ticks(0, max(*counts, 1), 4) if tick == int(tick)]
    at_x, at_y = scale(edges[0], edges[-1], left, WIDTH - right), scale(0, ticks[-1], height - bottom, top)
    body = [text(0, 12, labels[1], ""), *_rows(ticks, at_y, (left, WIDTH - right), percent=False)]
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        box = f'x="{at_x(low) + 0.8:.1f}" width="{max(0.5, at_x(high) - at_x(low) - 1.6):.1f}"'
        box += f' y="{at_y(count):.1f}" height="{height - bottom - at_y(count):.1f}"'
        body.append(f'<rect {box} class="{"marked" if high <= marked_below else "bar"}"/>')
    inside = [tick for tick in _ticks(edges[0], edges[-1], 6) if edges[0] <= tick <= edges[-1]]
    body += [text(at_x(tick), height - bottom + 17, number(tick), "mid") for tick in inside]
    body.append(text((left + WIDTH - right) / 2, height - 6, labels[0], "mid"))
    return document(height, body)


def reliability_diagram(said: Sequence[float], found: Sequence[float], images: Sequence[int]) -> bytes:
    """How often labels were right, over how likely they were said to be: honest figures lie on the dashed line.

    Args:
        said: (n,) mean probability of each bin; bins without images are not drawn.
        found: (n,) share of the bin that was right.
        images: (n,) of the bin; the area of a dot grows with them.
    """
    height, left, right, top, bottom = 330, 48, 14, 12, 40
    at_x, at_y = scale(0, 1, left, WIDTH - right), scale(0, 1, height - bottom, top)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    body = _rows(ticks, at_y, (left, WIDTH - right), percent=True)
    body += [text(at_x(tick), height - bottom + 17, f"{number(100 * tick)}%", "mid") for tick in ticks]
    body.append(text((left + WIDTH - right) / 2, height - 6, "probability that the label is right", "mid"))
    ends = f'x1="{at_x(0):.1f}" x2="{at_x(1):.1f}" y1="{at_y(0):.1f}" y2="{at_y(1):.1f}"'
    body.append(f'<line {ends} class="axis" stroke-dasharray="3 3"/>')
    dots = [(x, y, count) for x, y, count in zip(said, found, images, strict=True) if count]
    path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y, _ in dots)
    body.append(f'<polyline points="{path}" fill="none" stroke="{_colour(1)}" stroke-width="1.7"/>')
    most = max((count for *_, count in dots), default=1)
    for x, y, count in dots:
        radius = 2.5 + 9 * math.sqrt(count / most)
        body.append(
            f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="{radius:.1f}" fill="{_colour(1)}" opacity=".7"/>'
        )
    return document(height, body)


def _legend(entries: Sequence[tuple[int, str]]) -> tuple[str, int]:
    """Coloured names in as many lines as they need, and the height they take."""
    parts, x, y = [], 48.0, 14
    for recipe, label in entries:
        name = cut(label, 28)
        width = 24 + 6.8 * len(name)
        if x > 48 and x + width > WIDTH:
            x, y = 48.0, y + 18
        parts.append(f'<circle cx="{x + 5:.1f}" cy="{y - 4}" r="4.5" fill="{_colour(recipe)}"/>')
        parts.append(text(x + 14, y, name, "strong"))
        x += width
    return "".join(parts), y + 10


def _rows(ticks: Sequence[float], at: Callable[[float], float], span: tuple[float, float], percent: bool) -> list[str]:
    """Horizontal grid lines with their figures."""
    left, right = span
    lines = [straight(left, at(tick), right, at(tick), "grid") for tick in ticks]
    shown = [f"{number(100 * tick)}%" if percent else number(tick) for tick in ticks]
    return lines + [text(left - 7, at(tick) + 4, told, "end") for tick, told in zip(ticks, shown, strict=True)]


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers that enclose [low, high], about `wanted` of them, always at least two."""
    if high - low < 1e-6 * max(1.0, abs(high)):
        pad = 0.05 * max(1.0, abs(high))
        low, high = low - pad, high + pad
    rough = (high - low) / max(1, wanted - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _colour(recipe: int) -> str:
    return COLOURS[recipe % len(COLOURS)]
