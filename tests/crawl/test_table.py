"""Parquet, CSV and JSONL, with paths or with bytes."""

import base64
import json
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.crawl.rows import CrawlError, Row
from pipeline.crawl.settings import Columns, CrawlSettings
from tests.crawl.tiny import read, rows, write

RECORDS: list[dict[str, Any]] = [
    {"path": "a.jpg", "label": "cat", "title": "A", "tags": "x y", "rank": 2, "query": "kitty", "source": "web"},
    {"path": "b.jpg", "label": "dog", "split": "valid", "rank": 0},
]
EXPECTED = [
    Row("a.jpg", "cat", "train", "t", 1, "web", 2, query="kitty", title="A", tags=["x", "y"]),
    Row("b.jpg", "dog", "val", "t", 2),
]


def test_jsonl(tmp_path: Path) -> None:
    write(tmp_path, {"t.jsonl": "\n".join(map(json.dumps, RECORDS)) + "\n"})
    held = read(tmp_path / "t.jsonl")
    assert list(held.rows) == [row._replace(origin="t.jsonl") for row in EXPECTED]
    assert held.odd == {"rank": 1}


def test_csv_counts_lines_of_the_file(tmp_path: Path) -> None:
    text = 'path,label,title,tags,rank,query,source,split\na.jpg,cat,"A",x y,2,kitty,web,\nb.jpg,dog,,,0,,,valid\n'
    write(tmp_path, {"t.csv": text})
    lines = [row._replace(origin="t.csv", line=(row.line or 0) + 1) for row in EXPECTED]
    assert rows(tmp_path) == lines


def test_parquet_with_mapped_columns(tmp_path: Path) -> None:
    table = pa.table({"file": ["a.jpg", "b.jpg"], "y": [7, 11], "meta": [{"t": "A"}, {"t": None}]})
    pq.write_table(table, tmp_path / "t.parquet")
    columns = Columns(path="file", label="y", title="meta.t")
    found = rows(tmp_path, settings=CrawlSettings(columns=columns))
    assert [(row.path, row.label, row.title, row.line) for row in found] == [
        ("a.jpg", "7", "A", 1),
        ("b.jpg", "11", None, 2),
    ]


def test_several_tables_and_folders_of_splits_stay_relative_to_the_root(tmp_path: Path) -> None:
    one = "path,label\na.jpg,cat\n"
    write(tmp_path, {"b.csv": one, "train/a.csv": one})
    assert [(row.origin, row.path) for row in rows(tmp_path)] == [("b.csv", "a.jpg"), ("train/a.csv", "a.jpg")]


