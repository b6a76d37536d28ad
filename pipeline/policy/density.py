"""Levels of density. Slides "Handle noise - density clustering" and "How to use the cluster result?".

Levels as in CurriculumNet (Guo et al., 2018): per class, level 0 is the densest and taken as clean.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import Decision, Integers, decided
from pipeline.policy.rule import Columns, NoSettings, within_class
from pipeline.policy.words import UNKNOWN, note_of

LEVELS = ("clean", "noisy", "highly noisy")


@dataclass(frozen=True, kw_only=True)
class CurriculumSettings:
    """Of `density-curriculum`."""

    #: loss weight of each level, the cleanest first, none above the one before it, above 0; the last one goes on
    loss_weights: tuple[float, ...] = (1.0, 0.5, 0.5)

    def __post_init__(self) -> None:
        """Refuse weights that would favour noise."""
        _check_falling("loss_weights", self.loss_weights)


@dataclass(frozen=True, kw_only=True)
class LevelSettings:
    """Of `density-weight`."""

    #: weight of each level, the cleanest first, none above the one before it, above 0; the last one goes on
    weights: tuple[float, ...] = (1.0, 0.5, 0.25)

    def __post_init__(self) -> None:
        """Refuse weights that would favour noise."""
        _check_falling("weights", self.weights)


def clean_only(columns: Columns, _: NoSettings) -> Decision:
    """Train on the clean level: `density-clean` (70.8 top-5).

    Kept are the images of the class's lowest `density_level`, which is 0 unless earlier parts left none of it. An
    image without a density is kept. A higher level never brings an image in.
    """
    level = columns["density_level"]
    kept = level <= _lowest(level, columns["class_index"])
    note = note_of(level * 2 + kept, lambda code: _level(code // 2) + ("" if code % 2 else ", left out"))
    return decided(np.ones(len(level)), note, repeats=kept.astype(np.int32))


def curriculum(columns: Columns, settings: CurriculumSettings) -> Decision:
    """Clean images first, then the noisy, then the highly noisy too: `density-curriculum` (72.3 top-5).

    An image enters at the stage of its `density_level`, counted from its class's lowest, so that every class is there
    from the first stage on and each stage holds all earlier ones; its loss is weighed by the level's loss weight
    throughout, as published. An image without a density enters at once with weight 1. A higher level never raises the
    weight and never lets an image in earlier.
    """
    level = columns["density_level"]
    known = level >= 0
    width = int(level.max(initial=0)) + 1
    stage = np.where(known, level - _lowest(level, columns["class_index"]), 0).astype(np.int32)
    weight = np.where(known, _of_level(settings.loss_weights, level), 1.0)
    note = note_of(np.where(known, level * width + stage, UNKNOWN), lambda code: _entry(*divmod(code, width)))
    return decided(weight, note, stage=stage)


def by_level(columns: Columns, settings: LevelSettings) -> Decision:
    """Weight by cleanness: `density-weight` (74.8 top-5).

    Weight = that of its `density_level`, relative to the class's mean of it. An image without a density weighs 1. A
    higher level never raises the weight.
    """
    level = columns["density_level"]
    value = np.where(level >= 0, _of_level(settings.weights, level), np.nan)
    return decided(within_class(value, columns["class_index"]), note_of(level, _level))


def _of_level(weights: tuple[float, ...], level: Integers) -> npt.NDArray[np.float64]:
    return np.asarray(weights)[np.clip(level, 0, len(weights) - 1)]


def _lowest(level: Integers, class_index: Integers) -> Integers:
    """(n,) the lowest level that occurs in each image's class; 0 where none is known."""
    highest = int(level.max(initial=0))
    lowest = np.full(int(class_index.max(initial=-1)) + 1, highest, np.int64)
    known = level >= 0
    np.minimum.at(lowest, class_index[known], level[known])
    return lowest[class_index]


def _level(number: int) -> str:
    if number < 0:
        return "how dense its surroundings are is not known"
    name = LEVELS[number] if number < len(LEVELS) else f"level {number}"
    return f"{name} by density"


def _entry(number: int, stage: int) -> str:
    return _level(number) + (f", enters at stage {stage}" if stage > 0 and number >= 0 else "")


def _check_falling(name: str, weights: tuple[float, ...]) -> None:
    falls = all(first >= second for first, second in itertools.pairwise(weights))
    if not weights or not all(0 < weight < np.inf for weight in weights) or not falls:
        raise ValueError(f"{name} must be numbers above 0, none above the one before it, not {weights}")
