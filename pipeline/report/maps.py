"""A class as a map: its features in two dimensions, every image a mark whose colour and shape tell one evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.report.svg import WIDTH, cut, document, scale, text

Floats = npt.NDArray[np.floating[Any]]

HEIGHT: Final = 300  # of the map without its legend
_MARGIN: Final = 8

#: From what speaks for the label to what speaks against it: legible on white and on black, and told apart by the
#: colour-blind. Shapes change with them, so that a print without colour still tells the ends apart.
RAMP: Final = ("#3b78e7", "#43a5b8", "#8a9a5b", "#d9930d", "#cf4a2f")
UNKNOWN: Final = "#868e99"
_SHAPES: Final = ("disc", "disc", "square", "square", "cross")


@dataclass(frozen=True)
class Marks:
    """Images of a map that are drawn alike, and what the legend says of them."""

    label: str
    colour: str
    shape: str  # disc, square or cross
    points: npt.NDArray[np.int64]  # (m,) positions on the map


def project(features: Floats) -> npt.NDArray[np.float64]:
    """(n, 2) coordinates of the two directions in which the images differ most (principal components).

    Features are centred, not scaled. Each direction points to where its largest coordinate lies, so that equal images
    give equal maps. Rows that are not finite get NaN; what does not differ lies at 0.

    Args:
        features: (n, d), any n including 0.
    """
    place = np.full((len(features), 2), np.nan)
    finite = np.isfinite(features).all(axis=1)
    points = features[finite].astype(np.float64)
    if not len(points):
        return place
    points -= points.mean(axis=0)
    flat = np.zeros((len(points), 2))
    if points.size:
        # the smaller of the two Gram matrices has all there is to know
        wide = points.shape[1] > len(points)
        values, vectors = _largest(points @ points.T if wide else points.T @ points)
        kept = np.argsort(-values, kind="stable")
        kept = kept[values[kept] > 1e-9 * max(float(values.max()), 1e-300)]
        axes = vectors[:, kept]
        flat[:, : len(kept)] = axes * np.sqrt(values[kept]) if wide else points @ axes
    largest = flat[np.abs(flat).argmax(axis=0), [0, 1]]
    place[finite] = flat * np.where(largest < 0, -1.0, 1.0)
    return place


def _largest(gram: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The two largest eigenvalues of a symmetric matrix, or the only one, and their vectors."""
    from scipy.linalg import eigh  # noqa: PLC0415 - slow to load, and only maps need it

    last = len(gram) - 1
    values, vectors = eigh(gram, subset_by_index=(max(0, last - 1), last), check_finite=False)
    return values, vectors


def graded(values: Floats, edges: Sequence[float], labels: Sequence[str]) -> list[Marks]:
    """Marks of a map by a figure: RAMP from the highest figures to the lowest, grey where it is not known.

    Args:
        values: (n,) of the images of a map, NaN where nothing is known.
        edges: ascending, one fewer than labels: an image at an edge belongs above it.
        labels: of the steps between the edges, lowest first, at most five.
    """
    step = np.searchsorted(np.asarray(edges), values, side="right")
    shades = _shades(len(labels))[::-1]
    known = ~np.isnan(values)
    marks = [
        Marks(labels[k], RAMP[shade], _SHAPES[shade], np.flatnonzero(known & (step == k)))
        for k, shade in enumerate(shades)
    ]
    unknown = Marks("not known", UNKNOWN, "disc", np.flatnonzero(~known))
    return [*marks[::-1], unknown] if len(unknown.points) else marks[::-1]


def levelled(levels: npt.NDArray[np.integer[Any]], names: Sequence[str]) -> list[Marks]:
    """Marks of a map by a level: RAMP from level 0 on, grey where it is -1.

    Args:
        levels: (n,) of the images of a map, below len(names).
        names: of the levels; beyond the fifth they share the last colour.
    """
    shades = _shades(len(names))
    marks = [
        Marks(name, RAMP[shades[k]], _SHAPES[shades[k]], np.flatnonzero(levels == k)) for k, name in enumerate(names)
    ]
    unknown = Marks("not known", UNKNOWN, "disc", np.flatnonzero(levels < 0))
    return [*marks, unknown] if len(unknown.points) else marks


def _shades(count: int) -> list[int]:
    """Positions in RAMP for so many steps, its ends first of all."""
    last = len(RAMP) - 1
    return [min(last, round(k * last / max(1, count - 1))) for k in range(count)]


def draw_map(place: npt.NDArray[np.float64], marks: Sequence[Marks]) -> bytes:
    """The map with its legend; both directions have one scale, so that distances are comparable.

    Args:
        place: (n, 2) coordinates; images at NaN are not drawn.
        marks: in the legend's order; the most frequent are drawn first, so that the rare ones are not covered.
    """
    legend, top = _legend(marks)
    drawn = place[np.isfinite(place).all(axis=1)]
    low, high = (drawn.min(axis=0), drawn.max(axis=0)) if len(drawn) else (np.zeros(2), np.zeros(2))
    middle, room = (low + high) / 2, np.array([WIDTH, HEIGHT]) / 2 - 2 * _MARGIN
    reach = float(((high - low) / 2 / room).max()) or 1.0
    at_x = scale(middle[0] - reach * room[0], middle[0] + reach * room[0], 2 * _MARGIN, WIDTH - 2 * _MARGIN)
    at_y = scale(middle[1] - reach * room[1], middle[1] + reach * room[1], top + HEIGHT - 2 * _MARGIN, top + 16)
    frame = f'<rect x=".5" y="{top + 0.5:.1f}" width="{WIDTH - 1}" height="{HEIGHT - 1}" fill="none" class="grid"/>'
    body = [legend, frame]
    for mark in sorted(marks, key=lambda mark: -len(mark.points)):
        own = place[mark.points]
        own = own[np.isfinite(own).all(axis=1)]
        if len(own):
            body.append(_marks(mark, [(at_x(x), at_y(y)) for x, y in own.tolist()]))
    return document(top + HEIGHT, body)


def _marks(mark: Marks, places: Sequence[tuple[float, float]]) -> str:
    """All images drawn alike as one path: a dozen bytes an image."""
    if mark.shape == "cross":
        path = "".join(f"M{x - 2.6:.1f} {y - 2.6:.1f}l5.2 5.2m0-5.2l-5.2 5.2" for x, y in places)
        style = 'stroke-width="1.7"'
    else:
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
        cap, width = ("round", 5.6) if mark.shape == "disc" else ("square", 4.6)
        style = f'stroke-width="{width}" stroke-linecap="{cap}"'
    return f'<path d="{path}" fill="none" stroke="{mark.colour}" {style} opacity=".8"/>'


def _legend(marks: Sequence[Marks]) -> tuple[str, int]:
    """Every mark with its name and how many images have it, in as many lines as they need, and the height they take."""
    parts, x, y = [], 2.0, 14
    for mark in marks:
        name = f"{cut(mark.label, 28)} ({len(mark.points):,})"
        width = 26 + 6.6 * len(name)
        if x > 2 and x + width > WIDTH:
            x, y = 2.0, y + 18
        parts.append(_marks(mark, [(x + 5, y - 4)]))
        parts.append(text(x + 13, y, name, ""))
        x += width
    return "".join(parts), y + 10
