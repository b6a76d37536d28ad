"""What a policy decides of every image trained on, stretch of classes by stretch.

The columns of all images lie in scratch files: memory holds a stretch, or a block, and does not grow with the crawl.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evidence_tables import EVIDENCE
from pipeline.policy.decision import NO_CLASS, Decision
from pipeline.policy.policy import Policy
from pipeline.policy.words import coarse, note_of, plural
from pipeline.stages.classes import ClassOrder, read_stretch, stretches
from pipeline.stages.eligible import Eligible
from pipeline.storage.arrays import Array, blocks, scratch_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.buckets import Spill, in_buckets

Rows = npt.NDArray[np.int64]


@dataclass
class Words:
    """One rule's notes on t images, those of all stretches under one vocabulary."""

    index: npt.NDArray[np.int16]  # (t,) position in `texts`, -1 where there is nothing to say
    texts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def empty(cls, t: int) -> Self:
        """Nothing said yet."""
        return cls(_filled(t, np.int16, -1))

    def put(self, rows: Rows, index: npt.NDArray[np.integer[Any]], texts: Sequence[str]) -> None:
        """Keep a note's words on some rows."""
        known = np.array([self.texts.setdefault(text, len(self.texts)) for text in texts] + [-1], np.int16)
        self.index[rows] = known[index]  # an index of -1 finds the -1 at the end


@dataclass
class Column:
    """One column of evidence on t images."""

    values: Array  # (t,) 0 for a null
    known: npt.NDArray[np.bool_]  # (t,) False for a null

    @classmethod
    def empty(cls, t: int, kind: pa.DataType) -> Self:
        """Nothing known yet."""
        return cls(scratch_array((t,), kind.to_pandas_dtype()), scratch_array((t,), np.bool_))

    def put(self, rows: slice, column: pa.ChunkedArray) -> None:
        """Keep what a table says of a run of rows."""
        nothing = pa.scalar(False if pa.types.is_boolean(column.type) else 0, column.type)
        self.values[rows] = pc.fill_null(column, nothing).to_numpy()
        self.known[rows] = column.is_valid().to_numpy()


@dataclass
class Decisions:
    """The decision on t images; of those that were not judged it is all 0."""

    weight: npt.NDArray[np.float32]  # (t,) mean 1 over the images an epoch sees
    repeats: npt.NDArray[np.int32]  # (t,)
    stage: npt.NDArray[np.int8]  # (t,)
    suggested: npt.NDArray[np.int32]  # (t,) NO_CLASS for none
    words: list[Words]
    evidence: dict[str, Column]

    @classmethod
    def empty(cls, t: int, policy: Policy) -> Self:
        """Nothing decided yet."""
        weight, repeats, stage = (scratch_array((t,), kind) for kind in (np.float32, np.int32, np.int8))
        read = {name: EVIDENCE[table].field(name).type for table, names in policy.evidence.items() for name in names}
        evidence = {name: Column.empty(t, kind) for name, kind in read.items()}
        words = [Words.empty(t) for _ in range(len(policy.parts) + 1)]  # of the parts, and of what people found
        return cls(weight, repeats, stage, _filled(t, np.int32, NO_CLASS), words, evidence)

    def put(self, rows: Rows, decision: Decision) -> None:
        """Keep the decision on some rows."""
        self.weight[rows] = decision.weight
        self.repeats[rows] = decision.repeats
        self.stage[rows] = decision.stage
        self.suggested[rows] = decision.suggested
        for words, note in zip(self.words, decision.notes, strict=True):
            words.put(rows, note.index, note.texts)

    def kept(self, rows: slice) -> npt.NDArray[np.bool_]:
        """Which images of a run of rows have any say in the training."""
        return (self.repeats[rows] > 0) & (self.weight[rows] > 0)


