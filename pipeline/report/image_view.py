"""One image among those of its class: what the evidence says of it in words, and how that compares with the class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from pipeline.report.overview import Spread, spread_of

#: Whether a figure speaks for the label or against it; of most figures neither can be said.
Speaks = Literal["for", "against", ""]


@dataclass(frozen=True)
class ImageView:
    """One usable training image among the m of its class, and what is known of them."""

    label: int
    names: Sequence[str]  # of all classes
    row: int  # of the image among the m
    columns: Mapping[str, npt.NDArray[np.float64]]  # (m,) each, NaN for a null; those that have been made

    def __getitem__(self, column: str) -> float:
        """What a column has of the image; NaN where nothing is known."""
        return float(self.columns[column][self.row])

    def knows(self, column: str) -> bool:
        """Whether a column has been made and has a figure for the image."""
        return column in self.columns and bool(np.isfinite(self[column]))

    def number(self, column: str) -> int:
        """A column's whole number."""
        return int(self[column])

    def name(self, column: str) -> str:
        """The class that a column names."""
        return self.names[self.number(column)]

    def named_other(self, column: str) -> bool:
        """Whether a column names a class that is not the image's own."""
        return self.knows(column) and self.number(column) not in (-1, self.label)


@dataclass(frozen=True)
class Saying:
    """How one column is told of one image."""

    source: str
    column: str
    value: Callable[[ImageView], str]  # the figure, as it is shown
    sentence: Callable[[ImageView], str]
    speaks: Callable[[ImageView], Speaks] = lambda _: ""
    compared: bool = False  # whether it has an order, in which the image has a place among its class
    bounds: tuple[float, float] | None = None  # of the histogram; None: of the figures themselves


@dataclass(frozen=True)
class Standing:
    """Where a figure stands among those of its class."""

    spread: Spread  # of the class
    place: float  # of the figure between the ends of the spread, [0, 1]
    words: str


@dataclass(frozen=True)
class Figure:
    """One number of one source, told."""

    column: str
    value: str
    sentence: str
    speaks: Speaks
    standing: Standing | None  # None where there is no order, or nobody to compare with


@dataclass(frozen=True)
class Testimony:
    """One source's figures; where it knows nothing of the image there are none, and it is said why."""

    source: str
    figures: tuple[Figure, ...]
    silent: str = ""


def tell_all(
    view: ImageView, sayings: Sequence[Saying], silent: Mapping[str, str], sources: Sequence[str]
) -> tuple[Testimony, ...]:
    """What every source says of an image.

    Args:
        view: the image; a source's columns are all there or all absent.
        sayings: of all sources, in the order to be told.
        silent: source -> why it may know nothing.
        sources: those that have been made.
    """
    found: dict[str, list[Figure]] = {}
    for saying in sayings:
        if saying.source in sources:
            own = found.setdefault(saying.source, [])
            if view.knows(saying.column):
                own.append(_figure(view, saying))
    return tuple(Testimony(name, tuple(own), "" if own else silent[name]) for name, own in found.items())


def _figure(view: ImageView, saying: Saying) -> Figure:
    standing = standing_of(view.columns[saying.column], view.row, saying.bounds) if saying.compared else None
    return Figure(saying.column, saying.value(view), saying.sentence(view), saying.speaks(view), standing)


_MIDDLE: Final = 0.6  # a figure that so many of the class are below, or above, is no usual one


def standing_of(values: npt.NDArray[Any], row: int, bounds: tuple[float, float] | None = None) -> Standing | None:
    """Where one of a class's figures stands, or None where no other of the class is known.

    Args:
        values: (m,) of the class; infinite ones and NaN are unknown.
        row: of the one, which is known.
        bounds: of the histogram; None for those of the figures.
    """
    others = np.delete(values, row)
    others, own = others[np.isfinite(others)], float(values[row])
    spread = spread_of(values, bounds)
    if spread is None or not len(others):
        return None
    lower, higher = float((others < own).mean()), float((others > own).mean())
    if max(lower, higher) >= _MIDDLE:
        words = f"{'higher' if lower > higher else 'lower'} than {_share(max(lower, higher))} of its class"
    elif lower + higher < 1 - _MIDDLE:
        words = f"the same as {_share(1 - lower - higher)} of its class"
    else:
        words = "in the middle of its class"
    width = spread.last - spread.first
    return Standing(spread, min(1.0, max(0.0, (own - spread.first) / width)) if width else 0.5, words)


def _share(share: float) -> str:
    return "all" if share == 1 else f"{min(99, max(1, round(100 * share)))}%"
