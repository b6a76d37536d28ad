"""Made-up columns, as the manifest gives them to a policy."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.policy.catalogue import RULES
from pipeline.policy.decision import Decision
from pipeline.policy.rule import Columns, Part


def columns(class_index: Sequence[int], largest: int | None = None, **told: Sequence[Any]) -> dict[str, np.ndarray]:
    """What every rule is given of n images, ids 0, 1, 2 ..., and the evidence told; None is null."""
    n = len(class_index)
    index = np.array(class_index, np.int64)
    always = {
        "class_index": index,
        "image_id": np.arange(n, dtype=np.int64),
        "counts": np.ones(n),
        "largest_class": np.full(n, largest or np.bincount(index).max(initial=0)),
    }
    return always | {name: np.array([np.nan if v is None else v for v in values]) for name, values in told.items()}


def part(name: str, **settings: Any) -> Part:
    """A rule with some of its settings given."""
    return Part(rule=RULES[name], settings=RULES[name].settings(**settings))


def decide(name: str, table: Columns, **settings: Any) -> Decision:
    """A rule's verdict."""
    return part(name, **settings).decide(table)


def words(decision: Decision) -> list[str]:
    """Every image's reason."""
    return [decision.words(image) for image in range(len(decision.weight))]
