"""What the evidence has of one image and its class: the rows of that class alone, of every table that has been made."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.fusion import logistic
from pipeline.evidence.fusion_views import SOURCES, VIEWS
from pipeline.evidence_tables import EVIDENCE
from pipeline.report.explanation import Move
from pipeline.report.image_view import ImageView
from pipeline.stages.explain_place import Mates
from pipeline.storage.artifacts import Artifact
from pipeline.storage.rows import take_rows
from pipeline.storage.tables import read_rows

_VIEW_NAMES = {"picture": "the picture", "text": "its text", "rank": "its place in the results"}
_IDS = ("image_id", "duplicate_group")  # of which a float would lose digits


def read_view(
    evidence: Mapping[str, Artifact], mates: Mates, row: int, label: int, names: Sequence[str]
) -> tuple[ImageView, list[str]]:
    """The image among its class, and the sources whose tables were made of other images than there are now.

    Reads of each table the row groups that hold the class: one, or two for a class at the seam of two parts.

    Args:
        evidence: the tables that have been made, by source.
        mates: the usable training images of its class.
        row: of the image among them.
        label: the class.
        names: of all classes.
    """
    columns: dict[str, npt.NDArray[np.float64]] = {}
    stale = []
    for source, artifact in evidence.items():
        wanted = [name for name in EVIDENCE[source].names if name not in _IDS]
        table = _class_rows(artifact, mates, wanted)
        if table is None:
            stale.append(source)
        else:
            columns |= {name: _floats(table[name]) for name in wanted}
    return ImageView(label, names, row, columns), stale


def _class_rows(artifact: Artifact, mates: Mates, columns: Sequence[str]) -> pa.Table | None:
    try:
        table = read_rows(artifact.table("evidence"), mates.rows, ("image_id", *columns))
    except IndexError:  # it ends before the class
        return None
    return table if np.array_equal(table["image_id"].to_numpy(), mates.image_id) else None


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def read_moves(fused: Artifact, row: int) -> tuple[Move, ...]:
    """What the query and each view added to the log odds that the label is right, one after another.

    Which is added first changes the steps in probability, not the odds. Nothing for an `evidence-fused` that was made
    before such steps were kept.

    Args:
        fused: an `evidence-fused`.
        row: of the image in the evidence tables.
    """
    folder = fused.table("moves")
    if not folder.exists():
        return ()
    asked = fused.facts["sources"]
    told = take_rows(folder, np.array([row]), ("query_odds", *(f"{view}_odds" for view in VIEWS))).to_pylist()[0]
    steps = [("how right its query is", told["query_odds"])]
    for number, view in enumerate(VIEWS):
        sources = [name for name in asked if SOURCES[name].view == number]
        if sources:
            steps.append((f"{_VIEW_NAMES[view]} ({', '.join(sources)})", told[f"{view}_odds"]))
    after = logistic(np.cumsum([odds or 0.0 for _, odds in steps])).tolist()
    return tuple(
        Move(name, odds, before, then) for (name, odds), before, then in zip(steps, [0.5, *after], after, strict=False)
    )
