"""What the rows of a stretch of classes are made of, as keys by which later artifacts find them (`storage.parts`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.stages.classes import ClassOrder
from pipeline.storage.artifacts import Artifact, identity, inputs_of
from pipeline.storage.pieces import digest_of


@dataclass(frozen=True)
class PartKeys:
    """Keys of stretches of an order: of their images, and of what was read of the crawls that these come from."""

    rules: str  # an identity: of the stage, its code and its settings
    order: ClassOrder
    read: Sequence[Sequence[str]]  # of each crawl, what was read of it

    @classmethod
    def of(cls, rules: str, order: ClassOrder, listings: Sequence[Artifact], *read: Sequence[Artifact]) -> Self:
        """Keys of what is made of listings and, crawl by crawl, other artifacts."""
        return cls(rules, order, [inputs_of(own) for own in zip(listings, *read, strict=True)])

    def key(self, rows: slice, *told: str) -> str:
        """The key of some rows, given digests of what else they depend on."""
        images = np.bincount(self.order.crawl(rows), minlength=len(self.read)).tolist()
        inputs = [one for own, read in zip(images, self.read, strict=True) if own for one in read]
        return identity(self.rules, "", [], [digest_of(self.order.image_id[rows]), *inputs, *told])
