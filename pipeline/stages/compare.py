"""Two manifests compared image by image: streamed, joined by image id, memory for one run of ids.

The manifests may be of different recipes, versions or stores, and may hold different images.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.policy.comparison import (
    CHANGES,
    NEITHER,
    QUANTILES,
    UNCHANGED,
    Comparison,
    Phrase,
    add_reasons,
    what_changed,
)
from pipeline.records import MANIFEST
from pipeline.storage.arrays import Array, scratch_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.parted import Parted
from pipeline.storage.tables import count_rows, iterate_table, write_table

_READ: Final = ("image_id", "path", "class_index", "weight", "repeats", "kept", "reason")
SIDE: Final = pa.schema([MANIFEST.field(name) for name in _READ])
_BOTH: Final = ("class_index", "weight", "repeats", "reason")
_NUMBER: Final = r"\d+(?:[.,]\d+)*"

#: One row for each image that changed, by image id. A null: that manifest does not list it.
CHANGED: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("change", pa.string(), nullable=False),  # one of CHANGES
        *(pa.field(f"{name}_{side}", MANIFEST.field(name).type) for name in _BOTH for side in "ab"),
    ]
)

Floats = npt.NDArray[np.float64]


def compare(
    a: Artifact, b: Artifact, path: Path, *, classes: int, top: int, on_progress: Callable[[int], None] = lambda _: None
) -> Comparison:
    """Compare two manifests and write what changed.

    Args:
        a: a `manifest`.
        b: another.
        path: of the Parquet file of CHANGED to write.
        classes: in the catalogue, which is the same for both.
        top: images to name of those that lose most, and as many that gain most.
        on_progress: told how many rows have been read since it was last called.
    """
    rows = [count_rows(one.table("manifest")) for one in (a, b)]
    with Parted(SIDE, max(rows)) as first, Parted(SIDE, max(rows)) as second:
        totals = [_spread(one, parted, on_progress) for one, parted in ((a, first), (b, second))]
        tally = _Tally(totals, classes, top, scratch_array((min(rows),), np.float32))

        def changed() -> Iterator[pa.Table]:
            for one, other in zip(first.parts(), second.parts(), strict=True):
                yield tally.add(_joined(one, other))

        write_table(path, CHANGED, changed())
    return tally.comparison()


def _spread(manifest: Artifact, parted: Parted, on_progress: Callable[[int], None]) -> float:
    """Put a manifest's rows in order; gives what its images have to say together."""
    total = 0.0
    for batch in iterate_table(manifest.table("manifest"), SIDE.names):
        rows = pa.Table.from_batches([batch])
        parted.add(rows)
        total += float(_say(rows).sum())
        on_progress(len(rows))
    return total


def _say(rows: pa.Table) -> Floats:
    """(n,) weight x repeats of what is trained on, NaN for rows that are not there."""
    weight = rows["weight"].to_numpy().astype(np.float64)  # a null is NaN
    repeats = pc.fill_null(rows["repeats"], 0).to_numpy()
    kept = pc.fill_null(rows["kept"], False).to_numpy()
    return np.asarray(np.where(np.isnan(weight), np.nan, np.where(kept, weight * repeats, 0)))


@dataclass(frozen=True)
class _Joined:
    """The images of a run of ids, in A and in B."""

    image_id: npt.NDArray[np.int64]
    sides: tuple[pa.Table, pa.Table]  # of SIDE, a row of nulls where an image is not listed


def _joined(a: pa.Table, b: pa.Table) -> _Joined:
    ids = [one["image_id"].to_numpy() for one in (a, b)]
    every = np.union1d(*ids)
    sides = []
    for own, table in zip(ids, (a, b), strict=True):
        sides.append(table.take(pa.array(np.searchsorted(own, every), mask=~np.isin(every, own))))
    return _Joined(every, (sides[0], sides[1]))


