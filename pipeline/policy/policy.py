"""Parts put together: a recipe's policy is a product of rules, each at work on what those before it left."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import NO_CLASS, Decision, Integers, Note
from pipeline.policy.people import stand_by
from pipeline.policy.rule import ALWAYS, Columns, Part


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a recipe weighs images."""

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        """Refuse a policy that says nothing."""
        if not self.parts:
            raise ValueError("a policy needs at least one part")

    @property
    def at_work(self) -> list[Part]:
        """The parts in the order they work in: as named, those that balance classes last."""
        return sorted(self.parts, key=lambda part: part.rule.balances)

    @property
    def evidence(self) -> dict[str, tuple[str, ...]]:
        """The tables and columns its parts read, each once."""
        found: dict[str, tuple[str, ...]] = {}
        for part in self.parts:
            for table, columns in part.evidence.items():
                found[table] = tuple(dict.fromkeys((*found.get(table, ()), *columns)))
        return found

    @property
    def relabels(self) -> bool:
        """Whether images are trained on as the class suggested for them."""
        return any(part.rule.relabels for part in self.parts)

    def described(self) -> list[dict[str, Any]]:
        """Everything its verdict depends on apart from the images."""
        return [part.described() for part in self.at_work]

    def decide(self, columns: Columns, found: Integers | None = None) -> Decision:
        """The verdict of all parts on n images.

        Parts work in the order of `at_work`, each on the images that those before it left (weight and repeats above 0):
        a class that had an image keeps one, because every rule sees to that, and classes are balanced over what is
        trained on. Weights and repeats multiply, the latest stage counts, the first suggestion stands (of a rule that
        relabels, where there is one), and each part that saw an image adds its reason. An image that weighs nothing is
        not seen. What people found outranks all parts but those that balance classes, which even out what that leaves.

        Args:
            columns: as `rule.Columns` says; `counts` is each image's share among its doubles.
            found: (n,) the class that a person found an image to be of, NO_CLASS where nobody looked; see `stand_by`.
                Another class than the label only where the policy relabels. None where nobody is asked.
        """
        so_far = _SoFar.of(columns, self.relabels)
        for part in self.at_work:
            if not part.rule.balances:
                so_far.apply(part)
        if found is not None:
            so_far.stand_by(found)
        for part in self.at_work:
            if part.rule.balances:
                so_far.apply(part)
        return so_far.decision


@dataclass
class _SoFar:
    """What the parts at work before have made of n images."""

    columns: Columns
    relabels: bool
    weight: npt.NDArray[np.float64]
    repeats: npt.NDArray[np.int32]
    stage: npt.NDArray[np.int32]
    suggested: npt.NDArray[np.int32]
    notes: list[Note]
    left: npt.NDArray[np.int64]  # rows

    @classmethod
    def of(cls, columns: Columns, relabels: bool) -> Self:
        n = len(columns["class_index"])
        ones, zeros = np.ones(n, np.int32), np.zeros(n, np.int32)
        return cls(columns, relabels, np.ones(n), ones, zeros, np.full(n, NO_CLASS, np.int32), [], np.arange(n))

    def apply(self, part: Part) -> None:
        left = self.left
        decision = part.decide(_seen(self.columns, part, left, self.weight * self.repeats))
        self.weight[left] *= decision.weight
        self.repeats[left] *= decision.repeats
        self.stage[left] = np.maximum(self.stage[left], decision.stage)
        if part.rule.relabels or not self.relabels:
            suggested = self.suggested[left]
            self.suggested[left] = np.where(suggested == NO_CLASS, decision.suggested, suggested)
        self.notes += [_spread(note, left, len(self.weight)) for note in decision.notes]
        self.left = left[(decision.weight > 0) & (decision.repeats > 0)]

    def stand_by(self, found: Integers) -> None:
        label = self.columns["class_index"]
        self.notes.append(stand_by(self.weight, self.repeats, self.stage, label, found))
        self.suggested = np.where(found == NO_CLASS, self.suggested, np.where(found == label, NO_CLASS, found))
        self.left = np.flatnonzero((self.weight > 0) & (self.repeats > 0))

    @property
    def decision(self) -> Decision:
        repeats = np.where(self.weight > 0, self.repeats, 0)
        return Decision(self.weight, repeats, self.stage, self.suggested, tuple(self.notes))


def _seen(
    columns: Columns, part: Part, left: npt.NDArray[np.int64], so_far: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[Any]]:
    """What a part is given of the images that are left."""
    wanted = (*ALWAYS, *(name for names in part.evidence.values() for name in names))
    seen = {name: columns[name][left] for name in wanted}
    return seen | {"counts": seen["counts"] * so_far[left]}


def _spread(note: Note, left: npt.NDArray[np.int64], n: int) -> Note:
    index = np.full(n, -1, np.int32)
    index[left] = note.index
    return Note(index, note.texts)
