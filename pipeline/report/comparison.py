"""What two manifests differ in, as rows that a page and a terminal show alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipeline.policy.comparison import CHANGES, Comparison, Moved
from pipeline.report.sheets import Sheet

CLASSES: Final = 15  # shown, those whose weight changed most
REASONS: Final = 15  # shown, those of most images


@dataclass(frozen=True)
class ChangeRow:
    """Images that the same became of, and what they weigh together, repeats counted."""

    name: str
    images: int
    weight_a: float
    weight_b: float


@dataclass(frozen=True)
class ClassRow:
    """One class by the images trained on as it."""

    name: str  # a crawl's words
    changed: int
    images: tuple[int, int]  # trained on in A, in B
    weight: tuple[float, float]


@dataclass(frozen=True)
class ReasonRow:
    """A reason without its numbers."""

    words: str
    gone: Moved
    come: Moved
    stays: Moved


@dataclass(frozen=True)
class ComparisonPage:
    """Everything the page shows."""

    a: str  # as the user named it
    b: str
    told: tuple[str, ...]  # sentences
    changes: tuple[ChangeRow, ...]
    reasons: tuple[ReasonRow, ...]
    classes: tuple[ClassRow, ...]
    sheets: tuple[Sheet, ...]


def sentences(found: Comparison) -> tuple[str, ...]:
    """How far the training moved."""
    told = [f"{100 * found.moved:.1f}% of the training falls to other images in B than in A."]
    if np.isfinite(found.ratios).all():
        least, _, low, middle, high, _, most = (f"{ratio:.2f}" for ratio in found.ratios)
        told.append(
            f"What is trained on in both weighs {middle} times as much at the median; the middle half {low} to {high}, "
            f"the extremes {least} and {most}."
        )
    if found.relabelled:
        told.append(f"{found.relabelled:,} {'image has' if found.relabelled == 1 else 'images have'} another class.")
    return tuple(told)


def change_rows(found: Comparison) -> tuple[ChangeRow, ...]:
    """One row for each kind of change that occurs."""
    figures = zip(CHANGES, found.images.tolist(), found.say_a.tolist(), found.say_b.tolist(), strict=True)
    return tuple(ChangeRow(*row) for row in figures if row[1])


def reason_rows(found: Comparison) -> tuple[ReasonRow, ...]:
    """The reasons that came, went, or stayed with images that changed; those of most images first."""
    rows = [ReasonRow(words, one.gone, one.come, one.stays) for words, one in found.phrases.items()]
    moved = [row for row in rows if row.gone.images or row.come.images or row.stays.images]
    moved.sort(key=lambda row: (-row.gone.images - row.come.images, -row.stays.images, row.words))
    return tuple(moved[:REASONS])


def class_rows(found: Comparison, names: Sequence[str]) -> tuple[ClassRow, ...]:
    """The classes in which anything changed, those whose weight changed most first."""
    gain = np.abs(found.class_say[1] - found.class_say[0])
    order = np.lexsort((np.arange(len(gain)), -gain))
    touched = [k for k in order.tolist() if found.changed[k] or found.kept[0, k] != found.kept[1, k]]
    return tuple(
        ClassRow(
            names[k],
            int(found.changed[k]),
            (int(found.kept[0, k]), int(found.kept[1, k])),
            (float(found.class_say[0, k]), float(found.class_say[1, k])),
        )
        for k in touched[:CLASSES]
    )


def weights_of(row: dict[str, Any], names: Sequence[str]) -> str:
    """An image's weight in A and in B in words, and its class where that changed: of a row of the table of changes."""
    told = " → ".join(_weight(row[f"weight_{side}"], row[f"repeats_{side}"]) for side in "ab")
    before, after = row["class_index_a"], row["class_index_b"]
    if before is not None and after is not None and before != after:
        told += f", {names[before]} → {names[after]}"
    return told


def _weight(weight: float | None, repeats: int | None) -> str:
    if weight is None or repeats is None:
        return "not listed"
    if not weight or not repeats:
        return "left out"
    return f"{weight:.2f}" if repeats == 1 else f"{weight:.2f} \N{MULTIPLICATION SIGN} {repeats}"
