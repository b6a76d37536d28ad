"""What the rows of a stretch of classes are made of, as keys by which later artifacts find them (`storage.parts`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.stages.classes import ClassOrder
from pipeline.storage.artifacts import Artifact, identity, inputs_of
from pipeline.storage.pieces import digest_of
from pipeline.storage.tables import count_rows


@dataclass(frozen=True)
class PartKeys:
    """Keys of stretches of an order: of their images, and of what was read of the crawls that these come from."""

    rules: str  # an identity: of the stage, its code and its settings
    order: ClassOrder
    ends: npt.NDArray[np.int64]  # (crawls,) where each crawl's images end in the population
    read: Sequence[Sequence[str]]  # of each crawl, what was read of it

    @classmethod
    def of(cls, rules: str, order: ClassOrder, listings: Sequence[Artifact], *read: Sequence[Artifact]) -> Self:
        """Keys of what is made of listings and, crawl by crawl, other artifacts."""
        ends = np.cumsum([count_rows(one.table("listing")) for one in listings])
        return cls(rules, order, ends, [inputs_of(own) for own in zip(listings, *read, strict=True)])

    def key(self, rows: slice, *told: str) -> str:
        """The key of some rows, given digests of what else they depend on."""
        crawl = np.searchsorted(self.ends, self.order.members[rows], side="right")
        images = np.bincount(crawl, minlength=len(self.ends)).tolist()
        inputs = [one for own, read in zip(images, self.read, strict=True) if own for one in read]
        return identity(self.rules, "", [], [digest_of(self.order.image_id[rows]), *inputs, *told])
