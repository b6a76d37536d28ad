"""What people's verdicts teach `evidence-fused`; only the stretches of classes that hold one are read for it."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence.fusion import Seen
from pipeline.evidence.fusion_verified import Correction, correct, correct_alone, held_out
from pipeline.evidence_tables import JUDGED
from pipeline.stages.fusion_fitted import Fitted
from pipeline.stages.fusion_queries import Queries
from pipeline.stages.fusion_tables import Tables, Verified
from pipeline.storage.pieces import digest_of

FOLDS, FOLD_SEED = 5, 0  # by which verdicts are held out to be compared with what others teach


@dataclass(frozen=True)
class Taught:
    """What m verdicts say, and what is learnt from them of all other images."""

    rows: npt.NDArray[np.int64]  # (m,) of the order, ascending
    right: npt.NDArray[np.bool_]  # (m,)
    found: npt.NDArray[np.int32]  # (m,) class that was found, or NO_CLASS
    judged: pa.Table  # JUDGED
    correction: Correction | None  # None without a verdict

    @classmethod
    def of(cls, verified: Verified | None, read: tuple[Tables, Queries], fitted: Fitted, *, standing: bool) -> Self:
        """Learn from the verdicts on images of the tables.

        Args:
            verified: the verdicts.
            read: the tables and queries of all images.
            fitted: what is put right, with the shares of these queries.
            standing: whether what is learnt must not depend on queries and classes without a verdict, of which there
                may be more tomorrow.
        """
        evidence, queries = read
        rows, told = (verified or Verified.nothing()).in_order(evidence.order)
        margin = evidence.of_rows(rows, evidence.margins, (0, len(evidence.sources)))
        scores = fitted.scale.scores(margin)
        bins, query = fitted.scale.bins(scores), queries.of[rows]
        own = Seen(bins, query, told.weight, queries.class_of, len(evidence.order.sizes))
        fold = fold_of_groups(evidence.of_rows(rows, evidence.groups, (0,)), FOLDS, FOLD_SEED)
        mixture = fitted.mixture
        judged = {
            "image_id": evidence.order.image_id[rows],
            "right": told.right,
            "held_out_probability": held_out(mixture, own, scores, told.right, fold).astype(np.float32),
            "unaided_probability": mixture.probability(own, slice(None)).astype(np.float32),
        }
        learn = correct_alone if standing else correct
        correction = learn(mixture, own, scores, told.right) if len(rows) else None
        return cls(rows, told.right, told.found, pa.table(judged, schema=JUDGED), correction)

    def within(self, rows: slice) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
        """The verdicts on a stretch: its rows that somebody looked at, whether they are right, and what was found."""
        own = slice(*np.searchsorted(self.rows, (rows.start, rows.stop)))
        return self.rows[own] - rows.start, self.right[own], self.found[own]

    def digest(self, rows: slice, queries: slice, label: npt.NDArray[Any]) -> str:
        """All of it that the rows of a stretch depend on, given its queries and the labels of its rows."""
        told = self.within(rows)
        if self.correction is None:
            return digest_of(*told)
        learnt = self.correction
        return digest_of(*told, learnt.slopes, learnt.query[queries], learnt.group[np.unique(label)])