@dataclass
class _Tally:
    totals: list[float]  # what all images have to say in A, and in B
    classes: int
    top: int
    ratios: Array  # (at least the images trained on in both,) on the disk
    seen: int = 0  # ratios so far
    sums: Floats = field(default_factory=lambda: np.zeros((3, len(CHANGES))))
    relabelled: int = 0
    moved: float = 0.0
    phrases: dict[str, Phrase] = field(default_factory=dict)
    ends: list[pa.Table] = field(default_factory=list)  # those that lose most, gain most, are relabelled

    def __post_init__(self) -> None:
        self.kept, self.class_say = np.zeros((2, self.classes), np.int64), np.zeros((2, self.classes))
        self.changed = np.zeros(self.classes, np.int64)
        self.ends = [CHANGED.empty_table().append_column("score", pa.array([], pa.float64())) for _ in range(3)]

    def add(self, joined: _Joined) -> pa.Table:
        """Count a run of images; gives the CHANGED rows among them."""
        before, after = map(_say, joined.sides)
        change = what_changed(before, after)
        a, b = np.nan_to_num(before), np.nan_to_num(after)
        for at, weights in enumerate((None, a, b)):
            self.sums[at] += np.bincount(change, weights, len(CHANGES))
        self.moved += float(np.maximum(b / self.totals[1] - a / self.totals[0], 0).sum())
        both = (a > 0) & (b > 0)
        self.ratios[self.seen : self.seen + int(both.sum())] = b[both] / a[both]
        self.seen += int(both.sum())
        labels = [pc.fill_null(side["class_index"], -1).to_numpy() for side in joined.sides]
        other = (labels[0] != labels[1]) & (labels[0] >= 0) & (labels[1] >= 0)
        self.relabelled += int(other.sum())
        for at, (label, say) in enumerate(zip(labels, (a, b), strict=True)):
            self.kept[at] += np.bincount(label[say > 0], minlength=self.classes)
            self.class_say[at] += np.bincount(label[say > 0], say[say > 0], self.classes)
        different = other | ~np.isin(change, (UNCHANGED, NEITHER))
        self.changed += np.bincount(np.where(labels[1] >= 0, labels[1], labels[0])[different], minlength=self.classes)
        self._reasons(joined, np.where(different, b - a, np.nan))
        rows = _rows(joined, change, different)
        for at, score in enumerate((a - b, b - a, np.where(other, b, 0))):
            self._keep(at, rows, score[different])
        return rows

    def _reasons(self, joined: _Joined, gain: Floats) -> None:
        told, codes = [], []
        for side in joined.sides:
            words = pc.replace_substring_regex(pc.fill_null(side["reason"], ""), _NUMBER, "…")
            encoded = words.combine_chunks().dictionary_encode()
            told.append(encoded.dictionary.to_pylist())
            codes.append(encoded.indices.to_numpy())
        add_reasons(self.phrases, (told[0], told[1]), np.stack(codes), gain)

    def _keep(self, at: int, rows: pa.Table, score: Floats) -> None:
        """Hold on to the rows with the highest scores above 0; of equal ones, the lower ids."""
        held = pa.concat_tables([self.ends[at], rows.append_column("score", pa.array(score))])
        scores = held["score"].to_numpy()
        order = np.lexsort((held["image_id"].to_numpy(), -scores))[: self.top]
        self.ends[at] = held.take(pa.array(order[scores[order] > 0]))

    def comparison(self) -> Comparison:
        """Everything counted."""
        images, say_a, say_b = self.sums
        ratios = self.ratios[: self.seen]
        ratios.sort()  # in place, on the disk
        at = np.rint(np.array(QUANTILES) * (self.seen - 1)).astype(np.int64)
        quantiles = ratios[at].astype(np.float64) if self.seen else np.full(len(QUANTILES), np.nan)
        lost, gained, relabelled = (table.drop_columns("score").to_pylist() for table in self.ends)
        return Comparison(
            images=images.astype(np.int64),
            say_a=say_a,
            say_b=say_b,
            relabelled=self.relabelled,
            moved=self.moved,
            ratios=quantiles,
            kept=self.kept,
            class_say=self.class_say,
            changed=self.changed,
            phrases=self.phrases,
            most_lost=lost,
            most_gained=gained,
            most_relabelled=relabelled,
        )


def _rows(joined: _Joined, change: npt.NDArray[np.int8], different: npt.NDArray[np.bool_]) -> pa.Table:
    """CHANGED of the images that are different."""
    a, b = (side.filter(different) for side in joined.sides)
    columns = {
        "image_id": joined.image_id[different],
        "path": pc.coalesce(b["path"], a["path"]),
        "change": pa.array(CHANGES).take(pa.array(change[different])),
        **{f"{name}_{mark}": side[name] for name in _BOTH for mark, side in (("a", a), ("b", b))},
    }
    return pa.table([columns[name] for name in CHANGED.names], schema=CHANGED)
