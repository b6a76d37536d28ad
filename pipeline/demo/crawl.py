"""The demo's crawl on disk: a noisy search drawn by this program, in the WebVision layout, and its truth beside it."""

import csv
import io
import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv

from pipeline.demo.catalogue import CLASSES, QUERIES
from pipeline.demo.encoding import file_bytes
from pipeline.demo.noise import SOURCES, TEXT, DemoSettings, Shot, generator, plan
from pipeline.demo.texts import Text, write_text
from pipeline.records import SPLITS
from pipeline.storage.atomic import TEMPORARY_SUFFIX, publish_bytes

#: One row per listed training file, in the order of `train_filelist_all.txt`.
TRUTH: Final = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("web_label", pa.int32(), nullable=False),
        pa.field("true_label", pa.int32(), nullable=False),  # noise.NO_CLASS (-1), noise.UNDECODABLE (-2)
        pa.field("kind", pa.string(), nullable=False),  # a noise.Kind
        pa.field("copy_of", pa.string(), nullable=False),  # path of the file it nearly repeats, or ""
    ]
)


def write_demo_crawl(folder: Path, settings: DemoSettings) -> None:
    """Draw the crawl into `folder`, and its truth into the file `truth_path(folder)`.

    Equal settings give equal bytes. The folder appears only when all of it is written.

    Args:
        folder: must not exist yet; its parent is made.
        settings: how much, and from which seed.

    Raises:
        FileExistsError: the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already: remove it, or draw the demo's crawl somewhere else")
    draft = folder.with_name(folder.name + TEMPORARY_SUFFIX)
    shutil.rmtree(draft, ignore_errors=True)
    shots = plan(settings)
    for shot in shots:
        path = draft / shot.path
        path.parent.mkdir(parents=True, exist_ok=True)
        data = file_bytes(settings.seed, shot)
        if data is not None:
            path.write_bytes(data)
    found = [shot for shot in shots if shot.split == "train"]
    _write_texts(draft, settings.seed, found)
    _write_info(draft / "info", shots)
    publish_bytes(truth_path(folder), _truth(found))
    draft.rename(folder)


def truth_path(folder: Path) -> Path:
    """Where the truth of the crawl in `folder` lies: outside it, so that no stage comes upon it."""
    return folder.with_name("truth.csv")


def read_truth(path: Path) -> pa.Table:
    """The truth file as a table of schema `TRUTH`."""
    types = pyarrow.csv.ConvertOptions(column_types=TRUTH, strings_can_be_null=False)
    return pyarrow.csv.read_csv(path, convert_options=types).cast(TRUTH)


def _truth(found: Sequence[Shot]) -> bytes:
    paths = {shot.number: shot.path for shot in found}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(TRUTH.names)
    for shot in found:
        original = "" if shot.copy_of is None else paths[shot.copy_of]
        writer.writerow([shot.path, shot.label, shot.true_label, shot.kind, original])
    return stream.getvalue().encode()


def _write_texts(draft: Path, seed: int, found: Iterable[Shot]) -> None:
    """One JSON file per source and query: its results' texts in order of rank."""
    texts: dict[str, list[Text]] = defaultdict(list)
    for shot in found:
        text = write_text(generator(seed, shot.number, TEXT), shot, QUERIES[shot.query - 1][1])
        texts[_json_name(shot)].append(text)
    for name, entries in texts.items():
        (draft / name).write_text(json.dumps(entries) + "\n")


def _json_name(shot: Shot) -> str:
    return f"{shot.source}/q{shot.query:04d}.json"


def _write_info(info: Path, shots: Sequence[Shot]) -> None:
    """Classes, queries and lists, as WebVision writes them: classes from 0 in lists, from 1 in the query map."""
    info.mkdir(parents=True)
    _write_lines(info / "synsets.txt", (f"{known.wnid} {', '.join(known.lemmas)}" for known in CLASSES))
    _write_lines(info / "glosses.tsv", (f"{known.wnid}\t{known.gloss}" for known in CLASSES))
    _write_lines(info / "queries.txt", (f"{number} {term}" for number, (_, term) in enumerate(QUERIES, start=1)))
    query_classes = (f"{number} {label + 1}" for number, (label, _) in enumerate(QUERIES, start=1))
    _write_lines(info / "queries_synsets_map.txt", query_classes)
    for source in (*SOURCES, "all"):
        listed = [shot for shot in shots if shot.split == "train" and source in (shot.source, "all")]
        _write_lines(info / f"train_filelist_{source}.txt", (f"{shot.path} {shot.label}" for shot in listed))
        _write_lines(info / f"train_meta_list_{source}.txt", (f"{_json_name(shot)} {shot.rank}" for shot in listed))
    for split in SPLITS[1:]:
        clean = (f"{Path(shot.path).name} {shot.label}" for shot in shots if shot.split == split)
        _write_lines(info / f"{split}_filelist.txt", clean)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
