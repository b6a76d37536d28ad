"""Kept images as lists of names: lines with repeats, and a table with the weights of a sampler beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.export.source import ExportSource, Progress
from pipeline.export.spreadsheet import Cells, joined, publish_csv
from pipeline.storage.arrays import write_array
from pipeline.storage.atomic import atomic_file
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import write_table

#: What any reader of lines might part one at: everything that Python's `split` and `splitlines` do.
PARTING: Final = r"[\p{Z}\p{Cc}]"
TOLERANCE: Final = 1e-3  # of a weight that counts as 1

#: A row for each kept image, in the order of `weights.npy`.
WEIGHED: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("class_index", pa.int32(), nullable=False),  # it is trained on as
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("repeats", pa.int32(), nullable=False),
        pa.field("stage", pa.int32(), nullable=False),
    ]
)


def write_list(draft: Draft, source: ExportSource, on_progress: Progress) -> Facts:
    """`list.txt`: `path class_index`, a line for each time an epoch sees the image. `classes.txt`: their names.

    Lines have no way to quote: images whose path holds a blank or a line end stand in `left_out.csv` instead.

    Raises:
        ValueError: pictures are no files of their own, or no path can stand in a list.
    """
    source.check_files()
    path = draft.folder / "list.txt"
    images = lines = left_out = 0
    weighed = False
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        for crawl, rows in source.kept(("path", "class_index", "weight", "repeats"), on_progress=on_progress):
            names = source.in_list(crawl, rows["path"])
            sound = pc.invert(pc.match_substring_regex(names, PARTING))
            told = pc.binary_join_element_wise(names, pc.cast(rows["class_index"], pa.string()), " ")
            repeats = rows["repeats"].filter(sound).to_numpy()
            again = pa.array(np.repeat(np.arange(len(repeats)), repeats))
            stream.write(joined(told.filter(sound).combine_chunks().take(again), "\n"))
            images, lines = images + len(repeats), lines + len(again)
            left_out += len(rows) - len(repeats)
            weighed |= bool((np.abs(rows["weight"].to_numpy() - 1) > TOLERANCE).any())
    if not images:
        raise ValueError("every path holds a blank, which a list of lines cannot: export weights or webdataset")
    files = {path: lines, draft.folder / "classes.txt": write_classes(draft.folder / "classes.txt", source)}
    notes = (
        ["weights differ from image to image, and a list holds repeats alone: export weights too"] if weighed else []
    )
    if left_out:
        files[draft.folder / "left_out.csv"] = left_out
        publish_csv(draft.folder / "left_out.csv", _unlisted(source))
    draft.finish(0, files)
    return {"images": images, "lines": lines, "left_out": left_out, "notes": notes}


def _unlisted(source: ExportSource) -> Iterator[Cells]:
    for crawl, rows in source.kept(("path",)):
        odd = rows.filter(pc.match_substring_regex(source.in_list(crawl, rows["path"]), PARTING))
        name = pa.repeat(source.listings[crawl].partition, len(odd))
        why = pa.repeat("its path holds a blank or a line end, which a list cannot", len(odd))
        yield {"image_id": odd["image_id"], "crawl": name, "path": odd["path"], "why": why}


def write_weights(draft: Draft, source: ExportSource, on_progress: Progress) -> Facts:
    """`images.parquet`: each kept image once. `weights.npy`: float64, weight x repeats of each, row beside row.

    Raises:
        ValueError: pictures are no files of their own.
    """
    source.check_files()
    path, weights = draft.folder / "images.parquet", draft.folder / "weights.npy"
    count = source.manifest.facts["kept"]
    with write_array(weights, (count,), np.float64) as counts:

        def tables() -> Iterator[pa.Table]:
            done = 0
            for crawl, rows in source.kept(WEIGHED.names, on_progress=on_progress):
                own = slice(done, done + len(rows))
                counts[own] = rows["weight"].to_numpy().astype(np.float64) * rows["repeats"].to_numpy()
                done = own.stop
                named = rows.set_column(1, "path", source.in_list(crawl, rows["path"]))
                yield named.select(WEIGHED.names)

        files = {path: write_table(path, WEIGHED, tables())}
    files |= {weights: count, draft.folder / "classes.txt": write_classes(draft.folder / "classes.txt", source)}
    draft.finish(0, files)
    return {"images": count, "left_out": 0, "notes": []}


def write_classes(path: Path, source: ExportSource) -> int:
    """A line for each class in order of class_index: its wnid, or the name its folder or label has; gives how many.

    A line end or a row of blanks in a name becomes one blank.
    """
    names = [" ".join(name.split()) or f"class {k}" for k, name in enumerate(source.classes["wnid"].to_pylist())]
    with atomic_file(path) as temporary:
        temporary.write_bytes("".join(f"{name}\n" for name in names).encode())
    return len(names)
