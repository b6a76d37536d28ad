"""Images that a person looked at put the mixture right: a regression that begins at what it says without them.

    log odds = b0 + b1 * evidence + b2 * log odds of the query's share + c * scores of the views + query + class

Every coefficient is normal with variance 1 beforehand, around 1 for b1 and b2 and around 0 for all others, so that
without any verdict the result is that of the mixture. Most of what a few verdicts teach is how wrong a query or class
is as a whole: those are the last two terms, one offset for each (a mixed-effects logistic regression, by its mode).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evidence.fusion import Floats, Mixture, Seen, log_odds, logistic


@dataclass(frozen=True)
class Correction:
    """What the verdicts taught."""

    slopes: Floats  # (2 + 1 + V,) of evidence, query share, one, scores
    query: Floats  # (Q,) offsets in log odds
    group: Floats  # (C,) offsets of classes

    def log_odds(self, features: Floats, query: npt.NDArray[np.int32], label: npt.NDArray[np.int32]) -> Floats:
        """(n,) that the labels are right."""
        return np.asarray(features @ self.slopes + self.query[query] + self.group[label])

    def odds(self, mixture: Mixture, seen: Seen, scores: npt.NDArray[np.float32], rows: slice) -> Floats:
        """(rows, 1 + V) what the query and class, and each view, add to the log odds; `scores` are the rows'."""
        query = seen.query[rows]
        slope, share, constant = self.slopes[:3]
        start = constant + share * log_odds(mixture.query_share)[query] + self.query[query]
        views = slope * mixture.evidence(seen, rows) + self.slopes[3:] * _spread(scores)
        return np.column_stack([start + self.group[seen.class_of[query]], views])

    def probability(self, mixture: Mixture, seen: Seen, scores: npt.NDArray[np.float32], rows: slice) -> Floats:
        """(rows,) that the labels are right."""
        return logistic(self.odds(mixture, seen, scores, rows).sum(axis=1))


def correct(mixture: Mixture, seen: Seen, scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> Correction:
    """Fit the regression.

    Args:
        mixture: learnt without the verdicts.
        seen: the m verified images alone; one whose verdict speaks for others too weighs its part of it.
        scores: (m, V) of their views, [0, 1], NaN where unknown.
        right: (m,) the verdicts.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - a fifth of a second that the command line should not pay

    features = _features(mixture, seen, scores, slice(None))
    label = seen.class_of[seen.query]
    ends = np.cumsum([features.shape[1], len(seen.class_of), seen.classes])
    prior = np.zeros(ends[-1])
    prior[:2] = 1

    def unpacked(values: Floats) -> Correction:
        return Correction(*np.split(values, ends[:-1]))

    def loss(values: Floats) -> tuple[float, Floats]:
        odds = unpacked(values).log_odds(features, seen.query, label)
        away = values - prior
        slope = (logistic(odds) - right) * seen.weight
        own = [features.T @ slope, np.bincount(seen.query, slope, ends[1] - ends[0])]
        own.append(np.bincount(label, slope, ends[2] - ends[1]))
        unlikely = seen.weight @ np.logaddexp(0, np.where(right, -odds, odds))
        return float(unlikely + away @ away / 2), np.concatenate(own) + away

    return unpacked(minimize(loss, prior, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x)


def correct_alone(
    mixture: Mixture, seen: Seen, scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]
) -> Correction:
    """As `correct`, but to the last bit the same whatever queries and classes there are that no verdict is on."""
    query, own = np.unique(seen.query, return_inverse=True)
    label, of = np.unique(seen.class_of[query], return_inverse=True)
    few = replace(mixture, ratio=mixture.ratio[:, label], query_share=mixture.query_share[query])
    among = replace(seen, query=own.astype(np.int32), class_of=of.astype(np.int32), classes=len(label))
    found = correct(few, among, scores, right)
    offsets, of_class = np.zeros(len(seen.class_of)), np.zeros(seen.classes)
    offsets[query], of_class[label] = found.query, found.group
    return Correction(found.slopes, offsets, of_class)


def held_out(
    mixture: Mixture,
    seen: Seen,
    scores: npt.NDArray[np.float32],
    right: npt.NDArray[np.bool_],
    fold: npt.NDArray[np.integer[Any]],
) -> Floats:
    """(m,) how likely each verified label is by what verdicts of other folds teach: its own may judge it.

    Args:
        mixture: learnt without the verdicts.
        seen: the m verified images alone.
        scores: (m, V) of their views.
        right: (m,) the verdicts.
        fold: (m,) of each image; those that are one picture share a fold.
    """
    found = np.empty(len(right))
    for number in np.unique(fold):
        own, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        taught = correct(mixture, seen.only(others), scores[others], right[others])
        found[own] = taught.probability(mixture, seen.only(own), scores[own], slice(None))
    return found


def _features(mixture: Mixture, seen: Seen, scores: npt.NDArray[np.float32], rows: slice) -> Floats:
    """(rows, 2 + 1 + V): evidence, log odds of the query's share, one, scores of variance about 1; 0 where unknown."""
    evidence = mixture.evidence(seen, rows).sum(axis=1)
    share = log_odds(mixture.query_share)[seen.query[rows]]
    return np.column_stack([evidence, share, np.ones(len(evidence)), _spread(scores)])


def _spread(scores: npt.NDArray[np.float32]) -> Floats:
    """Scores of variance about 1; 0 where unknown."""
    return np.asarray(np.nan_to_num((scores.astype(np.float64) - 0.5) * np.sqrt(12)), np.float64)
