"""The labels of the most similar images of all classes: a wrong label stands out among images it does not belong to.

k-nearest-neighbour label agreement as in "Deep k-NN for Noisy Labels" (Bahri, Jiang and Gupta, 2020). Large crawls are
searched by cells: `pipeline.evidence.cells`.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.integer[Any]]
SPARE = 16  # doubles that an image may have among its nearest before it has to be compared a second time
_CROWDED_ROWS = 128  # compared a second time at once


@dataclass(frozen=True, kw_only=True)
class NeighbourSettings:
    """How many neighbours, and how they are searched."""

    #: neighbours of each image, at least 1
    k: int = 15
    #: up to so many images every pair is compared; above, images are compared with those of the cells nearest to them
    exact_images: int = 20_000
    #: cells nearest to an image that are searched for it, at least 1; a cell holds some 128 images
    probes: int = 32
    #: of the sample that the cells are made from
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        for name in ("k", "exact_images", "probes"):
            if getattr(self, name) < 1:
                raise ValueError(f"neighbours.{name} must be at least 1, not {getattr(self, name)}")


def unit_rows(features: npt.NDArray[np.floating[Any]]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Rows scaled to length 1, and which of them have a direction: finite, and not all 0.

    Args:
        features: (n, d); float16 is the quickest.

    Returns:
        (n, d) float32, 0 where there is no direction; (n,).
    """
    rows = single(features)
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    known = np.isfinite(length) & (length > 0)
    rows[~known] = 0.0
    rows *= np.divide(1.0, length, out=np.zeros_like(length), where=known)[:, None]
    return rows, known


def single(features: npt.NDArray[np.floating[Any]]) -> Floats:
    """A copy as float32.

    Args:
        features: (n, d); float16 is the quickest.
    """
    if features.dtype != np.float16 or not features.size:
        return features.astype(np.float32)
    import torch  # noqa: PLC0415 - a second that the command line should not pay

    # numpy takes ten times as long to widen them; torch wants memory that it may write
    single: Floats = torch.from_numpy(np.require(features, requirements=["C", "W"])).float().numpy()
    return single


def nearest(queries: Floats, candidates: Floats, groups: tuple[Integers, Integers], k: int) -> tuple[Integers, Floats]:
    """The k most similar candidates of each query, those of its own duplicate group left out.

    SPARE more than k are searched; only a query that has more doubles than that among them is compared again, with its
    doubles left out beforehand.

    Args:
        queries: (q, d) unit rows.
        candidates: (c, d) unit rows; a query may be among them.
        groups: (q,) and (c,) duplicate groups; an image is always of its own group.
        k: at least 1.

    Returns:
        (q, k) positions among the candidates, most similar first, equal ones by position, -1 where there are too few;
        (q, k) cosines, NaN there.
    """
    if min(len(queries), len(candidates)) == 0:
        return np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), np.nan, np.float32)

    def double(rows: slice | Integers, columns: Integers) -> npt.NDArray[np.bool_]:
        return np.asarray(groups[0][rows, None] == groups[1][columns])

    first = most_similar(queries, candidates, min(k + SPARE, len(candidates)), _accelerator())
    return without_doubles(first, lambda rows: queries[rows] @ candidates.T, double, k)


