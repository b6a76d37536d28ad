"""A linear probe for each fold, trained on the images of all other folds: what else would one call this image?

Linear discriminant analysis (Fisher, 1936; Hastie, Tibshirani and Friedman, *The Elements of Statistical Learning*,
4.3): every class is a Gaussian with a mean of its own and one covariance shared by all. Its probe is the solution of a
linear system in sums over the images. So the images are read once, in any order; each fold's sums are what all folds'
have less its own; and a wrong label moves a class's mean a little where it would pull a softmax regression after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.calibration import calibrate

#: Tried in turn; the one whose out-of-fold probabilities fit the given labels best is taken.
SHRINKAGES = (0.01, 0.1, 0.5)

Floats32 = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True)
class OpinionSettings:
    """How each image gets an opinion from images that are not its doubles."""

    #: parts of the images, at least 2; each image is judged by a probe that saw the other parts
    folds: int = 5
    #: seed of the folds, and of the sample of images that scale, shrinkage and temperature are fitted on
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.folds < 2:
            raise ValueError(f"opinion.folds must be at least 2, not {self.folds}")


@dataclass(frozen=True)
class Scale:
    """Features to about mean 0 and variance 1; a feature that never varies becomes 0."""

    mean: Floats64  # (D,)
    inverse: Floats64  # (D,) 1 / standard deviation, 0 where there is none

    @classmethod
    def of(cls, features: npt.NDArray[np.floating[Any]]) -> Self:
        """The scale of some images (n, D), all finite; without any, features stay as they are."""
        if not len(features):
            return cls(np.zeros(features.shape[1]), np.ones(features.shape[1]))
        deviation = features.std(axis=0, dtype=np.float64)
        inverse = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        return cls(features.mean(axis=0, dtype=np.float64), inverse)

    def apply(self, features: npt.NDArray[np.floating[Any]]) -> Floats32:
        """Scaled copy, (n, D)."""
        points = features.astype(np.float32)
        points -= self.mean.astype(np.float32)
        points *= self.inverse.astype(np.float32)
        return points


@dataclass(frozen=True)
class Moments:
    """All that a linear discriminant knows of its training images. The moments of several sets of images add up."""

    weight: Floats64  # (C,) of each class's images together
    sums: Floats64  # (C, D) of each class's features, weighted
    squares: Floats64  # (D, D) of all features' products, weighted

    @classmethod
    def none(cls, classes: int, dimensions: int) -> Self:
        """The moments of no image."""
        return cls(np.zeros(classes), np.zeros((classes, dimensions)), np.zeros((dimensions, dimensions)))

    def add(self, points: Floats32, label: Integers, weight: Floats32 | None = None) -> None:
        """Take some images in.

        Args:
            points: (n, D) scaled features, finite.
            label: (n,) in [0, C).
            weight: (n,) at least 0; 1 each where it is not given.
        """
        if not len(points):
            return
        order = np.argsort(label, kind="stable")
        present, starts = np.unique(label[order], return_index=True)
        weighted = points if weight is None else points * weight[:, None]
        self.sums[present] += np.add.reduceat(weighted[order], starts, axis=0)
        self.weight[:] += np.bincount(label, weight, len(self.weight))
        # Roots, because a matrix times its own transpose is half the work of two different ones.
        rooted = points if weight is None else points * np.sqrt(weight)[:, None]
        self.squares[:] += rooted.T @ rooted

    def without(self, part: Self) -> Self:
        """The moments of the images that are not in `part`, which is a part of these."""
        return type(self)(self.weight - part.weight, self.sums - part.sums, self.squares - part.squares)

    @classmethod
    def total(cls, parts: Sequence[Self]) -> Self:
        """The moments of several sets of images together, at least one."""
        every = cls.none(*parts[0].sums.shape)
        for part in parts:
            every.weight[:] += part.weight
            every.sums[:] += part.sums
            every.squares[:] += part.squares
        return every


@dataclass(frozen=True)
class Probe:
    """Logits are `features @ weights + bias`; a class it never saw has bias minus infinity."""

    weights: Floats32  # (D, C)
    bias: Floats32  # (C,)

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """(C,) the classes it was trained on."""
        return np.isfinite(self.bias)

    def logits(self, points: Floats32) -> Floats32:
        """(n, C) of points (n, D)."""
        found: Floats32 = points @ self.weights
        found += self.bias
        return found

    def probabilities(self, points: Floats32) -> Floats32:
        """(n, C) of points (n, D), for a probe that saw at least one class."""
        found = self.logits(points)
        found -= found.max(axis=1, keepdims=True)
        np.exp(found, out=found)
        found /= found.sum(axis=1, keepdims=True)
        return found

    def rescaled(self, scale: Scale, sharpness: float) -> Self:
        """The same probe for features that have not been scaled, its logits multiplied by `sharpness`."""
        weights = self.weights * (scale.inverse * sharpness)[:, None]
        return type(self)(weights.astype(np.float32), (self.bias * sharpness - scale.mean @ weights).astype(np.float32))


def discriminant(moments: Moments, shrinkage: float) -> Probe:
    """The linear discriminant of some images.

    Args:
        moments: of the images, scaled.
        shrinkage: (0, 1], share of the identity in the covariance: what makes it invertible with few images.
    """
    from scipy.linalg import cho_factor, cho_solve  # noqa: PLC0415 - a fifth of a second of the command line

    seen = moments.weight > 0
    classes, dimensions = moments.sums.shape
    weights, bias = np.zeros((dimensions, classes), np.float32), np.full(classes, -np.inf, np.float32)
    if seen.any():
        weight, sums = moments.weight[seen], moments.sums[seen]
        mean = sums / weight[:, None]
        covariance = moments.squares - sums.T @ mean
        covariance *= (1 - shrinkage) / weight.sum()
        covariance.flat[:: dimensions + 1] += shrinkage
        found = cho_solve(cho_factor(covariance, overwrite_a=True), mean.T)
        weights[:, seen] = found
        bias[seen] = np.log(weight / weight.sum()) - 0.5 * np.einsum("cd,dc->c", mean, found)
    return Probe(weights, bias)


@dataclass(frozen=True)
class Sample:
    """Some of the images that the folds' moments were taken of; m images."""

    points: Floats32  # (m, D) scaled
    label: Integers  # (m,)
    fold: Integers  # (m,)


