"""Rules that look at the image's text. Slides "Leverage meta information"."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import Decision, Floats, Integers, decided
from pipeline.policy.rule import Columns, Evidence, check_share, soft
from pipeline.policy.words import UNKNOWN, note_of, percents

#: keyword: words against words; semantic: vectors against vectors; both: whatever of the two knows something
Source = Literal["keyword", "semantic", "both"]


@dataclass(frozen=True, kw_only=True)
class MatchSettings:
    """Of `semantic`."""

    #: which match counts: "keyword", "semantic" (vectors) or "both" (their mean where both know something)
    by: Source = "both"
    #: weight of an image whose text does not match, as a share of one whose text does, [0, 1]
    floor: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a share outside its range."""
        check_share("floor", self.floor)


@dataclass(frozen=True, kw_only=True)
class TextChoiceSettings:
    """Of `semantic-only`."""

    #: which match counts: "keyword", "semantic" (vectors) or "both" (either of them will do)
    by: Source = "both"
    #: how many times the best match of another class the match of its own has to reach, above 0
    ahead: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what everything reaches."""
        if not 0 < self.ahead < np.inf:
            raise ValueError(f"ahead must be above 0, not {self.ahead}")


def text_evidence(settings: MatchSettings | TextChoiceSettings) -> Evidence:
    """The tables that the chosen sources lie in."""
    return {name: (name, f"{name}_other") for name in _sources(settings.by)}


def by_match(columns: Columns, settings: MatchSettings) -> Decision:
    """Baseline + semantic match as weight: `semantic` (slide "Summary of result based on meta information", 75.35).

    Match = the text's match with its own class, times how near that comes to its best match with another class (own /
    other, at most 1). Weight = floor + (1 - floor) x match, relative to the class's mean of it: with the default floor
    an image counts once as it is and once more as far as its text matches. A text that says nothing is unknown, no
    mismatch: its image weighs 1. A larger own match never lowers the weight, a larger match of another class never
    raises it.
    """
    match = _match(columns, settings.by)
    return decided(soft(match, columns["class_index"], settings.floor), note_of(percents(match), _matched))


def matching_only(columns: Columns, settings: TextChoiceSettings) -> Decision:
    """Train on the images whose text matches their class: `semantic-only` (slide as above, 65.5 top-5).

    A text matches where its match with its own class is above 0 and at least `ahead` times its best match with another
    class. Where no text of a class matches, the nearest to it are kept. A text that says nothing is unknown, no
    mismatch: its image is kept. A larger own match never drops an image, a larger match of another class never brings
    one in.
    """
    class_index, match = columns["class_index"], _match(columns, settings.by)
    known = np.isfinite(match)
    matches = np.zeros(len(match), np.bool_)
    for name in _sources(settings.by):
        own, other = _pair(columns, name)
        matches |= (own > 0) & (own >= settings.ahead * other)
    near = known & (match >= _class_maximum(np.where(known, match, -1), class_index))
    nearest = near & ~_any_of_class(matches, class_index)[class_index]
    code = np.where(known, matches + 2 * nearest, UNKNOWN)
    return decided(
        np.ones(len(match)), note_of(code, _CHOSEN.__getitem__), repeats=(matches | nearest | ~known).astype(np.int32)
    )


_CHOSEN = {
    UNKNOWN: "its text says nothing",
    0: "its text does not match its class, left out",
    1: "its text matches its class",
    2: "no text of its class matches, its own is among the nearest",
}


def _sources(by: Source) -> tuple[str, ...]:
    return ("keyword", "semantic") if by == "both" else (by,)


def _pair(columns: Columns, name: str) -> tuple[Floats, Floats]:
    """Match with its own class, NaN where unknown, and the best with another, 0 without one; none below 0."""
    return np.maximum(columns[name], 0), np.maximum(np.nan_to_num(columns[f"{name}_other"], nan=0), 0)


def _match(columns: Columns, by: Source) -> npt.NDArray[np.float64]:
    """(n,) own x own / best other (at most 1); the mean of the sources that know; NaN where none does."""
    total, known = np.zeros(len(columns["class_index"])), np.zeros(len(columns["class_index"]))
    for name in _sources(by):
        own, other = _pair(columns, name)
        relative = np.divide(own, other, out=np.ones(len(own)), where=own < other)
        total += np.where(np.isfinite(own), np.minimum(own, 1) * relative, 0)
        known += np.isfinite(own)
    return np.asarray(np.divide(total, known, out=np.full(len(total), np.nan), where=known > 0))


def _class_maximum(value: Floats, class_index: Integers) -> Floats:
    """(n,) the largest value of each image's class."""
    largest = np.full(int(class_index.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(largest, class_index, value)
    return largest[class_index]


def _any_of_class(true: npt.NDArray[np.bool_], class_index: Integers) -> npt.NDArray[np.bool_]:
    """(classes,) whether it holds for any image of the class."""
    return np.asarray(np.bincount(class_index, weights=true) > 0)


def _matched(percent: int) -> str:
    return "its text says nothing" if percent < 0 else f"its text matches its class to {percent}%"
