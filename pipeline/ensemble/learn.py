"""Learned combination weights: how much each member counts, or counts for each class, fitted on clean labels.

The weighted sum of the members' log probabilities is itself a vector of logits, and its log loss is convex in the
weights: multinomial logistic regression with as many coefficients as members (Wolpert's stacking, 1992, with the
non-negativity of Breiman, 1996). A sum of weights other than 1 makes the ensemble more or less sure than its members,
so that a member which says nothing need not be mixed in only to take back what the others say too loudly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]
LogProbabilities = npt.NDArray[np.floating[Any]]  # (n, M, C), in memory or on the disk
Labels = npt.NDArray[np.integer[Any]]

_BLOCK_NUMBERS = 2**20  # of log probabilities held in float64 at a time
_STEPS = 500  # of the optimiser; it converges in a few dozen


@dataclass(frozen=True, kw_only=True)
class EnsembleSettings:
    """Which models are combined, and how their weights are learned."""

    #: recipes, each with its model of the same seed, or "recipe@seed" for one model in every ensemble; empty: all
    #: recipes of the run
    members: tuple[str, ...] = ()
    #: of the cross-validation that chooses between a weight per member and weights per member and class, at least 2
    folds: int = 5
    #: how strongly a member's weight for a class is held to its weight for all, as so many images of that class; each
    #: is tried, and a single weight per member too; above 0, and none for that alone
    strengths: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    #: images the weights are fitted on at most: more is time without gain
    fit_images: int = 50_000

    def __post_init__(self) -> None:
        """Refuse what cannot be fitted."""
        if self.folds < 2:
            raise ValueError(f"ensemble.folds must be at least 2, not {self.folds}")
        if not all(0 < strength < float("inf") for strength in self.strengths):
            raise ValueError(f"ensemble.strengths must each be above 0, not {self.strengths}")
        if self.fit_images < 2:
            raise ValueError(f"ensemble.fit_images must be at least 2, not {self.fit_images}")


@dataclass(frozen=True)
class Learned:
    """Weights, and what speaks for them."""

    member: Float64s  # (M,) of each member for all classes together
    weights: Float64s  # (M,), the same, or (M, C)
    strength: float | None  # chosen by cross-validation; None: a single weight per member
    log_loss: tuple[float, ...]  # cross-validated, nats: a single weight per member, then each strength of the settings
    folds: tuple[Float64s, ...]  # the chosen kind fitted without each fold


def learn(
    log_p: LogProbabilities, label: Labels, fold: npt.NDArray[np.integer[Any]], settings: EnsembleSettings
) -> Learned:
    """Fit weights per member, and per member and class with the strength that cross-validation finds best.

    One member has nothing to be weighed against: its weight is 1, and the ensemble is that member.

    Args:
        log_p: (n, M, C) log probabilities of images that no member was trained on.
        label: (n,) clean labels.
        fold: (n,) in [0, folds): which are judged by weights that the others gave.
        settings: of the fit.

    Raises:
        ValueError: shapes do not match, or a fold is empty or everything.
    """
    images, members, classes = log_p.shape
    if not (label.shape == fold.shape == (images,)) or (images and not 0 <= label.min() <= label.max() < classes):
        raise ValueError(f"label {label.shape} and fold {fold.shape} must be (n,) for (n, M, C) = {log_p.shape}")
    if members == 1:
        return Learned(np.ones(1), np.ones(1), None, (), tuple(np.ones(1) for _ in range(settings.folds)))
    paths, losses = [], np.zeros(1 + len(settings.strengths))
    for number in range(settings.folds):
        kept, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(kept) or not len(held):
            raise ValueError(f"{images} images are too few for {settings.folds} folds")
        paths.append(_path(log_p, label, kept, settings.strengths))
        losses += [_evaluate(log_p, label, held, _full(weights, classes))[0] for weights in paths[-1]]
    best = int(losses.argmin())
    whole = _path(log_p, label, np.arange(images), settings.strengths)
    strength = settings.strengths[best - 1] if best else None
    return Learned(
        whole[0], whole[best], strength, tuple((losses / images).tolist()), tuple(path[best] for path in paths)
    )


def fit_members(log_p: LogProbabilities, label: Labels) -> Float64s:
    """(M,) the weights, one a member and at least 0, of the least log loss over n images; arguments as `learn`'s."""
    return _fit_members(log_p, label, np.arange(len(label)))


