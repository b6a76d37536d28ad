"""Where an image stands in its class's search results, those of all queries and sources merged by position.

Source: slides, "Top ranked" (Bag of Tricks for Learning from Web Data, 2019): each class's 3,500 best-ranked images.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class RankSettings:
    """Which images count as top-ranked."""

    #: images per class, at least 1
    top: int = 3500

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.top < 1:
            raise ValueError(f"rank.top must be at least 1, not {self.top}")


def merged_position(
    class_index: npt.NDArray[np.integer[Any]],
    rank: npt.NDArray[np.integer[Any]],
    query_id: npt.NDArray[np.integer[Any]],
    image_id: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.int32]:
    """Interleave the results of each class: first everything that was found first, then what was found second ...

    Equal ranks are ordered by query_id, then by image_id, so that no two images of a class share a position.

    Args:
        class_index: (n,).
        rank: (n,) from 1 among its query's results; 0 or less where there is none.
        query_id: (n,) any number that tells queries apart.
        image_id: (n,) unique.

    Returns:
        (n,) position in the class from 1, without gaps; 0 where there is no rank.

    Raises:
        ValueError: the arrays differ in length.
    """
    if not len(class_index) == len(rank) == len(query_id) == len(image_id):
        raise ValueError("class_index, rank, query_id and image_id must be of one length")
    ranked = np.flatnonzero(rank > 0)
    order = ranked[np.lexsort((image_id[ranked], query_id[ranked], rank[ranked], class_index[ranked]))]
    label = class_index[order]
    first = np.concatenate([[True], label[1:] != label[:-1]])[: len(order)]
    start = np.flatnonzero(first)[np.cumsum(first) - 1]
    position = np.zeros(len(class_index), np.int32)
    position[order] = np.arange(len(order)) - start + 1
    return position


def top_ranked(position: npt.NDArray[np.integer[Any]], settings: RankSettings) -> npt.NDArray[np.bool_]:
    """Whether an image is among its class's first; never where it has no position (0)."""
    return (position > 0) & (position <= settings.top)
