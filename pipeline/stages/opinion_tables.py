"""What is written of the opinions on a stretch of classes: thresholds of the classes, verdicts, and how they add up."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.confident import Opinions, class_thresholds, confident_classes, opinions
from pipeline.evidence.probe import Probe
from pipeline.evidence_tables import CLASS_OPINION, JOINT, OPINION
from pipeline.stages.probing import FoldedImages, probabilities
from pipeline.storage.artifacts import Artifact
from pipeline.storage.draft import Draft
from pipeline.storage.tables import part_path, read_table, write_table

Integers = npt.NDArray[np.integer[Any]]


def write_thresholds(
    draft: Draft, images: FoldedImages, probes: Sequence[Probe], first: int, task: tuple[int, range]
) -> None:
    """Record the thresholds of a stretch as the fact of a shard counted from `first` on.

    A stretch holds all images of its classes, and so all that their thresholds depend on.
    """
    number, classes = task
    if draft.finished(first + number) is not None:
        return
    rows = images.stretch(classes)
    confidence = np.full(rows.stop - rows.start, np.nan, np.float32)
    for block, chance in probabilities(images, probes, rows):
        confidence[block - rows.start] = chance[np.arange(len(block)), images.order.class_index[block]]
    label = images.order.class_index[rows] - classes[0]
    thresholds = class_thresholds(confidence, label, len(classes))
    draft.finish(first + number, {}, {"thresholds": [t if np.isfinite(t) else None for t in thresholds.tolist()]})


def write_verdicts(
    draft: Draft,
    images: FoldedImages,
    probes: Sequence[Probe],
    thresholds: npt.NDArray[np.float64],
    task: tuple[int, range],
) -> int:
    """Write all tables of a stretch, as the shard of its number; returns how many images it has."""
    number, classes = task
    rows = images.stretch(classes)
    count: int = rows.stop - rows.start
    if draft.finished(number) is not None:
        return count
    told, confident = _verdicts(images, probes, thresholds, rows)
    label = images.order.class_index[rows]
    tables = {
        "evidence": (OPINION, _evidence(images, rows, told, confident)),
        "joint": (JOINT, _joint(label, confident, images.classes)),
        "classes": (CLASS_OPINION, _class_figures(classes, label, told, confident, thresholds)),
    }
    files = {}
    for folder, (schema, columns) in tables.items():
        path = part_path(draft.table(folder), number)
        files[path] = write_table(path, schema, [pa.table(columns, schema=schema)])
    facts = {
        "opinions": int((told.predicted_class >= 0).sum()),
        "agreeing": int((told.predicted_class == label).sum()),
        "issues": int(((confident >= 0) & (confident != label)).sum()),
    }
    draft.finish(number, files, facts)
    return count


def _verdicts(
    images: FoldedImages, probes: Sequence[Probe], thresholds: npt.NDArray[np.float64], rows: slice
) -> tuple[Opinions, npt.NDArray[np.int32]]:
    """Opinions, NaN where there is none, and the class each image confidently is or -1."""
    n = rows.stop - rows.start
    every = Opinions(
        np.full(n, np.nan, np.float32),
        np.full(n, np.nan, np.float32),
        np.full(n, -1, np.int32),
        np.full(n, np.nan, np.float32),
    )
    confident = np.full(n, -1, np.int32)
    for block, chance in probabilities(images, probes, rows):
        at = block - rows.start
        told = opinions(chance, images.order.class_index[block])
        for whole, part in zip(vars(every).values(), vars(told).values(), strict=True):
            whole[at] = part
        confident[at] = confident_classes(chance, thresholds)
    return every, confident


def _evidence(images: FoldedImages, rows: slice, told: Opinions, confident: Integers) -> dict[str, Any]:
    unknown = told.predicted_class < 0
    issue = (confident >= 0) & (confident != images.order.class_index[rows])
    return {
        "image_id": images.order.image_id[rows],
        "fold": images.fold[rows],
        **{name: pa.array(values, mask=unknown) for name, values in vars(told).items()},
        "label_issue": issue,
        "opinion_class": pa.array(confident, mask=~issue),
    }


def _joint(label: Integers, confident: Integers, classes: int) -> dict[str, Any]:
    sure = confident >= 0
    cells, counts = np.unique(label[sure].astype(np.int64) * classes + confident[sure], return_counts=True)
    return {"given_class": cells // classes, "confident_class": cells % classes, "images": counts}


def _class_figures(
    classes: range, label: Integers, told: Opinions, confident: Integers, thresholds: npt.NDArray[np.float64]
) -> dict[str, Any]:
    def count(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(label[chosen] - classes.start, minlength=len(classes))

    sure, right = count(confident >= 0), count(confident == label)
    share = np.divide(right, sure, out=np.zeros(len(classes)), where=sure > 0)
    own = thresholds[classes.start : classes.stop]
    return {
        "class_index": np.array(classes),
        "images": count(told.predicted_class >= 0),
        "threshold": pa.array(own, mask=np.isinf(own)),
        "right_share": pa.array(share, mask=sure == 0),
    }


def write_together(draft: Draft, shard: int, parts: Sequence[Artifact]) -> None:
    """`joint/` and `classes/` of the images of several artifacts; the thresholds are the first one's."""
    joint = pa.concat_tables([read_table(part.table("joint")) for part in parts])
    joint = joint.group_by(["given_class", "confident_class"], use_threads=False).aggregate([("images", "sum")])
    joint = joint.rename_columns({"images_sum": "images"}).sort_by([(name, "ascending") for name in JOINT.names[:2]])
    first = read_table(parts[0].table("classes"))
    images = np.sum([read_table(part.table("classes"))["images"].to_numpy() for part in parts], axis=0)
    given, confident, count = (joint[name].to_numpy() for name in JOINT.names)
    sure = np.bincount(given, count, len(first))
    right = np.bincount(given[given == confident], count[given == confident], len(first))
    share = np.divide(right, sure, out=np.zeros(len(first)), where=sure > 0)
    classes = {
        "class_index": first["class_index"],
        "images": images,
        "threshold": first["threshold"],
        "right_share": pa.array(share, mask=sure == 0),
    }
    told = (
        ("joint", JOINT, joint.select(JOINT.names).cast(JOINT)),
        ("classes", CLASS_OPINION, pa.table(classes, schema=CLASS_OPINION)),
    )
    files = {}
    for name, schema, table in told:
        path = part_path(draft.table(name), 0)
        files[path] = write_table(path, schema, [table])
    draft.finish(shard, files)
