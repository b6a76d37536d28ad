"""How far the labels of each class, and the results of each query, can be trusted, the worst first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.evidence.reliability import Reliability, reliability

SHOWN: Final = 50  # of the worst, and as many of the best


@dataclass(frozen=True)
class TrustRow:
    """One class, or one query of a class; both names are a crawl's words and untrusted."""

    class_index: int
    name: str
    query: str | None  # None for a class
    images: int
    right: float  # share of them, as estimated


@dataclass(frozen=True)
class TrustTable:
    """The worst and the best of all rows."""

    worst: tuple[TrustRow, ...]  # worst first
    best: tuple[TrustRow, ...]  # those with the largest shares, still worst first; empty where all are among the worst
    total: int

    @property
    def between(self) -> int:
        """How many lie between the two."""
        return self.total - len(self.worst) - len(self.best)


@dataclass(frozen=True)
class Calibration:
    """Probabilities beside what people found; both judged by the same images."""

    held_out: Reliability  # what verdicts on other pictures teach
    unaided: Reliability  # what is said without any verdict


def ends(
    right: npt.NDArray[np.float64], images: npt.NDArray[np.int64], shown: int = SHOWN
) -> tuple[list[int], list[int]]:
    """Rows of the lowest shares and of the highest, both ascending; of equal ones the larger first. No row is in both.

    Args:
        right: (n,) shares.
        images: (n,) that they are of.
        shown: rows of each.
    """
    order = np.lexsort((np.arange(len(right)), -images, right)).tolist()
    return order[:shown], order[max(shown, len(order) - shown) :]


def table_of(rows: Sequence[TrustRow], best: int, total: int) -> TrustTable:
    """A table of rows in order, the last `best` of which are the best."""
    return TrustTable(tuple(rows[: len(rows) - best]), tuple(rows[len(rows) - best :]), total)


def calibration(
    right: npt.NDArray[np.bool_], held_out: npt.NDArray[np.floating], unaided: npt.NDArray[np.floating]
) -> Calibration | None:
    """How honest probabilities are by verdicts; None without any.

    Args:
        right: (m,) the verdicts.
        held_out: (m,) what was said of each image by verdicts on other pictures alone.
        unaided: (m,) what was said of it by none.
    """
    if not len(right):
        return None
    return Calibration(reliability(held_out, right), reliability(unaided, right))
