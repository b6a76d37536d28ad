"""What a rule is: named evidence and settings in, a decision out. And a part: a rule with its settings chosen."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import Decision

#: n images by column: the evidence a rule asked for, and always
#:   class_index   (n,) int    of its label; a class's images are all there
#:   image_id      (n,) int64  the only thing a tie or a draw may depend on, so that row order never matters
#:   counts        (n,) float  what it weighs so far in an epoch: its share among its doubles, times the weight and
#:                             the repeats that the recipe's parts at work before gave it
#:   largest_class (n,) int    images of the crawl's largest class, the same for all rows
#: A null is NaN: the evidence knows nothing of the image. It then counts as the average does.
Columns = Mapping[str, npt.NDArray[Any]]
#: evidence table -> the columns of it that are read
Evidence = Mapping[str, tuple[str, ...]]
ALWAYS = ("class_index", "image_id", "counts", "largest_class")

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """Of a rule that leaves nothing to choose."""


@dataclass(frozen=True, kw_only=True)
class SoftSettings:
    """Of the rules that weigh by a number in [0, 1]: nobody is left out, however little speaks for an image."""

    #: weight of an image for which nothing speaks, as a share of one for which everything does, [0, 1]
    floor: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a share outside its range."""
        check_share("floor", self.floor)


@dataclass(frozen=True, kw_only=True)
class Rule(Generic[S]):
    """One row of the source's tables, as a pure function."""

    name: str
    settings: type[S]
    #: what it reads, which may depend on the settings
    evidence: Callable[[S], Evidence]
    decide: Callable[[Columns, S], Decision]
    #: columns of which a larger number never makes the image count less, and never more
    rises: tuple[str, ...] = ()
    falls: tuple[str, ...] = ()
    #: evens out what all other parts of a recipe made of a class, so that it works after them, wherever it is named
    balances: bool = False
    #: trains on the class it suggests: in its recipes, what other rules suggest is left aside
    relabels: bool = False
    version: str = "1"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A rule with its settings: what recipes are put together from."""

    rule: Rule[Any]
    settings: Any  # of the rule's own kind

    @property
    def evidence(self) -> Evidence:
        """What it reads."""
        return self.rule.evidence(self.settings)

    def decide(self, columns: Columns) -> Decision:
        """Its verdict on n images."""
        return self.rule.decide(columns, self.settings)

    def described(self) -> dict[str, Any]:
        """Everything its verdict depends on apart from the images."""
        return {"rule": self.rule.name, "version": self.rule.version, "settings": asdict(self.settings)}


def reads(**columns: tuple[str, ...]) -> Callable[[Any], Evidence]:
    """The `evidence` of a rule that reads the same columns whatever its settings."""
    return lambda _: columns


def within_class(value: npt.NDArray[Any], class_index: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(n,) weights in proportion to a value, with mean 1 in every class: class balance is left to the rules for it.

    An image whose value is not finite weighs 1, and so do all images of a class in which every known value is 0.

    Args:
        value: (n,) at least 0, or NaN where it is unknown.
        class_index: (n,) each image's class.
    """
    known = np.isfinite(value)
    total = np.bincount(class_index, weights=np.where(known, value, 0))
    mean = total / np.maximum(np.bincount(class_index, weights=known), 1)
    own = mean[class_index]
    return np.asarray(np.divide(value, own, out=np.ones(len(value)), where=known & (own > 0)))


def soft(value: npt.NDArray[Any], class_index: npt.NDArray[Any], floor: float) -> npt.NDArray[np.float64]:
    """(n,) `within_class` of floor + (1 - floor) x value, for values in [0, 1] or NaN."""
    return within_class(floor + (1 - floor) * np.clip(value, 0, 1), class_index)


def check_share(name: str, value: float, *, above_zero: bool = False) -> None:
    """Raises ValueError where a setting is no share: in [0, 1], or in (0, 1]."""
    if not 0 <= value <= 1 or (above_zero and value == 0):
        raise ValueError(f"{name} must be in {'(' if above_zero else '['}0, 1], not {value}")
