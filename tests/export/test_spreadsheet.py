"""CSV of a manifest: every row is there, and no cell runs, whatever parts the line."""

import csv
import dataclasses
import io
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.export import source as source_module
from pipeline.export import spreadsheet
from pipeline.export.formats import make_export
from pipeline.export.spreadsheet import cell, guarded
from tests.export.export_store import Made, picture

FORMULA = re.compile("[=+\\-@\N{FULLWIDTH EQUALS SIGN}]")
DANGEROUS = st.text(st.sampled_from("=+-@\N{FULLWIDTH EQUALS SIGN}\t\r\n,;\"' a1"), max_size=12)


def guarded_text(text: str) -> str:
    (safe,) = guarded(pa.array([text])).to_pylist()
    assert isinstance(safe, str)
    return safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain, with; marks - and = too", "plain, with; marks - and = too"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t'=1"),
        ("\rx", "'\rx"),
        (' "=1', "' \"=1"),
        ("'=1", "''=1"),
        ("a;=cmd|' /C calc'!A0", "a;'=cmd|' /C calc'!A0"),
        ("a\n@x", "a\n'@x"),
        ("\N{FULLWIDTH EQUALS SIGN}1", "'\N{FULLWIDTH EQUALS SIGN}1"),
        ("nul\0", "nul "),
    ],
)
def test_what_could_run_is_text(text: str, safe: str) -> None:
    assert guarded_text(text) == safe


@given(DANGEROUS)
def test_no_cell_runs_however_a_spreadsheet_parts_the_line(text: str) -> None:
    (shown,) = cell("path", pa.array([text])).to_pylist()
    assert list(csv.reader(io.StringIO(shown, newline=""), strict=True)) == [[guarded_text(text)]]
    line = f'"1",{shown},"x"'
    for delimiter in ",;\t":
        for part in re.split(f"[{delimiter}\r\n]", line):
            assert not FORMULA.match(part.lstrip('" \t\r\n'))  # an apostrophe says that it is text


def test_every_listed_image_is_a_row(two: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = make_export(two.store, two.source(), "csv", tmp_path / "out")
    assert export.facts["images"] == 8
    assert (tmp_path / "out" / "manifest-00000.csv").read_bytes()[:3] == b"\xef\xbb\xbf"
    rows = pd.read_csv(tmp_path / "out" / "manifest-00000.csv").set_index("path")
    kept = rows.loc["train/n1/a.jpg", ["crawl", "class_index_name", "weight", "repeats", "kept"]]
    assert kept.tolist() == ["crawl", "daisy", 0.5, 2, True]
    moved = rows.loc["train/n2/=d.png"]
    assert moved[["class_index", "class_index_name", "suggested_class_name"]].tolist() == [0, "daisy", "daisy"]
    assert (moved["stage"], moved["reason"]) == (1, "'=1+1; moved")
    assert not rows.loc["train/n2/broken.jpg", "kept"]
    assert rows.loc["n2/f.gif", "crawl"] == "more"
    assert rows["image_id"].str.fullmatch(r"'-?\d+").all()  # as text: a spreadsheet would round 19 digits

    monkeypatch.setattr(source_module, "BATCH_ROWS", 3)
    monkeypatch.setattr(spreadsheet, "FILE_BATCHES", 1)
    make_export(two.store, two.source(), "csv", tmp_path / "parts")
    parts = [pd.read_csv(part, dtype=str) for part in sorted((tmp_path / "parts").glob("*.csv"))]
    assert [len(part) for part in parts] == [3, 3, 2]
    whole = pd.read_csv(tmp_path / "out" / "manifest-00000.csv", dtype=str)
    assert pd.concat(parts, ignore_index=True).equals(whole)


def test_a_crawl_s_own_names_cannot_run(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.add("crawl", {"n1/x.png": picture(1, "PNG"), "n1/a;=HYPERLINK(1).png": picture(2, "PNG")})
    make_export(made.store, made.source(), "csv", tmp_path / "out")
    assert '"n1/a;\'=HYPERLINK(1).png"' in (tmp_path / "out" / "manifest-00000.csv").read_text(encoding="utf-8-sig")


def test_a_manifest_of_other_images_is_refused(one: Made, tmp_path: Path) -> None:
    source = one.source()
    one.add("more", {"n1/z.png": picture(9, "PNG")})
    other = one.source()
    for wrong in (
        dataclasses.replace(source, listings=other.listings, images=other.images),
        dataclasses.replace(other, listings=source.listings, images=source.images),
    ):
        with pytest.raises(ValueError, match="was made of other images than the crawls hold now"):
            make_export(one.store, wrong, "csv", tmp_path / "out")
