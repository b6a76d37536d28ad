"""Rules that weigh by all evidence in one probability, and one that moves images to the class they rather are of."""

from dataclasses import dataclass

import numpy as np

from pipeline.policy.decision import NO_CLASS, Decision, Floats, Integers, decided
from pipeline.policy.rule import Columns, SoftSettings, check_share, soft
from pipeline.policy.words import note_of, percents


@dataclass(frozen=True, kw_only=True)
class RelabelSettings(SoftSettings):
    """Of `relabel`."""

    #: probability of another class from which on an image is trained on as that one, (0.5, 1]
    sure: float = 0.8

    def __post_init__(self) -> None:
        """Refuse shares outside their range: at a half, an image would be as probably of its own class."""
        super().__post_init__()
        check_share("sure", self.sure)
        if self.sure <= 0.5:
            raise ValueError(f"sure must be above 0.5, not {self.sure}")


def by_probability(columns: Columns, settings: SoftSettings) -> Decision:
    """Weight by the probability that the label is right, from all evidence: `fused` (not on the slides).

    Weight = floor + (1 - floor) x `right_probability`, relative to the class's mean of it. A larger probability never
    lowers the weight.
    """
    right = columns["right_probability"]
    note = note_of(percents(right), _likely)
    return decided(soft(right, columns["class_index"], settings.floor), note)


def relabelled(columns: Columns, settings: RelabelSettings) -> Decision:
    """As `fused`, but images that are confidently of another class are trained on as that: `relabel`.

    An image moves where another class is at least `sure`; it then weighs by the probability of that class, relative to
    the mean of all images listed with it, as those that stay do. Of each class the image that is most probably right
    stays (of equals the lowest id), so that no class is left without its own. Classes are balanced by listed labels.
    """
    label, right = columns["class_index"], columns["right_probability"]
    other, probability = columns["fused_class"], columns["fused_probability"]
    moves = np.isfinite(other) & (other != label) & (probability >= settings.sure)
    moves[_likeliest(np.nan_to_num(right, nan=-1), label, columns["image_id"])] = False
    value = np.where(moves, probability, right)
    suggested = np.where(moves, np.nan_to_num(other, nan=NO_CLASS), NO_CLASS).astype(np.int32)
    note = note_of(percents(value) * 2 + moves, lambda code: _moved(*divmod(code, 2)))
    return decided(soft(value, label, settings.floor), note, suggested=suggested)


def _likeliest(likely: Floats, label: Integers, image_id: Integers) -> Integers:
    """The row of each class that is most probably right, of equals that of the lowest id. No class is sorted whole."""
    most = np.full(int(label.max(initial=-1)) + 1, -np.inf, likely.dtype)
    np.maximum.at(most, label, likely)
    rows = np.flatnonzero(likely == most[label])
    rows = rows[np.lexsort((image_id[rows], label[rows]))]
    return rows[np.flatnonzero(np.diff(label[rows], prepend=-1))]


def _likely(percent: int) -> str:
    return f"its label is {percent}% likely right" if percent >= 0 else "nothing is known of its label"


def _moved(percent: int, moves: int) -> str:
    return f"trained on as the suggested class, which is {percent}% likely" if moves else _likely(percent)
