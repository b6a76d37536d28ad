"""How sure accuracies and gains are: the bootstrap over images, all recipes judged by the same draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.evaluation import Judged, join

DRAWS = 2000  # the ends of an interval are then known to about a twentieth of its width
INTERVAL = (0.025, 0.975)
WITHIN: Final = (1, 5)  # guesses: the columns of Shares.share
METRICS: Final = ("top1", "top5", "class_top1", "class_top5")
_BLOCK_NUMBERS = 2**22  # counts of one block of draws held at a time
Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """How often each of n images was recognised, over the seeds."""

    image_id: npt.NDArray[np.int64]  # (n,) ascending
    label: npt.NDArray[np.int32]  # (n,)
    share: Float64s  # (n, 2) at first guess, and within five


@dataclass(frozen=True)
class Estimate:
    """A share (or a difference of two), and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Surety:
    """One recipe's accuracies, and its gains over another on the same images."""

    images: int
    metrics: dict[str, Estimate]  # by METRICS
    gains: dict[str, Estimate]  # by METRICS; empty where there is nothing to compare with


def shares_of(judged: Sequence[Judged]) -> Shares:
    """The predictions of several seeds folded over each image."""
    every = join(judged)
    image_id, first, place = np.unique(every.image_id, return_index=True, return_inverse=True)
    times = np.bincount(place)
    share = [np.bincount(place, weights=every.rank < within) / times for within in WITHIN]
    return Shares(image_id, every.label[first], np.stack(share, axis=1))


def sureties(shares: Mapping[str, Shares], baseline: str, draws: int = DRAWS) -> dict[str, Surety]:
    """Intervals of every recipe and of its gain over the baseline.

    Recipes that judged the same images are judged by the same draws, and so are their differences (a paired bootstrap);
    with one that judged others there is no gain.

    Args:
        shares: by recipe, each of at least one image.
        baseline: the recipe that gains are counted from.
        draws: of the bootstrap.
    """
    drawn: dict[str, Float64s] = {}
    waiting = dict(shares)
    while waiting:
        first = next(iter(waiting.values()))
        same = [name for name, own in waiting.items() if np.array_equal(own.image_id, first.image_id)]
        together = np.concatenate([waiting.pop(name).share for name in same], axis=1)
        found = bootstrap(together, first.label, draws)
        drawn |= {name: found[..., 2 * at : 2 * at + 2] for at, name in enumerate(same)}
    plain = {name: figures(own.share, own.label) for name, own in shares.items()}
    base = shares.get(baseline)
    told = {}
    for name, own in shares.items():
        paired = base is not None and name != baseline and np.array_equal(own.image_id, base.image_id)
        gains = estimates(plain[name] - plain[baseline], drawn[name] - drawn[baseline]) if paired else {}
        told[name] = Surety(len(own.label), estimates(plain[name], drawn[name]), gains)
    return told


def estimates(plain: Float64s, drawn: Float64s) -> dict[str, Estimate]:
    """Of a (2, 2) and draws (d, 2, 2) of it: by image or class, then at first guess or within five."""
    low, high = np.quantile(drawn, INTERVAL, axis=0)
    ends = zip(METRICS, plain.ravel().tolist(), low.ravel().tolist(), high.ravel().tolist(), strict=True)
    return {metric: Estimate(*told) for metric, *told in ends}


def figures(share: npt.NDArray[np.floating[Any]], label: npt.NDArray[np.integer[Any]]) -> Float64s:
    """(2, k): each of k columns' mean over n images, and its mean over the means of the classes that have any."""
    count = np.bincount(label)
    present = count > 0
    sums = np.stack([np.bincount(label, weights=column) for column in share.T], axis=1)
    return np.stack([share.mean(axis=0), (sums[present] / count[present, None]).mean(axis=0)])


def bootstrap(
    share: npt.NDArray[np.floating[Any]], label: npt.NDArray[np.integer[Any]], draws: int = DRAWS, seed: int = 0
) -> Float64s:
    """(draws, 2, k): the `figures` of as many images as there are, drawn with replacement (Efron, 1979).

    Args:
        share: (n, k) of each image, in [0, 1].
        label: (n,) class.
        draws: how many.
        seed: of the draws; all columns have the same ones.

    Raises:
        ValueError: there is no image, or shapes do not match.
    """
    if share.ndim != 2 or label.shape != share.shape[:1] or not len(label):
        raise ValueError(f"share {share.shape} and label {label.shape} must be (n, k) and (n,), with an image at least")
    from scipy.sparse import csr_array  # noqa: PLC0415 - a tenth of a second that the command line should not pay

    images = len(label)
    classes, of_class = np.unique(label, return_inverse=True)
    values = np.concatenate([np.ones((1, images)), share.T]).astype(np.float32)  # (k + 1, n)
    row = np.arange(len(values))[:, None] * len(classes) + of_class
    column = np.broadcast_to(np.arange(images), row.shape)
    sums = csr_array((values.ravel(), (row.ravel(), column.ravel())))  # times counts of images: sums over each class
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK_NUMBERS // images)
    found = []
    for done in range(0, draws, block):
        counts = _counts(rng, images, min(block, draws - done))
        drawn = (sums @ counts).reshape(len(values), len(classes), -1)
        found.append(_figures_of(drawn[0], drawn[1:], images))
    return np.concatenate(found)


def _counts(rng: np.random.Generator, images: int, draws: int) -> npt.NDArray[np.float32]:
    """(images, draws) how often each image is drawn: multinomial, a draw in every column."""
    cell = rng.integers(images, size=(draws, images)) * draws + np.arange(draws)[:, None]
    return np.bincount(cell.ravel(), minlength=images * draws).reshape(images, draws).astype(np.float32)


def _figures_of(drawn: npt.NDArray[np.float32], right: npt.NDArray[np.float32], images: int) -> Float64s:
    """(draws, 2, k), from the images drawn of each class (classes, draws) and their sums (k, classes, draws)."""
    present = drawn > 0
    of_class = np.divide(right, drawn, out=np.zeros_like(right), where=present)
    mean = right.sum(axis=1, dtype=np.float64) / images
    return np.stack([mean, of_class.sum(axis=1, dtype=np.float64) / present.sum(axis=0)]).transpose(2, 0, 1)
