"""The tables of `evidence-fused`, a stretch of classes at a time: what a part is made of, and how it is written.

No query and no class is cut by a stretch, so that a part depends on nothing but its own images and on what was learnt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.fusion import Floats, Seen, logistic
from pipeline.evidence.fusion_classes import NAMED, NO_CLASS, likeliest_class
from pipeline.evidence.fusion_views import UNKNOWN, VIEWS, margins
from pipeline.evidence_tables import CLASS_TRUST, FUSED, MOVES, QUERY_TRUST
from pipeline.stages.fusion_fitted import Fitted
from pipeline.stages.fusion_queries import Queries
from pipeline.stages.fusion_tables import Tables, Task
from pipeline.stages.fusion_taught import Taught
from pipeline.stages.population import NO_QUERY
from pipeline.storage.artifacts import identity
from pipeline.storage.draft import Draft
from pipeline.storage.parts import keyed
from pipeline.storage.pieces import digest_of
from pipeline.storage.tables import part_path, write_table

TABLES: Final = {"evidence": FUSED, "moves": MOVES, "queries": QUERY_TRUST, "classes": CLASS_TRUST}
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Judge:
    """All that the parts are made of."""

    evidence: Tables
    queries: Queries
    crawls: Sequence[str]  # their names
    fitted: Fitted
    taught: Taught

    def keys(self, rules: str) -> list[str]:
        """The key of each part, by an identity of the code."""
        learnt, order = self.fitted.digest, self.evidence.order
        found = []
        for (_, rows), parts in zip(self.evidence.tasks, self.evidence.parts, strict=True):
            label = order.class_index[rows]
            own = self.queries.within(label)
            crawls = [self.crawls[crawl] for crawl in self.queries.crawl[own].tolist()]
            told = [
                digest_of(order.image_id[rows], label, self.queries.of[rows] - own.start),
                digest_of(self.queries.query_id[own], self.fitted.mixture.query_share[own]),
                self.taught.digest(rows, own, label),
            ]
            found.append(identity(rules, "", crawls, [learnt, *told, *parts]))
        return found

    def write(self, draft: Draft, task: tuple[Task, str]) -> int:
        """Judge the images of a stretch; how many they are."""
        (number, rows), key = task
        order = self.evidence.order
        image_id, label, query = order.image_id[rows], order.class_index[rows], self.queries.of[rows]
        read = self.evidence.columns((number, rows), NAMED)
        bins, odds = self._odds(margins(read, self.evidence.sources), query)
        right = logistic(odds.sum(axis=1)).astype(np.float32)
        looked_at, verdict, _ = self.taught.within(rows)
        right[looked_at] = verdict
        weight = self.evidence.counts((number, rows))
        trust = _Trust.of(self.queries.within(label), query, label, right, weight)
        told: dict[str, Columns] = {
            "evidence": {"image_id": image_id, **self._likeliest(read, right, rows), **trust.of_rows(query, label)},
            "moves": {"image_id": image_id, **_moves(odds, bins)},
            "queries": self._of_queries(trust, query),
            "classes": _of_classes(trust, label),
        }
        files = {}
        for name, schema in TABLES.items():
            path = part_path(draft.table(name), number)
            files[path] = write_table(path, schema, [pa.table(told[name], schema=schema)])
        sums = {
            "right": float((right.astype(np.float64) * weight).sum()),
            "weight": float(weight.sum(dtype=np.float64)),
        }
        draft.finish(number, files, sums | keyed(key))
        return len(right)

    def _odds(
        self, margin: npt.NDArray[np.float32], query: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.uint8], Floats]:
        """Bins, (rows, V), and what makes up the log odds, (rows, 1 + V), of the images of a stretch."""
        scores = self.fitted.scale.scores(margin)
        bins = self.fitted.scale.bins(scores)
        weight = np.ones(len(query), np.float32)  # odds depend on none
        seen = Seen(bins, query, weight, self.queries.class_of, len(self.evidence.order.sizes))
        mixture, correction = self.fitted.mixture, self.taught.correction
        if correction is None:
            return bins, mixture.odds(seen, slice(None))
        return bins, correction.odds(mixture, seen, scores, slice(None))

    def _likeliest(self, read: Columns, right: npt.NDArray[np.float32], rows: slice) -> dict[str, Any]:
        named = tuple(name for name in self.evidence.sources if name in NAMED)
        likeliest = likeliest_class(read, right, named)
        looked_at, _, found = self.taught.within(rows)
        said = found != NO_CLASS  # a person named the class
        likeliest.class_index[looked_at[said]] = found[said]
        likeliest.probability[looked_at[said]] = 1
        none = likeliest.class_index == NO_CLASS
        return {
            "right_probability": right,
            "fused_class": pa.array(likeliest.class_index, mask=none),
            "fused_probability": pa.array(likeliest.probability, mask=none),
        }

    def _of_queries(self, trust: "_Trust", query: npt.NDArray[np.int32]) -> Columns:
        own = trust.queries
        query_id = self.queries.query_id[own]
        return {
            "crawl": pa.array(self.crawls, pa.string()).take(pa.array(self.queries.crawl[own])),
            "query_id": pa.array(query_id, mask=query_id == NO_QUERY),
            "class_index": self.queries.class_of[own],
            "images": np.bincount(query - own.start, minlength=len(query_id)),
            "right_share": trust.query_share,
        }


@dataclass(frozen=True)
class _Trust:
    """How many of the images of a stretch's queries and classes are right."""

    queries: slice
    query_share: Floats  # (queries,)
    first: int  # class
    class_share: Floats  # (classes,) from the first on; NaN for one without images

    @classmethod
    def of(
        cls,
        queries: slice,
        query: npt.NDArray[np.int32],
        label: npt.NDArray[np.int32],
        right: npt.NDArray[np.float32],
        weight: npt.NDArray[np.float32],
    ) -> "_Trust":
        first = int(label[0]) if len(label) else 0
        share = _means(right, weight, query - queries.start, queries.stop - queries.start)
        return cls(
            queries, share, first, _means(right, weight, label - first, int(label.max(initial=first)) + 1 - first)
        )

    def of_rows(self, query: npt.NDArray[np.int32], label: npt.NDArray[np.int32]) -> dict[str, Any]:
        return {
            "query_right_share": self.query_share[query - self.queries.start].astype(np.float32),
            "class_right_share": self.class_share[label - self.first].astype(np.float32),
        }


def _of_classes(trust: _Trust, label: npt.NDArray[np.int32]) -> Columns:
    present, images = np.unique(label, return_counts=True)
    return {"class_index": present, "images": images, "right_share": trust.class_share[present - trust.first]}


def _moves(odds: Floats, bins: npt.NDArray[np.uint8]) -> dict[str, Any]:
    query, *views = odds.T.astype(np.float32)
    unknown = (bins == UNKNOWN).T
    told = {f"{name}_odds": pa.array(view, mask=mask) for name, view, mask in zip(VIEWS, views, unknown, strict=True)}
    return {"query_odds": query, **told}


def _means(
    value: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], group: npt.NDArray[np.int32], groups: int
) -> Floats:
    """(groups,) weighted; NaN for a group without images."""
    total = np.bincount(group, weight, groups)
    found = np.full(groups, np.nan)
    np.divide(np.bincount(group, value * weight, groups), total, out=found, where=total > 0)
    return found
