"""Joint clusters of confused classes. Slide "Handle noise - clustering" and the one after it (billiard ball)."""

from dataclasses import dataclass

import numpy as np

from pipeline.policy.decision import NO_CLASS, Decision, decided
from pipeline.policy.rule import Columns, SoftSettings, check_share, soft
from pipeline.policy.words import note_of, percents


@dataclass(frozen=True, kw_only=True)
class ConfusedSettings(SoftSettings):
    """Of `confused`."""

    #: share of a joint cluster from which on its owner is suggested to images of other classes, [0, 1]
    sure: float = 0.5

    def __post_init__(self) -> None:
        """Refuse shares outside their range."""
        super().__post_init__()
        check_share("sure", self.sure)


def by_own_share(columns: Columns, settings: ConfusedSettings) -> Decision:
    """Weight by how much of its joint cluster an image's class has: `confused` (no figure of its own).

    Most confused classes are pooled and clustered together; `own_share` is the part of the image's joint cluster that
    is of its own class, class sizes evened out. Weight = floor + (1 - floor) x own_share, relative to the class's mean
    of it. Where another class owns at least `sure` of the cluster, it is suggested. An image of a class that is
    confused with none weighs 1. A larger own share never lowers the weight.
    """
    own, owner = columns["own_share"], columns["owner_class"]
    other = np.isfinite(owner) & (owner != columns["class_index"]) & (columns["owner_share"] >= settings.sure)
    suggested = np.where(other, np.nan_to_num(owner, nan=NO_CLASS), NO_CLASS).astype(np.int32)
    note = note_of(percents(own) * 2 + other, lambda code: _share(*divmod(code, 2)))
    return decided(soft(own, columns["class_index"], settings.floor), note, suggested=suggested)


def _share(percent: int, other: int) -> str:
    if percent < 0:
        return "its class is confused with no other"
    owner = ", which belongs to another class" if other else ""
    return f"its class has {percent}% of its joint cluster{owner}"