def without_doubles(
    first: tuple[Floats, Integers],
    every: Callable[[Integers], Floats],
    double: Callable[[slice | Integers, Integers], npt.NDArray[np.bool_]],
    k: int,
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The k largest values of each row that are not its double's, largest first.

    Args:
        first: (q, f) the largest values of each row and their columns, of k + SPARE columns or all there are; they are
            written to. Minus infinity is no value.
        every: the values of all c columns of some rows: asked for where f are too few.
        double: whether some columns (n, f) of some rows (n,) are their doubles'.
        k: at least 1.

    Returns:
        (q, k) columns, equal values by column, -1 where there are too few; (q, k) values, NaN there.
    """
    value, at = first
    value[double(slice(None), at)] = -np.inf
    found, values = _in_order(value, at, k)
    crowded = np.flatnonzero(found[:, -1] < 0) if value.shape[1] >= k + SPARE else np.zeros(0, np.int64)
    for start in range(0, len(crowded), _CROWDED_ROWS):
        rows = crowded[start : start + _CROWDED_ROWS]
        own = every(rows).copy()
        own[double(rows, np.broadcast_to(np.arange(own.shape[1]), own.shape))] = -np.inf
        found[rows], values[rows] = _in_order(*largest(own, min(k, own.shape[1])), k)
    return found, values


def most_similar(queries: Floats, candidates: Floats, count: int, device: str | None = None) -> tuple[Floats, Integers]:
    """The `count` largest products of each query with a candidate, and which candidates they are, in no order.

    Args:
        queries: (q, d).
        candidates: (c, d), c at least `count`.
        count: at least 1.
        device: of torch, which then multiplies and selects; None: the processor, without torch.
    """
    if device is None:
        return largest(queries @ candidates.T, count)
    import torch  # noqa: PLC0415 - a second that the command line should not pay

    own, others = (torch.from_numpy(rows).to(device) for rows in (queries, candidates))
    value, at = (own @ others.T).topk(count, dim=1, sorted=False)
    return value.cpu().numpy(), at.cpu().numpy()


@functools.cache
def _accelerator() -> str | None:
    import torch  # noqa: PLC0415 - a second that the command line should not pay

    return "cuda" if torch.cuda.is_available() else None


def largest(values: Floats, count: int) -> tuple[Floats, Integers]:
    """The `count` largest of each row and their columns, in no order.

    Columns are put into stacks, and only the stacks with the largest peaks are looked into: they hold all that is
    sought, and selecting is slow where looking for a maximum is not.
    """
    columns = values.shape[1]
    height = max(1, math.isqrt(columns // count))
    width = columns // height
    stacks = _columns_of_largest(values[:, : height * width].reshape(len(values), height, width).max(axis=1), count)
    at = (stacks[:, None, :] + width * np.arange(height)[:, None]).reshape(len(values), -1)
    rest = np.broadcast_to(np.arange(height * width, columns), (len(values), columns - height * width))
    at = np.concatenate([at, rest], axis=1)
    found = np.take_along_axis(values, at, axis=1)
    chosen = _columns_of_largest(found, count)
    return np.take_along_axis(found, chosen, axis=1), np.take_along_axis(at, chosen, axis=1)


def _columns_of_largest(values: Floats, count: int) -> Integers:
    """(n, count) columns of the largest of each row, in no order."""
    first = values.shape[1] - count
    return np.argpartition(values, first, axis=1)[:, first:]


def _in_order(value: Floats, at: Integers, count: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """The `count` largest values of each row and where they are; -1 and NaN where they are -inf, or there are fewer."""
    order = np.lexsort((at, -value), axis=1)[:, :count]
    value, at = np.take_along_axis(value, order, axis=1), np.take_along_axis(at, order, axis=1)
    found = np.full((len(value), count), -1, np.int64)
    values = np.full(found.shape, np.nan, np.float32)
    there = value > -np.inf
    found[:, : there.shape[1]][there], values[:, : there.shape[1]][there] = at[there], value[there]
    return found, values


@dataclass(frozen=True)
class Agreement:
    """What n images' neighbours say; NaN and -1 for an image without any."""

    agreement: Floats  # (n,) share of the neighbours with the image's own label
    neighbour_class: npt.NDArray[np.int32]  # (n,) their most frequent label
    neighbour_share: Floats  # (n,) share of them with that
    similarity: Floats  # (n,) mean cosine to them


def agreement(label: Integers, neighbours: Integers, cosine: Floats) -> Agreement:
    """How far the labels of an image's neighbours agree with its own.

    The most frequent label is that of the larger sum of cosines where two are equally frequent, then the lower one.

    Args:
        label: (n,) of the images, >= 0.
        neighbours: (n, k) labels of their neighbours, -1 for none.
        cosine: (n, k) to them, NaN for none.
    """
    present = neighbours >= 0
    count = present.sum(axis=1)
    known = count > 0
    same = (neighbours[:, :, None] == neighbours[:, None, :]) & present[:, None, :]  # (n, k, k)
    votes = np.where(present, same.sum(axis=2), -1)
    weight = np.where(present, (same * np.nan_to_num(cosine)[:, None, :]).sum(axis=2), -np.inf)
    best = np.lexsort((neighbours, -weight, -votes), axis=1)[:, :1]

    def share(of: npt.NDArray[Any]) -> Floats:
        return np.asarray(np.divide(of, count, out=np.full(len(label), np.nan), where=known), np.float32)

    winner = np.take_along_axis(neighbours, best, axis=1)[:, 0]
    return Agreement(
        agreement=share((present & (neighbours == label[:, None])).sum(axis=1)),
        neighbour_class=np.where(known, winner, -1).astype(np.int32),
        neighbour_share=share(np.take_along_axis(votes, best, axis=1)[:, 0]),
        similarity=share(np.nansum(cosine, axis=1, where=present)),
    )
