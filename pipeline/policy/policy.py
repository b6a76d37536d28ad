"""Parts put together: a recipe's policy is a product of rules, each at work on what those before it left."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import NO_CLASS, Decision, Note
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

    def decide(self, columns: Columns) -> Decision:
        """The verdict of all parts on n images.

        Parts work in the order of `at_work`, each on the images that those before it left (weight and repeats above 0):
        a class that had an image keeps one, because every rule sees to that, and classes are balanced over what is
        trained on. Weights and repeats multiply, the latest stage counts, the first suggestion stands (of a rule that
        relabels, where there is one), and each part that saw an image adds its reason. An image that weighs nothing is
        not seen.

        Args:
            columns: as `rule.Columns` says; `counts` is each image's share among its doubles.
        """
        n = len(columns["class_index"])
        weight, repeats, stage = np.ones(n), np.ones(n, np.int32), np.zeros(n, np.int32)
        suggested, notes = np.full(n, NO_CLASS, np.int32), []
        left = np.arange(n)
        for part in self.at_work:
            decision = part.decide(_seen(columns, part, left, weight * repeats))
            weight[left] *= decision.weight
            repeats[left] *= decision.repeats
            stage[left] = np.maximum(stage[left], decision.stage)
            if part.rule.relabels or not self.relabels:
                suggested[left] = np.where(suggested[left] == NO_CLASS, decision.suggested, suggested[left])
            notes += [_spread(note, left, n) for note in decision.notes]
            left = left[(decision.weight > 0) & (decision.repeats > 0)]
        return Decision(weight, np.where(weight > 0, repeats, 0), stage, suggested, tuple(notes))


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
