"""The evidence as the report reads it: a column at a time, row beside row with the usable training images.

A table that was made before the latest crawl came lacks its images: nothing is known of them then, which the page says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evidence_tables import EVIDENCE
from pipeline.report.census import Weights
from pipeline.report.class_view import LEVELS
from pipeline.report.overview import (
    READINGS,
    ClassFigure,
    SourceRow,
    class_means,
    share_in_words,
    spread_of,
)
from pipeline.stages.classes import ClassOrder, read_stretch, stretches
from pipeline.storage.arrays import scratch_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import iterate_table, part_paths, read_table

Column = npt.NDArray[Any]

#: Column -> the source whose table it is in.
SOURCE_OF: Final = {
    field.name: source for source, schema in EVIDENCE.items() for field in schema if field.name != "image_id"
}


@dataclass(frozen=True)
class Training:
    """The t usable training images in the order of the evidence, and what the recipe that is shown makes of them."""

    order: ClassOrder
    weights: Weights | None  # of t, 0 for an image it does not know; None without a recipe
    group: npt.NDArray[np.int64] | None = None  # (t,) of doubles; None where nobody has looked for them

    @property
    def weight(self) -> npt.NDArray[np.float64] | None:
        """(t,) times repeats."""
        return self.weights.counted if self.weights is not None else None


@dataclass(frozen=True)
class Evidence:
    """Whatever evidence there is of the t usable training images."""

    found: Mapping[str, Artifact]  # by source
    order: ClassOrder

    def has(self, *columns: str) -> bool:
        """Whether the tables that hold these columns have been made."""
        return all(SOURCE_OF[name] in self.found for name in columns)

    def column(self, name: str) -> Column:
        """(t,) one column, read anew on each call; NaN, -1 or False where nothing is known."""
        table = read_table(self.found[SOURCE_OF[name]].table("evidence"), ("image_id", name))
        return beside(table, self.order.image_id, name)

    def columns(self, names: tuple[str, ...], rows: npt.NDArray[np.int64]) -> dict[str, Column]:
        """Some rows of those of the columns that have been made; one whole column at a time is in memory."""
        return {name: self.column(name)[rows] for name in names if self.has(name)}

    def of_classes(self, names: tuple[str, ...], classes: range) -> dict[str, Column]:
        """The rows of some classes of those of the columns that have been made; the classes lie in one part.

        Of a table that holds just these images, only that part is read.
        """
        number, stretch = next((k, own) for k, own in enumerate(self.stretches) if classes.start in own)
        starts = self.order.starts
        part = slice(int(starts[stretch.start]), int(starts[stretch.stop]))
        rows = slice(int(starts[classes.start]), int(starts[classes.stop]))
        made = [name for name in names if self.has(name)]
        told: dict[str, Column] = {}
        for source in sorted({SOURCE_OF[name] for name in made}):
            own = [name for name in made if SOURCE_OF[name] == source]
            if source in self.fitting:
                whole = read_stretch(self.found[source], number, self.order, part, own)
                table = whole.slice(rows.start - part.start, rows.stop - rows.start)
                told |= {name: _filled(table, name) for name in own}
            else:
                told |= {name: self._beside(name)[rows] for name in own}
        return {name: told[name] for name in made}

    @cached_property
    def stretches(self) -> list[range]:
        """The classes of each part of a table that holds just these images."""
        return stretches(self.order.sizes)

    @cached_property
    def fitting(self) -> frozenset[str]:
        """The sources whose tables hold just these images, part by part."""
        return frozenset(source for source in self.found if self._fits(source))

    def _fits(self, source: str) -> bool:
        folder, start = self.found[source].table("evidence"), 0
        if len(part_paths(folder)) != len(self.stretches):
            return False
        for batch in iterate_table(folder, ("image_id",)):
            rows = slice(start, start + batch.num_rows)
            if not np.array_equal(batch["image_id"].to_numpy(), self.order.image_id[rows]):
                return False
            start = rows.stop
        return start == len(self.order)

    def lacking(self) -> dict[str, int]:
        """Source -> how many of the images its table does not hold, where it lacks some."""
        counts = {}
        for source in self.found.keys() - self.fitting:
            own = read_table(self.found[source].table("evidence"), ("image_id",))["image_id"].to_numpy()
            counts[source] = int((~np.isin(self.order.image_id, own)).sum())
        return {source: counts[source] for source in self.found if counts.get(source)}

    def _beside(self, name: str) -> Column:
        """A whole column of a table of other images, put beside these once and kept on the disk."""
        if name not in self._kept:
            column = self.column(name)
            kept = scratch_array(column.shape, column.dtype)
            kept[:] = column
            self._kept[name] = kept
        return self._kept[name]

    @cached_property
    def _kept(self) -> dict[str, Column]:
        return {}


def beside(table: pa.Table, image_id: npt.NDArray[np.int64], name: str) -> Column:
    """A column of a table in the order of `image_id`; NaN, -1 or False for a null and for an image it does not hold."""
    unknown = _unknown(table, name)
    values, own = _filled(table, name), table["image_id"].to_numpy()
    if np.array_equal(own, image_id):
        return values
    if not len(own):
        return np.full(len(image_id), unknown, values.dtype)
    order = np.argsort(own, kind="stable")
    at = order[np.searchsorted(own, image_id, sorter=order).clip(max=len(own) - 1)]
    return np.where(own[at] == image_id, values[at], np.asarray(unknown, values.dtype))


def _filled(table: pa.Table, name: str) -> Column:
    return np.asarray(pc.fill_null(table[name], _unknown(table, name)).to_numpy())


def _unknown(table: pa.Table, name: str) -> float:
    kind = table.schema.field(name).type
    return False if pa.types.is_boolean(kind) else np.nan if pa.types.is_floating(kind) else -1


@dataclass(frozen=True)
class Copies:
    """Which of the t usable training images are one picture, and which repeat one of val or test."""

    group: npt.NDArray[np.int64]  # (t,)
    leak: npt.NDArray[np.bool_]  # (t,)

    @classmethod
    def read(cls, found: Artifact, order: ClassOrder) -> "Copies":
        """What an `evidence-duplicates` says; an image younger than it is a picture of its own."""
        table = read_table(found.table("evidence"), ("image_id", "duplicate_group", "leak"))
        group = beside(table, order.image_id, "duplicate_group")
        return cls(np.where(group == -1, order.image_id, group), beside(table, order.image_id, "leak"))


def read_weights(manifest: Artifact, order: ClassOrder, doubles: Copies | None) -> Weights:
    """What a recipe makes of the usable training images."""
    table = read_table(manifest.table("manifest"), ("image_id", "weight", "repeats"))
    weight = np.nan_to_num(beside(table, order.image_id, "weight").astype(np.float64))
    weight *= beside(table, order.image_id, "repeats").clip(min=0)
    return Weights(weight, weight) if doubles is None else Weights.of(weight, doubles.group, doubles.leak)


def source_rows(evidence: Evidence) -> tuple[SourceRow, ...]:
    """The overview: a row for each source that has been made."""
    rows = []
    for reading in READINGS:
        if reading.source in evidence.found:
            values = evidence.column(reading.column)
            values = np.where(values < 0, np.nan, values) if values.dtype.kind == "i" else values
            spread = spread_of(values, reading.bounds)
            told = tuple(
                share_in_words(int(there(evidence).sum()), len(evidence.order), words)
                for source, words, there in _FINDINGS
                if source == reading.source
            )
            rows.append(SourceRow(reading.source, reading.column, reading.meaning, len(evidence.order), spread, told))
    return tuple(rows)


def class_figures(evidence: Evidence) -> tuple[ClassFigure, ...]:
    """A figure of each class for every source that speaks of its images."""
    figures = _right_shares(evidence)
    for name, columns, measure, percent, judges in _FIGURES:
        if evidence.has(*columns):
            values = measure(*(evidence.column(column) for column in columns))
            figures.append(ClassFigure(name, percent, judges, class_means(values, evidence.order.starts)))
    return tuple(figures)


def _right_shares(evidence: Evidence) -> list[ClassFigure]:
    """How right the labels of each class are, by all evidence together and by confident learning."""
    figures = []
    for source, name in (("fused", "Right labels"), ("opinion", "Right, by confident learning")):
        if source in evidence.found:
            table = read_table(evidence.found[source].table("classes"), ("class_index", "right_share"))
            known = dict(zip(table["class_index"].to_pylist(), table["right_share"].to_pylist(), strict=True))
            values = tuple(known.get(k) for k in range(len(evidence.order.sizes)))
            figures.append(ClassFigure(name, True, True, values))
    return figures


def _other_class(column: str) -> Callable[[Evidence], Column]:
    def there(evidence: Evidence) -> Column:
        named = evidence.column(column)
        return np.asarray((named >= 0) & (named != evidence.order.class_index))

    return there


def _above(column: str, other: str) -> Callable[[Evidence], Column]:
    return lambda evidence: evidence.column(other) > evidence.column(column)


def _level(level: int) -> Callable[[Evidence], Column]:
    return lambda evidence: evidence.column("density_level") == level


#: Source, what some images are, and which they are.
_FINDINGS: Final[tuple[tuple[str, str, Callable[[Evidence], Column]], ...]] = (
    ("duplicates", "repeating another training picture", lambda e: e.column("training_copies") > 1),
    ("duplicates", "repeating a picture of val or test", lambda e: e.column("leak")),
    ("rank", "top-ranked", lambda e: e.column("top_ranked")),
    ("kmeans", "in small clusters, under 5% of the class", lambda e: e.column("cluster_share") < 0.05),
    *(("density", name.lower(), _level(level)) for level, name in enumerate(LEVELS)),
    ("hdbscan", "outside of all clusters", lambda e: e.column("hdbscan_cluster") < 0),
    ("neighbours", "among another label", _other_class("neighbour_class")),
    ("opinion", "likely mislabelled, by confident learning", lambda e: e.column("label_issue")),
    ("opinion", "taken for another class", _other_class("predicted_class")),
    ("aum", "with a margin below 0", lambda e: e.column("aum") < 0),
    ("confusion", "of confused classes", lambda e: e.column("confused_group") >= 0),
    ("confusion", "in another class's joint cluster", _other_class("owner_class")),
    ("keyword", "without a word of the class", lambda e: e.column("keyword") == 0),
    ("keyword", "matching another class better", _above("keyword", "keyword_other")),
    ("semantic", "closer to another class", _above("semantic", "semantic_other")),
)


#: What is told of each class: its name, the columns it is made from and how, whether it is a percentage, and whether it
#: is low where labels look wrong.
_FIGURES: Final[tuple[tuple[str, tuple[str, ...], Callable[..., Column], bool, bool], ...]] = (
    ("Neighbours agree", ("agreement",), lambda agreement: agreement, True, True),
    ("Belief in the label", ("confidence",), lambda confidence: confidence, True, True),
    ("Noise", ("hdbscan_cluster",), lambda cluster: cluster < 0, True, False),
    ("Doubles", ("training_copies",), lambda copies: copies > 1, True, False),
    ("Text says nothing", ("keyword",), np.isnan, True, False),
    ("Keywords", ("keyword",), lambda match: match, False, True),
    ("Meaning", ("semantic",), lambda match: match, False, True),
)