def fit_classes(log_p: LogProbabilities, label: Labels, member: Float64s, strength: float) -> Float64s:
    """(M, C) the weights, one a member and class, of the least log loss, held to a member's weight for all classes.

    The penalty is strength / 2n times the squared distances: a normal prior, which counts as much as `strength` images
    do that each tell one unit.

    Args:
        log_p: as `learn`'s.
        label: as `learn`'s.
        member: (M,) what they are held to.
        strength: above 0.
    """
    return _fit_classes(log_p, label, np.arange(len(label)), (member, _full(member, log_p.shape[2])), strength)


def log_loss(log_p: LogProbabilities, label: Labels, weights: Float64s) -> float:
    """Mean over the images, in nats, under weights (M,) or (M, C)."""
    total, _ = _evaluate(log_p, label, np.arange(len(label)), _full(weights, log_p.shape[2]))
    return total / len(label)


def _path(
    log_p: LogProbabilities, label: Labels, rows: npt.NDArray[np.int64], strengths: tuple[float, ...]
) -> list[Float64s]:
    """The weights per member, then those per member and class in the order of the strengths.

    The strongest is fitted first and each begins where the last one ended: they lie close to one another.
    """
    member = _fit_members(log_p, label, rows)
    start, found = _full(member, log_p.shape[2]), {}
    for strength in sorted(strengths, reverse=True):
        start = found[strength] = _fit_classes(log_p, label, rows, (member, start), strength)
    return [member, *(found[strength] for strength in strengths)]


def _fit_members(log_p: LogProbabilities, label: Labels, rows: npt.NDArray[np.int64]) -> Float64s:
    _, members, classes = log_p.shape

    def objective(weights: Float64s) -> tuple[float, Float64s]:
        loss, slope = _evaluate(log_p, label, rows, _full(weights, classes))
        return loss / len(rows), slope.sum(axis=1) / len(rows)

    return _minimise(objective, np.full(members, 1 / members))


def _fit_classes(
    log_p: LogProbabilities,
    label: Labels,
    rows: npt.NDArray[np.int64],
    near: tuple[Float64s, Float64s],
    strength: float,
) -> Float64s:
    """`near`: (M,) what the weights are held to, and (M, C) where the search begins."""
    member, start = near

    def objective(flat: Float64s) -> tuple[float, Float64s]:
        weights = flat.reshape(start.shape)
        loss, slope = _evaluate(log_p, label, rows, weights)
        away = weights - member[:, None]
        penalty = strength / 2 * float(np.vdot(away, away))
        return (loss + penalty) / len(rows), (slope + strength * away).ravel() / len(rows)

    return _minimise(objective, start.ravel()).reshape(start.shape)


def _minimise(objective: Any, start: Float64s) -> Float64s:
    from scipy.optimize import minimize  # noqa: PLC0415 - a fifth of a second that the command line should not pay

    options = {"maxiter": _STEPS, "ftol": 1e-11, "gtol": 1e-7}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start), options=options)
    return np.asarray(found.x, np.float64)


def _evaluate(
    log_p: LogProbabilities, label: Labels, rows: npt.NDArray[np.int64], weights: Float64s
) -> tuple[float, Float64s]:
    """Log loss summed over some images, and its slope (M, C) along the weights (M, C)."""
    total, slope = 0.0, np.zeros_like(weights)
    for block in _blocks(rows, weights.size):
        values = log_p[block].astype(np.float64)
        own, each = label[block], np.arange(len(block))
        scores = np.einsum("nmc,mc->nc", values, weights)
        scores -= scores.max(axis=1, keepdims=True)
        likely = np.exp(scores)
        norm = likely.sum(axis=1, keepdims=True)
        total += float((np.log(norm[:, 0]) - scores[each, own]).sum())
        likely /= norm
        likely[each, own] -= 1
        slope += np.einsum("nmc,nc->mc", values, likely)
    return total, slope


def _blocks(rows: npt.NDArray[np.int64], numbers: int) -> Iterator[npt.NDArray[np.int64]]:
    size = max(1, _BLOCK_NUMBERS // numbers)
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _full(weights: Float64s, classes: int) -> Float64s:
    """(M, C) of weights that may be (M,)."""
    return weights if weights.ndim == 2 else np.repeat(weights[:, None], classes, axis=1)
