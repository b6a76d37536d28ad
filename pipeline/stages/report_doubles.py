"""The report's pictures of doubles, over classes, crawls and splits: the largest groups, and those that leak."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.report.choice import Choice, largest_groups
from pipeline.report.page import Doubles
from pipeline.report.render import counted
from pipeline.report.sheets import SheetSettings
from pipeline.stages.population import Population
from pipeline.stages.report_gallery import Gallery, usable_positions
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import read_table

ACROSS = 4  # pictures in a row of a sheet


def doubles(found: Artifact, gallery: Gallery, names: Sequence[str]) -> Doubles:
    """How many pictures are listed more than once, the largest groups of them, and those that reach into val or test.

    Args:
        found: an `evidence-duplicates`.
        gallery: where pictures lie.
        names: of all classes.
    """
    table = read_groups(found)
    leaks, largest = double_choices(table, gallery.population, gallery.settings, names)
    drawn = gallery.sheets([*leaks, *largest])
    return Doubles(_told(table), tuple(drawn[: len(leaks)]), tuple(drawn[len(leaks) :]))


def read_groups(found: Artifact) -> pa.Table:
    """Every image of every group of an `evidence-duplicates`."""
    return read_table(found.table("groups"), ("duplicate_group", "image_id", "class_index", "split", "exact", "leak"))


def double_choices(
    table: pa.Table, population: Population, settings: SheetSettings, names: Sequence[str]
) -> tuple[list[Choice], list[Choice]]:
    """The largest groups that reach from training into val or test, and the largest of the others.

    Args:
        table: of `read_groups`.
        population: all images.
        settings: how many groups, how many pictures of each.
        names: of all classes.
    """
    group, leak = (table[name].to_numpy(zero_copy_only=False) for name in ("duplicate_group", "leak"))
    chosen = [largest_groups(group, which, settings.doubles) for which in (leak, ~np.isin(group, group[leak]))]
    groups = [[_Group.of(table.take(rows).to_pylist(), settings.per_cluster) for rows in part] for part in chosen]
    wanted = [row["image_id"] for part in groups for one in part for row in one.shown]
    at = usable_positions(population, np.array(wanted, np.int64))
    place = dict(zip(wanted, at.tolist(), strict=True))
    leaks, largest = ([one.choice(place, names) for one in part] for part in groups)
    return [one for one in leaks if len(one.position)], [one for one in largest if len(one.position)]


@dataclass(frozen=True)
class _Group:
    """One group of doubles, training images first."""

    rows: list[dict[str, Any]]
    shown: list[dict[str, Any]]

    @classmethod
    def of(cls, rows: list[dict[str, Any]], places: int) -> "_Group":
        """Half of the places for training images and half for those of val and test, as long as there are both."""
        rows = sorted(rows, key=lambda row: (row["split"] != "train", row["image_id"]))
        training = [row for row in rows if row["split"] == "train"]
        others = rows[len(training) :]
        shown = training[: max(places - len(others), places // 2)]
        return cls(rows, shown + others[: places - len(shown)])

    def choice(self, place: dict[int, int], names: Sequence[str]) -> Choice:
        """Each picture with its class, and its split where it is not trained on."""
        told = [row for row in self.shown if place[row["image_id"]] >= 0]
        splits = ["" if row["split"] == "train" else f"{row['split']}: " for row in told]
        labels = [f"{split}{names[row['class_index']]}" for split, row in zip(splits, told, strict=True)]
        facts = [(f"{row['split']}, listed as {names[row['class_index']]}",) for row in told]
        position = np.array([place[row["image_id"]] for row in told], np.int64)
        return Choice(f"{len(self.rows):,} doubles", self._note(), position, ACROSS, tuple(labels), tuple(facts))

    def _note(self) -> str:
        training = sum(row["split"] == "train" for row in self.rows)
        others = len(self.rows) - training
        told = [f"{training:,} for training, {others:,} for val or test"] if others else []
        exact = sum(row["exact"] for row in self.rows)
        copies = "each with an exact copy" if exact == len(self.rows) else f"{exact:,} with an exact copy"
        return ", ".join([*told, copies if exact else "alike, not the same file"])


def _told(table: pa.Table) -> tuple[str, ...]:
    """How many pictures and groups there are, in words."""
    numbers, inverse = np.unique(table["duplicate_group"].to_numpy(), return_inverse=True)
    label = table["class_index"].to_numpy()
    low, high = np.full(len(numbers), np.iinfo(np.int32).max), np.full(len(numbers), -1)
    np.minimum.at(low, inverse, label)
    np.maximum.at(high, inverse, label)
    training = table["split"].to_numpy(zero_copy_only=False) == "train"
    leaks = table["leak"].to_numpy(zero_copy_only=False) & training
    return (
        f"{counted(len(label), 'listed picture')} in {counted(len(numbers), 'group')}",
        f"{counted(int((low < high).sum()), 'group')} with different labels",
        f"{counted(int(leaks.sum()), 'training picture')} repeating one of val or test, and without weight for that",
    )
