"""The best-ranked images of each class. Slide "Handle imbalance - top ranked images + oversampling"."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import Decision, decided
from pipeline.policy.rule import Columns
from pipeline.policy.words import coarse, note_of, plural


@dataclass(frozen=True, kw_only=True)
class TopRankedSettings:
    """Of `top-ranked`."""

    #: sightings of every class in an epoch, at least 1; a class with more images gives its best-ranked ones. No more
    #: than the crawl's largest class has: beyond that every epoch would only be longer
    k: int = 3500

    def __post_init__(self) -> None:
        """Refuse what leaves nothing."""
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")


def top_ranked(columns: Columns, settings: TopRankedSettings) -> Decision:
    """Each class's K best-ranked images, smaller classes oversampled to K: `top-ranked` (75.02 top-5 with K = 3,500).

    K is `k`, or the size of the crawl's largest class where that is smaller. A class is ordered by `position`, its
    merged rank; images without one come last, equal ones by image id. A class of n <= K images is seen K times in all:
    each image floor(K / n) times, and the first K mod n of the order once more. Of a larger class the first K are seen
    once, the rest is left out. Images without a rank are never left out for it: nothing is known against them, so that
    a larger class that has such images may go past K.
    """
    class_index, position = columns["class_index"], columns["position"]
    ranked = np.isfinite(position)
    place, size = _places(class_index, np.where(ranked, position, np.inf), columns["image_id"])
    k = min(settings.k, int(columns["largest_class"].max(initial=1)))
    often = k // size + (place < k % size)
    repeats = np.where(size <= k, often, (place < k) | ~ranked).astype(np.int32)
    note = note_of(coarse(repeats) * 2 + ranked, lambda code: _seen(k, *divmod(code, 2)))
    return decided(np.ones(len(repeats)), note, repeats=repeats)


def _places(
    class_index: npt.NDArray[np.integer], position: npt.NDArray[np.floating], image_id: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(n,) each image's place in its class by position, from 0, and (n,) the size of its class."""
    order = np.lexsort((image_id, position, class_index))
    size = np.bincount(class_index)
    first = np.cumsum(size) - size
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - first[class_index[order]]
    return place, size[class_index]


def _seen(k: int, times: int, ranked: int) -> str:
    if times == 0:
        return f"ranked past the best {k:,} of its class, left out"
    known = "" if ranked else "has no rank, "
    return f"{known}seen {plural(times, 'time')} an epoch"
