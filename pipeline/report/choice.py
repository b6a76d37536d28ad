"""Which images stand for a class, a cluster, a level or a group: fair samples and extremes, the same on every run.

Wherever many images are alike, image ids decide: they are hashes, so that what is shown is a fair sample and not the
first ranks, and no order of rows changes it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Choice:
    """Images that share a sheet, before anything of them is read."""

    name: str
    note: str
    position: Positions  # (p,) of the images, wherever pictures are looked up
    columns: int  # pictures in a row
    labels: tuple[str, ...] = ()  # a word or two for each picture, or nothing at all
    facts: tuple[tuple[str, ...], ...] = ()  # what is said of each picture, or nothing at all
    beside: bool = False  # it is said beside the picture, one in a row


@dataclass(frozen=True)
class ChoiceGroup:
    """Sheets that belong together, and how to read them."""

    title: str
    note: str
    choices: tuple[Choice, ...]


def extremes(weight: Floats, image_id: Ids, count: int, group: Integers | None = None) -> tuple[Positions, Positions]:
    """Positions of the heaviest images, heaviest first, and of the lightest, lightest first; no image is in both.

    Args:
        weight: (n,) of some images; those of which it is not known (NaN) are in neither.
        image_id: (n,) of the same images.
        count: at most so many of each.
        group: (n,) images of one number are one picture, which is shown once: the heaviest of them stands for it. None:
            every image is a picture of its own.
    """
    order = np.lexsort((image_id, -weight))
    order = order[~np.isnan(weight[order])]
    if group is not None:
        _, first = np.unique(group[order], return_index=True)
        order = order[np.sort(first)]
    n = len(order)
    return order[: min(count, n - n // 2)], order[::-1][: min(count, n // 2)]


def few_of_each(rows: Positions, number: Integers, count: int) -> Positions:
    """The rows in their order, without those that come after `count` others of the same number.

    Args:
        rows: (r,) any positions.
        number: (r,) of each.
        count: at least 1.
    """
    order = np.argsort(number, kind="stable")
    _, starts, inverse = np.unique(number[order], return_index=True, return_inverse=True)
    return rows[np.sort(order[np.arange(len(rows)) - starts[inverse] < count])]


def sample(members: Positions, image_id: Ids, count: int) -> Positions:
    """At most `count` of `members`, by ascending image id.

    Args:
        members: (m,) positions in `image_id`.
        image_id: (n,) hashes.
        count: at least 1.
    """
    return members[np.argsort(image_id[members], kind="stable")[:count]]


def lowest(values: Floats, image_id: Ids, count: int, then: Floats | None = None) -> Positions:
    """Positions of the lowest known figures, lowest first.

    Args:
        values: (n,) NaN where nothing is known.
        image_id: (n,) of the same images.
        count: at most so many.
        then: (n,) decides between equal figures, unknown ones last; image ids where these are equal too.
    """
    keys = (image_id, values) if then is None else (image_id, then, values)  # the last is the first key; NaN sorts last
    order = np.lexsort(keys)
    return order[: min(count, int((~np.isnan(values)).sum()))]


def parts(number: Integers, limit: int) -> list[tuple[int, Positions]]:
    """The largest parts that numbers from 0 on divide images into, largest first, equal ones by number.

    Args:
        number: (n,) of the part, below 0 for none.
        limit: at most so many parts.

    Returns:
        Pairs of the number and the positions of its images.
    """
    found, sizes = np.unique(number[number >= 0], return_counts=True)
    order = np.argsort(-sizes, kind="stable")[:limit]
    return [(int(found[k]), np.flatnonzero(number == found[k])) for k in order]


def largest_groups(group: Ids, chosen: npt.NDArray[np.bool_], limit: int) -> list[Positions]:
    """Rows of the largest groups that hold a chosen row, largest first, equal ones by their number.

    Args:
        group: (n,) number of each row's group, in any order.
        chosen: (n,)
        limit: at most so many groups.
    """
    wanted = np.unique(group[chosen])
    numbers, sizes = np.unique(group, return_counts=True)
    inside = np.isin(numbers, wanted)
    numbers, sizes = numbers[inside], sizes[inside]
    return [np.flatnonzero(group == numbers[k]) for k in np.argsort(-sizes, kind="stable")[:limit]]


def positions_of(wanted: Ids, image_id: Ids) -> Positions:
    """Where some images stand: (w,) positions in `image_id`, -1 for an image that is not there.

    Args:
        wanted: (w,) ids, a few.
        image_id: (n,) distinct ids in any order, many: they are looked through once and not sorted.
    """
    few = np.unique(wanted)
    if not len(few):
        return np.zeros(0, np.int64)
    there = np.flatnonzero(few[np.searchsorted(few, image_id).clip(max=len(few) - 1)] == image_id)
    place = np.full(len(few), -1, np.int64)
    place[np.searchsorted(few, image_id[there])] = there
    return place[np.searchsorted(few, wanted)]
