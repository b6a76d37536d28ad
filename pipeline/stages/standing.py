"""Evidence that stands: fitted on some crawls, it judges the images of all later ones and is not changed by them.

Without this each image is judged by all others, so that one crawl more moves the evidence of every image a little. With
it the rows of the crawls that evidence is fitted on are those that the stage makes of these crawls alone; each later
crawl is judged by that, crawl by crawl, and tables of all are put together (`pipeline.stages.merged`). So a crawl more
costs its own images, and a rebuild that is fitted on the same crawls gives the same tables.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.stages.classes import ClassOrder
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store
from pipeline.storage.tables import iterate_table

Columns = Mapping[str, npt.NDArray[np.int64]]
Integers = npt.NDArray[np.int64]
FITTED_ON = "fitted_on"  # among the facts of what is put together: the names of the fitted crawls
#: among the facts of what is put together, and of `evidence-duplicates`: identity of that of the fitted crawls alone
FITTED = "fitted"


@dataclass(frozen=True)
class Standing:
    """Which crawls evidence is fitted on, and which are judged by it."""

    store: Store
    crawls: tuple[str, ...]  # all
    fitted: tuple[str, ...]  # at least one, in their order

    @property
    def apart(self) -> Store:
        """The same store; what is made of the fitted crawls alone, through this, does not become current."""
        return replace(self.store, points=False)

    @property
    def later(self) -> tuple[str, ...]:
        """Those that are judged: at least one, in their order."""
        return tuple(crawl for crawl in self.crawls if crawl not in self.fitted)

    @classmethod
    def of(cls, store: Store, crawls: Sequence[str], fitted_on: Sequence[str]) -> Self | None:
        """None where all crawls are fitted on: none is named, or no other is there.

        Raises:
            ValueError: a crawl is named that is not there.
        """
        refuse_unknown(crawls, fitted_on)
        fitted = tuple(crawl for crawl in crawls if crawl in fitted_on)
        if not fitted or len(fitted) == len(crawls):
            return None
        return cls(store, tuple(crawls), fitted)

    def alone(self, stage: str) -> Artifact:
        """What a stage made of the fitted crawls alone, when it made what is current.

        Raises:
            NotMadeError: it has not been made.
        """
        told = self.store.current(stage).facts.get(FITTED, "none")
        found = self.store.find(stage, WHOLE, told)
        if found is None:
            raise NotMadeError(
                f"{stage} of the crawls that evidence.fitted_on names has not been made alone yet: run `winnow run`"
            )
        return found

    def duplicates(self) -> Artifact:
        """`evidence-duplicates` of the fitted crawls alone.

        Raises:
            NotMadeError: it has not been made.
        """
        return self.alone("evidence-duplicates")

    def groups(self, order: ClassOrder) -> Integers:
        """(n,) duplicate groups of some training images of later crawls, as the fitted crawls alone number them.

        That of its doubles among these, or else the image's own id. Where only it brings several groups together, the
        smallest: the others were told apart when folds were made.
        """
        image_id = np.array(order.image_id)
        return _looked_up(image_id, *self._doubles, image_id)

    @cached_property
    def _doubles(self) -> tuple[Integers, Integers]:
        """The images of later crawls that have any doubles, and their groups: of all crawls in one go."""
        every = self.store.current("evidence-duplicates")
        later = np.concatenate([_listed(self.store.current("listing", crawl)) for crawl in self.later])
        own, group = _members(every, lambda told: np.isin(told["image_id"], later))

        def fitted(told: Columns) -> npt.NDArray[np.bool_]:
            found = np.isin(told["duplicate_group"], group)
            found[found] = ~np.isin(told["image_id"][found], later)
            return found

        double, of = _members(every, fitted)
        held, number = _members(self.duplicates(), lambda told: np.isin(told["image_id"], double))
        number = _looked_up(double, held, number, double)
        by = np.lexsort((number, of))
        groups, first = np.unique(of[by], return_index=True)
        return own, _looked_up(group, groups, number[by][first], own)


def refuse_unknown(crawls: Sequence[str], fitted_on: Sequence[str]) -> None:
    """Raises ValueError where evidence is to be fitted on a crawl that is not there."""
    unknown = sorted(set(fitted_on) - set(crawls))
    if unknown:
        raise ValueError(
            f"evidence.fitted_on: {unknown[0]!r} is no crawl of the store, which has {', '.join(crawls)}: "
            "name those that evidence is to be fitted on, or take that crawl in first"
        )


def fitted_sources(evidence: Mapping[str, Artifact]) -> dict[tuple[str, ...], list[str]]:
    """The sources that are fitted on some crawls alone, by these; what is fitted on all is not among them."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, artifact in evidence.items():
        if FITTED_ON in artifact.facts:
            found.setdefault(tuple(artifact.facts[FITTED_ON]), []).append(name)
    return found


def _members(duplicates: Artifact, chosen: Callable[[Columns], npt.NDArray[np.bool_]]) -> tuple[Integers, Integers]:
    """The images of groups of two or more that are chosen, and their groups."""
    found = [np.zeros((2, 0), np.int64)]
    for batch in iterate_table(duplicates.table("groups"), ("image_id", "duplicate_group")):
        told = {name: batch[name].to_numpy() for name in ("image_id", "duplicate_group")}
        found.append(np.stack(list(told.values()))[:, chosen(told)])
    image_id, group = np.concatenate(found, axis=1)
    return image_id, group


def _listed(listing: Artifact) -> Integers:
    batches = iterate_table(listing.table("listing"), ("image_id",))
    return np.concatenate([np.zeros(0, np.int64), *(batch["image_id"].to_numpy() for batch in batches)])


def _looked_up(wanted: Integers, keys: Integers, values: Integers, otherwise: Integers) -> Integers:
    """(n,) the value of each wanted key, or what is given for it where there is no such key; keys are distinct."""
    order = np.argsort(keys)
    at = np.searchsorted(keys, wanted, sorter=order).clip(max=len(keys) - 1)
    if not len(keys):
        return otherwise
    return np.where(keys[order[at]] == wanted, values[order[at]], otherwise)
