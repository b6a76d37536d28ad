"""The query that found each image, numbered class by class: a query that serves several is one for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.stages.classes import ClassOrder
from pipeline.stages.population import NO_QUERY, listed_numbers
from pipeline.storage.arrays import finished, scratch_array
from pipeline.storage.artifacts import Artifact


@dataclass(frozen=True)
class Queries:
    """The Q queries of t images, by class, crawl and number."""

    of: npt.NDArray[np.int32]  # (t,) position among the Q, on the disk
    class_of: npt.NDArray[np.int32]  # (Q,) ascending
    crawl: npt.NDArray[np.int32]  # (Q,) position among the crawls
    query_id: npt.NDArray[np.int32]  # (Q,) NO_QUERY for the images that none is told of

    @classmethod
    def read(cls, listings: Sequence[Artifact], order: ClassOrder) -> Self:
        """The queries of the images of an order, a stretch of classes at a time; `listings` are its crawls'."""
        listed = listed_numbers(listings, "query_id", NO_QUERY)
        of, found, queries = scratch_array((len(order),), np.int32), [np.zeros((3, 0), np.int32)], 0
        for rows in order.runs:
            number, told = _numbered(order.class_index[rows], order.crawl(rows), listed[order.members[rows]])
            of[rows] = queries + number
            found.append(told)
            queries += told.shape[1]
        return cls(finished(of), *np.concatenate(found, axis=1))

    def within(self, label: npt.NDArray[np.int32]) -> slice:
        """The queries of a run of whole classes, given the labels of its images."""
        if not len(label):
            return slice(0, 0)
        first = np.searchsorted(self.class_of, label[0])
        return slice(int(first), int(np.searchsorted(self.class_of, label[-1], side="right")))


def _numbered(
    label: npt.NDArray[np.int32], crawl: npt.NDArray[np.integer[Any]], query: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The number of each image's query, and (3, queries) their keys, ascending by them in turn.

    Args:
        label: (n,) ascending, as images are ordered.
        crawl: (n,) ascending within a class.
        query: (n,) of its crawl.
    """
    run = np.zeros(len(label), np.int64)  # number of the class and crawl: one sort of one key does the rest
    run[1:] = np.cumsum((np.diff(label) != 0) | (np.diff(crawl) != 0))
    _, first, number = np.unique(run * 2**32 + query, return_index=True, return_inverse=True)
    return number, np.stack([label[first], crawl[first], query[first]]).astype(np.int32)
