"""What trials of recipes on the same images say: which penalty serves each, and which gains are real."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

DRAWS: Final = 2000
_BLOCK_COUNTS: Final = 2**22  # of images times draws, held at once


@dataclass(frozen=True)
class Standing:
    """How r recipes stand; shares in [0, 1] of what the judging images count."""

    top1: npt.NDArray[np.float64]  # (r,)
    gain: npt.NDArray[np.float64]  # (r,) over the baseline, from the same samples and images
    low: npt.NDArray[np.float64]  # (r,) 95% interval of the gain
    high: npt.NDArray[np.float64]  # (r,)
    better: npt.NDArray[np.float64]  # (r,) probability that the gain is above 0


def chosen_penalties(
    hits: npt.NDArray[np.bool_], fold: npt.NDArray[np.integer], weight: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Judge each image with the penalty that is best on the images of the other folds.

    Args:
        hits: (r, s, p, m) which of m images each recipe, sample and penalty gets right.
        fold: (m,) of each image; with a single fold there are no others, and all choose for all.
        weight: (m,) what each image counts.

    Returns:
        (r, s, m) hits with the penalty of each recipe, the largest of equally good ones; no image has had a say in
        what it is judged with.
    """
    found = np.empty((*hits.shape[:2], hits.shape[3]), np.bool_)
    folds = np.unique(fold)
    for own in folds:
        others = fold != own if len(folds) > 1 else np.ones(len(fold), np.bool_)
        right = (hits[..., others] @ weight[others]).mean(axis=1)  # (r, p)
        best = right.shape[1] - 1 - right[:, ::-1].argmax(axis=1)
        at = np.flatnonzero(fold == own)
        found[:, :, at] = hits[np.arange(len(hits)), :, best][:, :, at]
    return found


def standing(
    hits: npt.NDArray[np.bool_], weight: npt.NDArray[np.floating], baseline: int, *, seed: int = 0
) -> Standing:
    """Accuracies and gains, with a bootstrap over samples and images, paired: all recipes meet the same draws.

    Args:
        hits: (r, s, m) of `chosen_penalties`.
        weight: (m,) what each image counts, some above 0.
        baseline: the recipe that the others are held against.
        seed: of the draws.
    """
    recipes, samples, images = hits.shape
    rng = np.random.default_rng(seed)
    right = hits.astype(np.float32) * weight.astype(np.float32)
    top1 = right.mean(axis=1).sum(axis=1, dtype=np.float64) / weight.sum(dtype=np.float64)
    gains = []
    step = max(1, _BLOCK_COUNTS // max(images, 1))
    for start in range(0, DRAWS, step):
        draws = min(step, DRAWS - start)
        image = rng.multinomial(images, np.full(images, 1 / images), draws).astype(np.float32)
        sample = rng.multinomial(samples, np.full(samples, 1 / samples), draws) / samples
        each = (right.reshape(-1, images) @ image.T).reshape(recipes, samples, draws)
        mean = np.einsum("rsd,ds->rd", each, sample) / np.maximum(image @ weight, np.finfo(np.float32).tiny)
        gains.append(mean - mean[baseline])
    drawn = np.concatenate(gains, axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=1)
    better = ((drawn > 0).mean(axis=1) + (drawn >= 0).mean(axis=1)) / 2
    return Standing(top1, top1 - top1[baseline], low, high, better)
