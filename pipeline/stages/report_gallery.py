"""Choices of images to contact sheets: only the pictures shown, and what is said of them, are read."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.report.choice import Choice, positions_of
from pipeline.report.sheets import Caption, Sheet, SheetSettings, contact_sheet, data_uri
from pipeline.stages.population import Population
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import Artifact
from pipeline.storage.rows import take_rows
from pipeline.storage.tables import count_rows


@dataclass(frozen=True)
class Gallery:
    """Where pictures and their texts lie. The positions of a choice are those of the population."""

    listings: Sequence[Artifact]  # of the decoded crawls, in the population's order
    images: Sequence[Artifact]
    features_of: Sequence[Artifact]  # of the crawls; empty where some has none
    population: Population
    weight: npt.NDArray[np.float32]  # (n,) of the population's images, NaN where nothing weighs them
    settings: SheetSettings

    @cached_property
    def shards(self) -> ArrayShards:
        """The pixels of all crawls."""
        return ArrayShards([artifact.table("pixels") for artifact in self.images])

    @cached_property
    def features(self) -> ArrayShards | None:
        """The features of all crawls, or None where there are none for just these pictures."""
        if not self.features_of:
            return None
        features = ArrayShards([artifact.table("features") for artifact in self.features_of])
        fitting = [len(shard) for shard in features.shards] == [len(shard) for shard in self.shards.shards]
        return features if fitting else None

    def sheets(self, choices: Sequence[Choice]) -> list[Sheet]:
        """A sheet for each choice; the texts of all of them are read in one pass."""
        told = self.texts([choice.position for choice in choices], ("path", "title", "rank"))
        return [self._draw(choice, told) for choice in choices]

    def texts(self, positions: Sequence[npt.NDArray[np.int64]], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Position -> what the listing says of the image."""
        every = np.unique(np.concatenate(positions)) if positions else np.zeros(0, np.int64)
        return dict(zip(every.tolist(), rows_at(self.listings, "listing", columns, every), strict=True))

    def _draw(self, choice: Choice, told: dict[int, dict[str, Any]]) -> Sheet:
        at = choice.position
        pixels = self.shards.gather(self.population.shard[at], self.population.row[at])
        across = min(choice.columns, len(at))
        uri = data_uri(contact_sheet(pixels, across, self.settings), "image/jpeg")
        captions = [
            self._caption(position, told[position], label or "", facts or ())
            for position, label, facts in itertools.zip_longest(at.tolist(), choice.labels, choice.facts)
        ]
        return Sheet(choice.name, choice.note, uri, across, tuple(captions), choice.beside)

    def _caption(self, position: int, text: dict[str, Any], label: str, facts: tuple[str, ...]) -> Caption:
        weight = float(self.weight[position])
        known = None if np.isnan(weight) else weight
        return Caption(text["path"], text["title"] or "", text["rank"], known, label, facts)


def usable_positions(population: Population, image_id: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where some images stand in the population; -1 for one that is not there or cannot be used."""
    at = positions_of(image_id, population.image_id)
    return np.where((at >= 0) & population.usable[at], at, -1) if len(population.image_id) else at


def rows_at(
    artifacts: Sequence[Artifact], table: str, columns: Sequence[str], positions: npt.NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Rows of a table of several crawls, counted through; only row groups that hold one of them are read.

    Args:
        artifacts: of each crawl, in the population's order.
        table: a table with one row per listed image.
        columns: which columns.
        positions: (p,) ascending, without repetition.
    """
    found: list[dict[str, Any]] = []
    start = 0
    for artifact in artifacts:
        stop = start + count_rows(artifact.table(table))
        first, last = np.searchsorted(positions, (start, stop))
        if last > first:
            found += take_rows(artifact.table(table), positions[first:last] - start, columns).to_pylist()
        start = stop
    return found
