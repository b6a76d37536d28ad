"""What a policy decides of every image trained on, stretch of classes by stretch, kept in a few bytes an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.policy.decision import NO_CLASS, Decision, mean_one
from pipeline.policy.policy import Policy
from pipeline.policy.words import coarse, note_of, plural
from pipeline.stages.classes import ClassOrder, read_stretch, stretches
from pipeline.stages.eligible import Eligible
from pipeline.storage.artifacts import Artifact

Rows = npt.NDArray[np.int64]


@dataclass
class Words:
    """One rule's notes on t images, those of all stretches under one vocabulary."""

    index: npt.NDArray[np.int16]  # (t,) position in `texts`, -1 where there is nothing to say
    texts: dict[str, int] = field(default_factory=dict)

    def put(self, rows: Rows, index: npt.NDArray[np.integer[Any]], texts: Sequence[str]) -> None:
        """Keep a note's words on some rows."""
        known = np.array([self.texts.setdefault(text, len(self.texts)) for text in texts] + [-1], np.int16)
        self.index[rows] = known[index]  # an index of -1 finds the -1 at the end


@dataclass
class Decisions:
    """The decision on t images; of those that were not judged it is all 0."""

    weight: npt.NDArray[np.float32]  # (t,) mean 1 over the images an epoch sees
    repeats: npt.NDArray[np.int32]  # (t,)
    stage: npt.NDArray[np.int8]  # (t,)
    suggested: npt.NDArray[np.int32]  # (t,) NO_CLASS for none
    words: list[Words]
    evidence: dict[str, list[pa.ChunkedArray]]  # each t values in all, as the tables have them

    @classmethod
    def empty(cls, t: int, notes: int) -> Self:
        """Nothing decided yet."""
        words = [Words(np.full(t, -1, np.int16)) for _ in range(notes)]
        zero = np.zeros(t, np.float32), np.zeros(t, np.int32), np.zeros(t, np.int8)
        return cls(*zero, np.full(t, NO_CLASS, np.int32), words, {})

    def put(self, rows: Rows, decision: Decision) -> None:
        """Keep the decision on some rows."""
        self.weight[rows] = decision.weight
        self.repeats[rows] = decision.repeats
        self.stage[rows] = decision.stage
        self.suggested[rows] = decision.suggested
        for words, note in zip(self.words, decision.notes, strict=True):
            words.put(rows, note.index, note.texts)

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """(t,) which images have any say in the training."""
        return (self.repeats > 0) & (self.weight > 0)


def decide(policy: Policy, order: ClassOrder, eligible: Eligible, evidence: Mapping[str, Artifact]) -> Decisions:
    """Apply a policy to the images that may be trained on.

    A stretch of classes is read, decided and forgotten but for its decisions; rules look no further than a class, so
    that nothing depends on how classes are cut into stretches. Images that are one picture then share one image's
    weight: each weighs 1 / (those of its group that have a say).

    Args:
        policy: of any number of parts.
        order: t images by class.
        eligible: of the same t images.
        evidence: the tables that the policy reads, by name.

    Raises:
        ValueError: a table was made of other images, or the policy leaves nothing to train on.
    """
    decisions = Decisions.empty(len(order), len(policy.parts))
    judged = eligible.judged
    largest = int(np.bincount(order.class_index[judged]).max(initial=0))
    for number, classes in enumerate(stretches(order.sizes)):
        first, last = int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1])
        chosen = np.flatnonzero(judged[first:last])
        rows = chosen + first
        columns: dict[str, npt.NDArray[Any]] = {
            "class_index": order.class_index[rows],
            "image_id": order.population.image_id[order.members[rows]],
            "counts": 1 / eligible.copies[rows],
            "largest_class": np.full(len(rows), largest),
        }
        for name, used in policy.evidence.items():
            table = read_stretch(evidence[name], number, order, slice(first, last), used)
            columns |= {column: table[column].to_numpy()[chosen] for column in used}
            for column in used:
                decisions.evidence.setdefault(column, []).append(table[column])
        decisions.put(rows, policy.decide(columns))
    _share_weight(decisions, eligible)
    decisions.weight = mean_one(decisions.weight, decisions.repeats)
    return decisions


def _share_weight(decisions: Decisions, eligible: Eligible) -> None:
    """Divide the weight of images that are one picture by how many of them have a say, and tell so."""
    say = decisions.kept[eligible.repeated]
    rows, group = eligible.repeated[say], eligible.group[say]
    _, which, count = np.unique(group, return_inverse=True, return_counts=True)
    copies = count[which]
    decisions.weight[rows] /= copies
    note = note_of(coarse(copies - 1), lambda others: f"shares one image's weight with {plural(others, 'double')}")
    shared = copies > 1
    decisions.words.append(Words(np.full(len(decisions.weight), -1, np.int16)))
    decisions.words[-1].put(rows[shared], note.index[shared], note.texts)