@dataclass(frozen=True)
class FoldProbes:
    """A probe for each fold that never saw it, for features as they are stored; its probabilities are calibrated."""

    probes: tuple[Probe, ...]
    shrinkage: float  # as chosen
    temperature: float  # that the logits were divided by
    loss: float  # nats, of the given labels of the sample out of fold; NaN where nothing of it could be judged


def fit_folds(moments: Sequence[Moments], scale: Scale, sample: Sample, workers: Workers = 1) -> FoldProbes:
    """Train each fold's probe on the other folds; choose the shrinkage and the temperature on out-of-fold logits.

    Args:
        moments: of each fold's images, scaled.
        scale: that they were scaled with.
        sample: images to choose on, each judged by the probe of its own fold.
        workers: threads, or a cluster; each solves for one fold.
    """
    every = Moments.total(moments)
    best: tuple[float, float, float, list[Probe]] | None = None
    for shrinkage in SHRINKAGES:
        solve = partial(_without, every, shrinkage)
        probes = list(map_shards(solve, moments, workers))
        sharpness, loss = calibrate(*_out_of_fold(probes, sample))
        if best is None or loss < best[0]:
            best = loss, shrinkage, sharpness, probes
    assert best is not None  # noqa: S101 - SHRINKAGES is not empty
    loss, shrinkage, sharpness, probes = best
    rescaled = tuple(probe.rescaled(scale, sharpness) for probe in probes)
    return FoldProbes(rescaled, shrinkage, 1 / sharpness, loss)


def _without(every: Moments, shrinkage: float, part: Moments) -> Probe:
    return discriminant(every.without(part), shrinkage)


def _out_of_fold(probes: Sequence[Probe], sample: Sample) -> tuple[Floats32, Integers]:
    """Logits and labels of the images of the sample whose label their fold's probe has seen."""
    logits, labels = [], []
    for number, probe in enumerate(probes):
        judged = (sample.fold == number) & probe.seen[sample.label]
        logits.append(probe.logits(sample.points[judged]))
        labels.append(sample.label[judged])
    return np.concatenate(logits), np.concatenate(labels)