def test_bytes_are_copied_into_the_spool(tmp_path: Path) -> None:
    pictures: list[Any] = [
        {"bytes": b"first", "path": None},
        {"bytes": None, "path": None},
        {"bytes": b"3", "path": "c"},
    ]
    pq.write_table(pa.table({"image": pictures, "label": [0, 1, 0]}), tmp_path / "t.parquet")
    spool = tmp_path / "made" / "spool"
    found = rows(tmp_path, settings=CrawlSettings(columns=Columns(image="image.bytes", path="image.path")), spool=spool)
    assert [(row.path, row.container, row.offset, row.size) for row in found] == [
        ("t.parquet/1", "part-00000.bin", 0, 5),
        ("t.parquet/2", "part-00000.bin", 5, 0),
        ("c", "part-00000.bin", 5, 1),
    ]
    assert (spool / "part-00000.bin").read_bytes() == b"first3"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_base64_in_text_tables(tmp_path: Path, suffix: str) -> None:
    big = base64.b64encode(b"p" * 200_000).decode()  # past the csv module's own limit
    values = [big, "no base64!"]
    text = "label,image\n" + "".join(f"cat,{value}\n" for value in values)
    if suffix == "jsonl":
        text = "".join(json.dumps({"label": "cat", "image": value}) + "\n" for value in values)
    write(tmp_path, {f"t.{suffix}": text})
    spool = tmp_path / "spool"
    found = rows(tmp_path, settings=CrawlSettings(columns=Columns(image="image")), spool=spool)
    assert [(row.offset, row.size) for row in found] == [(0, 200_000), (200_000, 10)]
    assert (spool / "part-00000.bin").read_bytes() == b"p" * 200_000 + b"no base64!"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("t.csv", "path,name\na,b\n", ["t.csv, line 1", "no column 'label' for the label; it has path, name", "Map"]),
        ("t.csv", "file,label\na,b\n", ["t.csv, line 1", "no column 'path'"]),
        ("t.csv", "path,label\na,b\nc,\n", ["t.csv, line 3", "no label", "Every picture"]),
        ("t.csv", "path,label\n,b\n", ["t.csv, line 2", "no path"]),
        ("t.csv", "path,label\na,b,c\n", ["t.csv, line 2", "more cells", "Quote"]),
        ("t.csv", 'path,label\na,"b\n', ["t.csv, line 2", "broken CSV", "Repair"]),
        ("t.csv", "path,label,split\na,b,some\n", ["t.csv, line 2", "unknown split 'some'", "Write train"]),
        ("t.jsonl", '{"path": "a", "label": 1}\n{"path"', ["t.jsonl, line 2, column 8", "broken JSON", "Repair"]),
        ("t.jsonl", '\n{"path": "a", "path": "b", "label": 1}', ["t.jsonl, line 2", "no object", "no key twice"]),
        ("t.jsonl", '{"path": "a"}\n', ["t.jsonl, line 1", "no label"]),
        (
            "t.parquet",
            "PAR1 and then nothing",
            ["t.parquet, line 1", "not readable as Parquet", "Write the file again"],
        ),
    ],
)
def test_refusals_name_file_line_and_remedy(tmp_path: Path, name: str, text: str, told: Sequence[str]) -> None:
    write(tmp_path, {name: text})
    with pytest.raises(CrawlError) as refused:
        rows(tmp_path)
    assert not [part for part in told if part not in str(refused.value)], refused.value


def test_a_column_mapped_by_hand_must_be_there(tmp_path: Path) -> None:
    write(tmp_path, {"t.csv": "path,label\na,b\n"})
    with pytest.raises(CrawlError, match=r"no column 'headline' for the title; it has path, label"):
        rows(tmp_path, settings=CrawlSettings(columns=Columns(title="headline")))


def test_parquet_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    label = pa.array([b"ok", b"\xff"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"path": ["a", "b"], "label": label}), tmp_path / "t.parquet")
    with pytest.raises(CrawlError, match=r"t\.parquet, line 1: not readable as Parquet .*utf-8"):
        rows(tmp_path)


def test_a_small_table_that_expands_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One title of a million characters in a million rows: some kilobytes on the disk, a terabyte in memory."""
    rows_, most = 1_000_000, 2**28
    title = pa.DictionaryArray.from_arrays(np.zeros(rows_, np.int32), pa.array(["x" * 10**6]))
    path = pa.array(["a.jpg"]).take(pa.array(np.zeros(rows_, np.int32)))
    label = pa.array(["cat"]).take(pa.array(np.zeros(rows_, np.int32)))
    made = tmp_path / "t.parquet"
    pq.write_table(pa.table({"path": path, "label": label, "title": title}), made, compression="zstd")
    assert made.stat().st_size < 2**20
    monkeypatch.setattr("pipeline.crawl.table.EXPANDED", most)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(
        CrawlError, match=r"t\.parquet.*8192 rows take more than 268,435,456 bytes.*fewer bytes in a cell"
    ):
        list(read(made).rows)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"columns\.label: a column's name"):
        Columns(label="")
    with pytest.raises(ValueError, match="layout: 'zip' is none of auto, webvision, table, webdataset, folders"):
        CrawlSettings(layout="zip")  # type: ignore[arg-type]
