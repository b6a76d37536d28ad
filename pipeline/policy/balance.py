"""Rules that look at class sizes alone. Slides "Training strategy" and "Handle imbalance - reweight class"."""

from dataclasses import dataclass

import numpy as np

from pipeline.policy.decision import Decision, Note, decided
from pipeline.policy.rule import Columns, NoSettings, check_share
from pipeline.policy.words import coarse, note_of, plural


@dataclass(frozen=True, kw_only=True)
class ReweightSettings:
    """Of `class-reweight`."""

    #: of the effective number of images (1 - beta^n) / (1 - beta), [0, 1]; 1 is n itself, 0 weighs all images alike
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a beta outside its range."""
        check_share("beta", self.beta)


@dataclass(frozen=True, kw_only=True)
class DrawSettings:
    """Of `official-baseline`."""

    #: decides which images are drawn, at least 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no generator takes."""
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")


def uniform(columns: Columns, _: NoSettings) -> Decision:
    """Every image counts the same: `baseline` (slide "Training strategy", 73.60 top-5)."""
    n = len(columns["class_index"])
    return decided(np.ones(n), Note(np.zeros(n, np.int32), ["counts as it is"]))


def class_reweight(columns: Columns, settings: ReweightSettings) -> Decision:
    """Every class weighs the same: `class-reweight` (slide "Handle imbalance - reweight class", 74.4 top-5).

    Weight = 1 / (what the images of its class count together): where it is alone, how many they are, doubles as one. In
    a recipe of several parts it works last and evens out what the others left and weighed. With beta below 1 the count
    n gives way to the effective number (1 - beta^n) / (1 - beta) of Cui et al., "Class-Balanced Loss Based on Effective
    Number of Samples", 2019.
    """
    class_index = columns["class_index"]
    size = np.bincount(class_index, weights=columns["counts"])[class_index]
    note = note_of(coarse(size), lambda count: f"its class adds up to {plural(count, 'image')}")
    return decided(1 / _effective(size, settings.beta), note)


def _effective(size: np.ndarray, beta: float) -> np.ndarray:
    if beta == 1:
        return size
    if beta == 0:
        return np.ones(len(size))
    return np.asarray(np.expm1(size * np.log(beta)) / np.expm1(np.log(beta)))


def drawn_to_largest(columns: Columns, settings: DrawSettings) -> Decision:
    """Equal counts by drawing: `official-baseline` (slides "Training strategy" and "Pretrained models", 71.49 top-5).

    As WebVision's own list is made (utils/upsample.py of its benchmark): the largest class is taken as it is; of every
    other class as many images are drawn, with replacement, as the largest has. The list is made once, so that an image
    never drawn is never trained on. The draws of a class depend on the seed, the class and its image ids.
    """
    class_index = columns["class_index"]
    largest = int(columns["largest_class"].max(initial=0))
    order = np.lexsort((columns["image_id"], class_index))
    classes, starts, sizes = np.unique(class_index[order], return_index=True, return_counts=True)
    repeats = np.ones(len(order), np.int32)
    # A generator for each class, so that a class's draws do not hang on which other classes there are.
    for label, start, size in zip(classes.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        if size < largest:
            draws = np.random.default_rng([settings.seed, label]).multinomial(largest, np.full(size, 1 / size))
            repeats[order[start : start + size]] = draws
    as_it_is = np.bincount(class_index)[class_index] >= largest
    note = note_of(np.where(as_it_is, -1, coarse(repeats)), _drawn)
    return decided(np.ones(len(order)), note, repeats=repeats)


def _drawn(times: int) -> str:
    if times < 0:
        return "of the largest class, which is taken as it is"
    return f"drawn {plural(times, 'time')}" if times else "not drawn, left out"