def decide(policy: Policy, order: ClassOrder, eligible: Eligible, evidence: Mapping[str, Artifact]) -> Decisions:
    """Apply a policy to the images that may be trained on.

    A stretch of classes is read, decided and forgotten but for its decisions; rules look no further than a class, so
    that nothing depends on how classes are cut into stretches. What people found stands, whatever the policy says.
    Images that are one picture then share one image's weight: each weighs 1 / (those of its group that have a say).

    Args:
        policy: of any number of parts.
        order: t images by class.
        eligible: of the same t images.
        evidence: the tables that the policy reads, by name.

    Raises:
        ValueError: a table was made of other images, or the policy leaves nothing to train on.
    """
    decisions = Decisions.empty(len(order), policy)
    largest = _largest_class(order, eligible)
    for number, classes in enumerate(stretches(order.sizes)):
        stretch = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
        chosen = np.flatnonzero(eligible.judged(stretch))
        rows = chosen + stretch.start
        columns: dict[str, npt.NDArray[Any]] = {
            "class_index": order.class_index[rows],
            "image_id": order.population.image_id[order.members[rows]],
            "counts": 1 / eligible.copies[rows],
            "largest_class": np.full(len(rows), largest),
        }
        for name, used in policy.evidence.items():
            table = read_stretch(evidence[name], number, order, stretch, used)
            columns |= {column: table[column].to_numpy()[chosen] for column in used}
            for column in used:
                decisions.evidence[column].put(stretch, table[column])
        decisions.put(rows, policy.decide(columns, eligible.settled.within(stretch)[chosen]))
    wrong = np.isin(eligible.settled.rows, eligible.refused)
    decisions.suggested[eligible.refused] = eligible.settled.found[wrong]
    _share_weight(decisions, eligible)
    scale_to_mean_one(decisions.weight, decisions.repeats)
    return decisions


def scale_to_mean_one(weight: npt.NDArray[np.floating[Any]], repeats: npt.NDArray[np.integer[Any]]) -> None:
    """Scale weights, in place, so that their mean over the images an epoch sees (repeats counted) is 1.

    Unseen images get 0.

    Raises:
        ValueError: nothing is left to train on.
    """
    total, seen = 0.0, 0
    for block in blocks(len(weight)):
        total += float(np.multiply(weight[block], repeats[block], dtype=np.float64).sum())
        seen += int(repeats[block].sum(dtype=np.int64))
    if total <= 0:
        raise ValueError("this policy leaves nothing to train on: every weight or every repeat count is 0")
    for block in blocks(len(weight)):
        weight[block] = np.where(repeats[block] > 0, weight[block] * (seen / total), 0)


def _largest_class(order: ClassOrder, eligible: Eligible) -> int:
    """Images of the class that has most of those a policy judges."""
    count = np.zeros(len(order.sizes), np.int64)
    for block in blocks(len(order)):
        count += np.bincount(order.class_index[block][eligible.judged(block)], minlength=len(count))
    return int(count.max(initial=0))


def _share_weight(decisions: Decisions, eligible: Eligible) -> None:
    """Divide the weight of images that are one picture by how many of them have a say, and tell so."""
    decisions.words.append(Words.empty(len(decisions.weight)))
    found = Spill((2,))
    for block in blocks(len(decisions.weight)):
        rows = np.flatnonzero((eligible.copies[block] > 1) & decisions.kept(block)) + block.start
        found.add(np.stack([rows, eligible.group[rows]], axis=1))
    doubles = found.array()
    for own in in_buckets(doubles[:, 1]):
        _share_among(decisions, *doubles[own].T)


def _share_among(decisions: Decisions, rows: Rows, group: npt.NDArray[np.int64]) -> None:
    _, which, count = np.unique(group, return_inverse=True, return_counts=True)
    copies = count[which]
    decisions.weight[rows] /= copies
    note = note_of(coarse(copies - 1), lambda others: f"shares one image's weight with {plural(others, 'double')}")
    shared = copies > 1
    decisions.words[-1].put(rows[shared], note.index[shared], note.texts)


def _filled(t: int, dtype: npt.DTypeLike, value: int) -> Array:
    column = scratch_array((t,), dtype)
    for block in blocks(t):
        column[block] = value
    return column
