"""One class as the page looks at it, and what the evidence says of each of its images in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.report.choice import Choice, Positions

LEVELS: Final = ("Clean", "Noisy", "Highly noisy")

TEXTUAL: Final = ("keyword", "semantic")

#: Every column of the evidence that pictures of a class and their captions are made from.
COLUMNS: Final = (
    "position", "cluster", "cluster_compactness", "cluster_top_distance", "density_level", "hdbscan_cluster",
    "membership", "outlier", "agreement", "neighbour_class", "neighbour_share", "confidence", "margin",
    "predicted_class", "predicted_probability", "label_issue", "aum", "keyword", "keyword_other", "keyword_class",
    "semantic", "semantic_other", "semantic_class",
)  # fmt: skip


@dataclass(frozen=True)
class ClassView:
    """The n usable training images of one class, n at least 1, and what is known of them."""

    index: int
    image_id: npt.NDArray[np.int64]  # (n,)
    position: npt.NDArray[np.int64]  # (n,) where each image's picture is looked up
    weight: npt.NDArray[np.float64] | None  # (n,) None where nothing weighs
    columns: Mapping[str, npt.NDArray[Any]]  # by name, (n,) each: NaN or -1 where unknown; a source not made is absent
    names: Sequence[str]  # of all classes
    alone: npt.NDArray[np.float64] | None = None  # (n,) weight if it had no doubles, NaN for a leak; None as `weight`
    group: npt.NDArray[np.int64] | None = None  # (n,) of doubles; None where nobody has looked for them

    def has(self, *columns: str) -> bool:
        """Whether these columns have been made."""
        return all(name in self.columns for name in columns)

    def has_any(self, *columns: str) -> bool:
        """Whether one of these columns has been made."""
        return any(name in self.columns for name in columns)

    @cached_property
    def facts(self) -> "Facts":
        """What is said of each image."""
        return Facts(self)

    def choice(self, name: str, note: str, rows: Positions, columns: int, labels: Sequence[str] = ()) -> Choice:
        """Some images of the class as a sheet."""
        return Choice(name, note, self.position[rows], columns, tuple(labels), tuple(map(self.facts.of, rows.tolist())))

    def part(self, rows: Positions) -> str:
        """How large a part of the class some images are, and what they weigh."""
        share = f"{100 * len(rows) / len(self.position):.0f}%, {len(rows):,} {'image' if len(rows) == 1 else 'images'}"
        return f"{share}, weight {self.weight[rows].mean():.2f}" if self.weight is not None and len(rows) else share


class Facts:
    """What the evidence says of one image of a class, in words."""

    def __init__(self, view: ClassView) -> None:
        """Tell about the images of `view`."""
        self.view = view
        said: list[tuple[tuple[str, ...], Callable[[int], str]]] = [
            (("density_level",), lambda row: f"density: {level_name(self.view.columns['density_level'][row])}"),
            (("hdbscan_cluster", "outlier"), self._outlier),
            (("agreement", "neighbour_class"), self._agreement),
            (("confidence", "predicted_class"), self._confidence),
            (("aum",), lambda row: f"margin over training {self.view.columns['aum'][row]:.2f}"),
            (("keyword",), lambda row: self._match(row, "keyword", "keywords")),
            (("semantic",), lambda row: self._match(row, "semantic", "meaning")),
        ]
        self.said = [(columns[0], tell) for columns, tell in said if view.has(*columns)]

    def of(self, row: int) -> tuple[str, ...]:
        """A phrase for each source that knows the image."""
        return tuple(tell(row) for column, tell in self.said if self._known(column, row))

    def of_text(self, row: int) -> tuple[str, ...]:
        """Only what the sources that read texts say."""
        return tuple(tell(row) for column, tell in self.said if column in TEXTUAL and self._known(column, row))

    def _known(self, column: str, row: int) -> bool:
        value = self.view.columns[column][row]
        return column == "hdbscan_cluster" or (value >= 0 if column == "density_level" else not np.isnan(value))

    def _outlier(self, row: int) -> str:
        noise = ", noise" if self.view.columns["hdbscan_cluster"][row] < 0 else ""
        return f"outlier score {self.view.columns['outlier'][row]:.2f}{noise}"

    def _agreement(self, row: int) -> str:
        agree, other = self.view.columns["agreement"][row], int(self.view.columns["neighbour_class"][row])
        most = f", most are {self.view.names[other]}" if other not in (-1, self.view.index) else ""
        return f"{100 * agree:.0f}% of its neighbours agree{most}"

    def _confidence(self, row: int) -> str:
        value, other = self.view.columns["confidence"][row], int(self.view.columns["predicted_class"][row])
        best = f", rather {self.view.names[other]}" if other not in (-1, self.view.index) else ""
        return f"a model believes the label to {100 * value:.0f}%{best}"

    def _match(self, row: int, column: str, what: str) -> str:
        own, better = self.view.columns[column][row], ""
        if self.view.has(f"{column}_other", f"{column}_class"):
            other, index = self.view.columns[f"{column}_other"][row], int(self.view.columns[f"{column}_class"][row])
            better = f", {self.view.names[index]} {other:.2f}" if index >= 0 and other > own else ""
        return f"{what} {own:.2f}{better}"


def level_name(level: int) -> str:
    """What a density level is called."""
    return LEVELS[level] if 0 <= level < len(LEVELS) else f"Level {level}"
