"""Ensembles as *Bag of Tricks for Learning from Web Data* lists them: majority voting, average, votes and mean logits.

Each takes the members' logits, float (M, n, C), and gives logits (n, C) in float16, as a model's predictions are
stored: `pipeline.evaluation.label_ranks` ranks them as the ensemble does, and their softmax is the ensemble's
probabilities wherever it has any. Whatever is downstream need not know that they are no single model's.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Members = npt.NDArray[np.floating[Any]]
Float16s = npt.NDArray[np.float16]
Float64s = npt.NDArray[np.float64]


def majority_vote(members: Members) -> Float16s:
    """Each member votes for its first guess; a class is ranked by its votes, equal votes by class index.

    One vote more is spread over all classes alike, so that the softmax (votes + 1/C) / (M + 1) has no zero.

    Raises:
        ValueError: there is no member, or a logit is not finite.
    """
    check_members(members)
    votes = _votes(members.argmax(axis=2), members.shape[2])
    return _stored(np.log(votes + 1 / members.shape[2]))


def average(members: Members) -> Float16s:
    """The mean of the members' probabilities.

    Of probabilities and not of logits, because a logit has no unit: a member that was trained longer is surer of
    everything and would outvote the others. No member can put more than its one vote's worth of probability in.

    Raises:
        ValueError: as `majority_vote`.
    """
    from scipy.special import logsumexp  # noqa: PLC0415 - a fifth of a second that the command line should not pay

    check_members(members)
    log_p, norm = log_probabilities(members)
    return _stored(logsumexp(log_p, axis=0) - np.log(len(members)) + norm.mean(axis=0))


def vote_average(members: Members) -> Float16s:
    """Ranked by votes, equal votes (none, too) by the mean logit: so a vote has a second to a fifth guess.

    The logits are the mean ones; a class that the votes put before a class of a larger mean is raised just above it.

    Raises:
        ValueError: as `majority_vote`.
    """
    check_members(members)
    mean = _stored(members.astype(np.float64).mean(axis=0))
    guess = members.argmax(axis=2).T  # (n, M): the classes that have votes; those of several stand there repeatedly
    votes = (guess[:, :, None] == guess[:, None, :]).sum(axis=2)
    own = np.take_along_axis(mean, guess, axis=1)
    order = np.lexsort((-guess, own, votes), axis=1)  # the last guess first
    guess, own = np.take_along_axis(guess, order, axis=1), np.take_along_axis(own, order, axis=1)
    rest = mean.copy()
    np.put_along_axis(rest, guess, -np.inf, axis=1)
    top = rest.argmax(axis=1)  # what stands first of all that was ranked so far: the lowest index of equal ones
    height = np.take_along_axis(rest, top[:, None], axis=1)[:, 0]
    for place in range(guess.shape[1]):
        voted, value = guess[:, place], own[:, place]
        behind = (value < height) | ((value == height) & (voted > top))
        again = voted == top
        height = np.where(again, height, np.where(behind, np.nextafter(height, np.float16(np.inf)), value))
        top = voted
        np.put_along_axis(mean, voted[:, None], height[:, None], axis=1)
    return mean


def weighted(members: Members, weights: Float64s) -> Float16s:
    """The weighted sum of the members' log probabilities: a product of experts (Hinton, 2002) with their exponents.

    Args:
        members: (M, n, C).
        weights: at least 0; (M,), or (M, C) for one of each member and class.

    Raises:
        ValueError: as `majority_vote`, or the weights do not fit the members.
    """
    check_members(members)
    if weights.shape not in {members.shape[:1], (members.shape[0], members.shape[2])}:
        raise ValueError(f"weights {weights.shape} do not fit members {members.shape}: (M,) or (M, C) for (M, n, C)")
    each = weights.reshape(len(members), 1, -1)
    log_p, norm = log_probabilities(members)
    return _stored((each * log_p).sum(axis=0) + (each.mean(axis=2, keepdims=True) * norm).sum(axis=0))


def log_probabilities(members: Members) -> tuple[Float64s, Float64s]:
    """Log of the softmax (M, n, C), and what was subtracted for it (M, n, 1).

    The combinations add the mean of the latter again: it moves no probability, and keeps the logits in the members'
    range, so that float16 rounds them as it rounded theirs and an ensemble of one is its member to the last digit.
    """
    from scipy.special import logsumexp  # noqa: PLC0415 - as in `average`

    logits = members.astype(np.float64)
    norm = logsumexp(logits, axis=2, keepdims=True)
    return logits - norm, norm


def check_members(members: Members) -> None:
    """Raises ValueError where there is no member or class, or a logit is not finite."""
    if members.ndim != 3 or not members.shape[0] or not members.shape[2]:
        raise ValueError(f"members {members.shape} must be (M, n, C), with a member and a class at least")
    if not np.isfinite(members).all():
        raise ValueError("the members' logits hold numbers that are not finite")


def _votes(guess: npt.NDArray[np.integer[Any]], classes: int) -> Float64s:
    """(n, C) how many of the first guesses (M, n) are each class."""
    images = guess.shape[1]
    cell = guess + classes * np.arange(images)
    return np.bincount(cell.ravel(), minlength=images * classes).reshape(images, classes).astype(np.float64)


def _stored(logits: Float64s) -> Float16s:
    """As predictions are stored; beyond float16's range are only classes that no member holds for possible."""
    limit = float(np.finfo(np.float16).max)
    return logits.clip(-limit, limit).astype(np.float16)
