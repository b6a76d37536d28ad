"""Two manifests, A and B, side by side: what became of each image, and how far the training moved."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import Floats, Integers

#: What becomes of an image between A and B; each image is counted under one of them.
CHANGES: Final = ("only in A", "only in B", "dropped", "taken in", "lighter", "heavier", "unchanged", "in neither")
ONLY_A, ONLY_B, DROPPED, TAKEN_IN, LIGHTER, HEAVIER, UNCHANGED, NEITHER = range(len(CHANGES))
QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SLACK: Final = 0.01  # a say that differs by less counts as unchanged: all move a little where one is dropped


def what_changed(before: Floats, after: Floats) -> npt.NDArray[np.int8]:
    """(n,) positions in CHANGES.

    Args:
        before: (n,) what each image has to say in A: weight x repeats, 0 where it is not trained on, NaN where it is
            not listed.
        after: (n,) the same in B.
    """
    found = np.full(len(before), UNCHANGED, np.int8)
    found[after > before * (1 + SLACK)] = HEAVIER
    found[after < before * (1 - SLACK)] = LIGHTER
    found[(before > 0) & (after == 0)] = DROPPED
    found[(before == 0) & (after > 0)] = TAKEN_IN
    found[(before == 0) & (after == 0)] = NEITHER
    found[np.isnan(after)] = ONLY_A
    found[np.isnan(before)] = ONLY_B
    return found


@dataclass
class Moved:
    """What a reason's words had to do with: images, and how much more they have to say in B."""

    images: int = 0
    say: float = 0.0

    def add(self, images: int, say: float) -> None:
        """More of them."""
        self.images += images
        self.say += say


@dataclass
class Phrase:
    """One reason, its numbers left out, over all images."""

    gone: Moved = field(default_factory=Moved)  # said in A alone
    come: Moved = field(default_factory=Moved)  # said in B alone
    stays: Moved = field(default_factory=Moved)  # said in both, of images that changed


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two manifests differ in. What an image has to say is its weight x repeats, 0 where it is not trained on."""

    images: npt.NDArray[np.int64]  # (len(CHANGES),)
    say_a: npt.NDArray[np.float64]  # (len(CHANGES),) of those images together
    say_b: npt.NDArray[np.float64]
    relabelled: int  # images with another class, trained on or not
    moved: float  # share of the training that falls to other images in B, [0, 1]
    ratios: npt.NDArray[np.float64]  # (len(QUANTILES),) of say in B / in A where it is trained on in both; NaN without
    kept: npt.NDArray[np.int64]  # (2, C) images trained on in A and B, by the class they are trained on as
    class_say: npt.NDArray[np.float64]  # (2, C) what they have to say together
    changed: npt.NDArray[np.int64]  # (C,) images that changed, by their class in B, or in A where B does not list them
    phrases: dict[str, Phrase]  # by the words, numbers left out
    most_lost: list[dict[str, Any]]  # rows of the table of changes: those that lose most, most first
    most_gained: list[dict[str, Any]]
    most_relabelled: list[dict[str, Any]]  # those with most to say


def add_reasons(phrases: dict[str, Phrase], told: tuple[list[str], list[str]], codes: Integers, say: Floats) -> None:
    """Count whose reasons came, went and stayed.

    Args:
        phrases: added to.
        told: the different reasons in A and in B, phrases parted by semicolons; an image not listed has none ("").
        codes: (2, n) position of each image's reason in each.
        say: (n,) how much more each image that changed has to say in B; NaN for one that did not change.
    """
    width = len(told[1])
    pairs, which = np.unique(codes[0].astype(np.int64) * width + codes[1], return_inverse=True)
    images, changed = np.bincount(which), np.bincount(which, np.isfinite(say)).astype(np.int64)
    total = np.bincount(which, np.nan_to_num(say))
    for pair, count, different, moved in zip(
        pairs.tolist(), images.tolist(), changed.tolist(), total.tolist(), strict=True
    ):
        before, after = (set(told[k][at].split("; ")) - {""} for k, at in enumerate(divmod(pair, width)))
        for text in before | after:
            phrase = phrases.setdefault(text, Phrase())
            if text not in after:
                phrase.gone.add(count, moved)
            elif text not in before:
                phrase.come.add(count, moved)
            elif different:
                phrase.stays.add(different, moved)
