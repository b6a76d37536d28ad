"""WebVision's layout, answers worked by hand from the tiny crawl."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.crawl.rows import CrawlError, Query, Row, Synset, Text
from tests.crawl.tiny import WEBVISION, read, rows, webvision, write


def test_reads_lists_texts_and_catalogue(tmp_path: Path) -> None:
    held = read(webvision(tmp_path))
    assert held.synsets == [Synset("n01", ["tench", "Tinca tinca"]), Synset("n02", ["goldfish"])]
    assert held.queries == [Query(1, "n01", "tench"), Query(2, "n02", "goldfish")]
    # JSON files in order of their names: flickr/q0002 has texts 0 and 1, google/q0001 2 to 4, google/q0002 5.
    assert list(held.texts) == [
        Text(0, "E", None, ["two", "words"]),
        Text(2, "A", None, ["x", "y z"]),
        Text(3, None, None, None),
        Text(4, None, "B", ["t"]),
        Text(5, None, None, ["t"]),
    ]
    flickr, google = "info/train_filelist_flickr.txt", "info/train_filelist_google.txt"
    assert list(held.rows) == [
        Row("flickr/q0002/d.jpg", "n02", "train", flickr, 1, "flickr", 2, 2, entry=1),
        Row("flickr/q0002/e f.jpg", "n02", "train", flickr, 2, "flickr", 1, 2, entry=0),
        Row("google/q0001/a.jpg", "n01", "train", google, 1, "google", 1, 1, entry=2),
        Row("google/q0001/b.jpg", "n01", "train", google, 2, "google", 3, 1, entry=4),
        Row("google/q0002/c.jpg", "n02", "train", google, 3, "google", 1, 2, entry=5),
        Row("val_images_256/val1.jpg", "n02", "val", "info/val_filelist.txt", 1),
        Row("val_images_256/val2.jpg", "n01", "val", "info/val_filelist.txt", 2),
    ]
    assert held.odd == {"entry": 1, "title": 1, "tags": 1}


def test_root_may_be_the_folder_above(tmp_path: Path) -> None:
    webvision(tmp_path / "dev")
    (tmp_path / "other").mkdir()
    assert len(rows(tmp_path)) == 7


def test_two_crawls_in_one_folder_are_refused(tmp_path: Path) -> None:
    webvision(tmp_path / "a")
    webvision(tmp_path / "b")
    with pytest.raises(CrawlError, match=r"several crawls in it: .*/a, .*/b\. Give the address of one"):
        rows(tmp_path)


def test_without_meta_lists(tmp_path: Path) -> None:
    """Also WebVision 2.0's way: lists per source, nothing about ranks; the folder tells the query."""
    webvision(tmp_path, {"info/train_meta_list_google.txt": None, "info/train_meta_list_flickr.txt": None})
    found = {row.path: (row.query_id, row.rank, row.entry) for row in rows(tmp_path)[:5]}
    assert found["google/q0001/b.jpg"] == (1, None, None)
    assert found["flickr/q0002/e f.jpg"] == (2, None, None)


def test_union_is_read_only_where_there_are_no_lists_per_source(tmp_path: Path) -> None:
    left_out: dict[str, str | bytes | None] = {
        name: None for name in WEBVISION if "list_google" in name or "list_flickr" in name
    }
    webvision(tmp_path, left_out)
    found = [(row.path, row.source) for row in rows(tmp_path) if row.split == "train"]
    assert found == [("google/q0001/a.jpg", "google"), ("flickr/q0002/d.jpg", "flickr")]


def test_pictures_that_are_missing_or_climb_are_listed(tmp_path: Path) -> None:
    webvision(
        tmp_path,
        {
            "info/train_filelist_google.txt": b"../../etc/passwd 0\n./google/q0001/a.jpg 0\r\n\xff\xfe.jpg 1\n",
            "info/train_meta_list_google.txt": None,
        },
    )
    found = [row.path for row in rows(tmp_path) if row.source == "google"]
    assert found == ["../../etc/passwd", "google/q0001/a.jpg", "\\xff\\xfe.jpg"]


def test_unlabelled_test_list_is_left_out_and_told(tmp_path: Path) -> None:
    held = read(webvision(tmp_path, {"info/test_filelist.txt": "test1.jpg\ntest2.jpg\n"}))
    assert {row.split for row in held.rows} == {"train", "val"}
    assert held.notes == ["info/test_filelist.txt has no labels: left out"]


def test_clean_pictures_in_the_root_of_the_crawl(tmp_path: Path) -> None:
    webvision(tmp_path, {"info/test_filelist.txt": "clean/t.jpg 1\n", "clean/t.jpg": "picture"})
    assert [row.path for row in rows(tmp_path) if row.split == "test"] == ["clean/t.jpg"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"info/train_filelist_google.txt": "google/q0001/a.jpg 0\ngoogle/q0001/b.jpg 2\n"},
            ["info/train_filelist_google.txt, line 2", "class index '2' is out of range", "from 0 to 1"],
        ),
        (
            {"info/val_filelist.txt": "val1.jpg 1\nval2.jpg -1\n"},
            ["info/val_filelist.txt, line 2", "class index '-1'", "from 0 to 1"],
        ),
        (
            {"info/queries_synsets_map.txt": "1 1\n2 0\n"},
            ["info/queries_synsets_map.txt, line 2", "class index '0'", "from 1 to 2"],
        ),
        (
            {"info/train_meta_list_google.txt": "google/q0001.json 1\ngoogle/q0001.json 4\ngoogle/q0002.json 1\n"},
            ["info/train_meta_list_google.txt, line 2", "meta index into google/q0001.json '4'", "from 1 to 3"],
        ),
        (
            {"info/train_meta_list_google.txt": "google/q0001.json 0\ngoogle/q0001.json 1\ngoogle/q0002.json 1\n"},
            ["info/train_meta_list_google.txt, line 1", "'0' is out of range"],
        ),
        ({"info/synsets.txt": None}, ["info/synsets.txt: missing", "put it there"]),
        ({"info/synsets.txt": "\n"}, ["info/synsets.txt: no class in it"]),
        ({"info/synsets.txt": "n01 a\nn01 b\n"}, ["info/synsets.txt, line 2", "n01 is listed twice", "Remove"]),
        (
            {name: None for name in WEBVISION if "train_filelist" in name},
            ["info/train_filelist_*.txt: missing info file", "Put the lists"],
        ),
        ({"info/queries_synsets_map.txt": None}, ["info/queries_synsets_map.txt: missing info file"]),
        (
            {"info/queries_google.txt": None, "info/queries_flickr.txt": None},
            ["info/queries*.txt: missing info file", "Put it there"],
        ),
        ({"info/queries_synsets_map.txt": "1 1\n1 2\n"}, ["map.txt, line 2", "query 1 is mapped twice"]),
        ({"info/queries_synsets_map.txt": "1 1\n9 2\n"}, ["map.txt, line 2", "query 9 is in none of", "Add its line"]),
        ({"info/queries_google.txt": "one tench\n"}, ["info/queries_google.txt, line 1", "query id 'one'"]),
        (
            {"google/q0001.json": '[{"title": "A"},\n {"title": }]'},
            ["google/q0001.json, line 2, column 12", "broken JSON: Expecting value", "Repair"],
        ),
        ({"google/q0001.json": b'[\n"\xff"]'}, ["google/q0001.json, line 2, column 2", "not UTF-8"]),
        ({"google/q0001.json": '{"title": "A"}'}, ["google/q0001.json, line 1", "no list of results", "It must be"]),
        ({"google/q0001.json": "[" * 100_000}, ["google/q0001.json", "JSON nested too deeply"]),
        (
            {"google/q0002.json": None},
            ["info/train_meta_list_google.txt, line 3", "'google/q0002.json': missing", "Put the JSON file there"],
        ),
        (
            {"info/train_meta_list_google.txt": "google/q0001.json 1\n../q.json 1\ngoogle/q0002.json 1\n"},
            ["info/train_meta_list_google.txt, line 2", "outside-crawl"],
        ),
        (
            {"info/train_meta_list_google.txt": "google/q0001.json 1\n"},
            ["train_filelist_google.txt and info/train_meta_list_google.txt, line 2", "the second ends before"],
        ),
        (
            {"info/train_filelist_google.txt": "google/q0001/a.jpg 0\n"},
            ["train_filelist_google.txt and info/train_meta_list_google.txt, line 2", "the first ends before"],
        ),
        (
            {"info/train_filelist_google.txt": "x/a.jpg 0\nx/b.jpg 0\nx/c.jpg 0\n"},
            ["info/train_filelist_google.txt, line 1", "none of its pictures lies", "Extract the pictures"],
        ),
        (
            {"val_images_256/val1.jpg": None, "val_images_256/val2.jpg": None},
            ["info/val_filelist.txt, line 1", "none of its pictures", "remove the list"],
        ),
        ({"info/train_filelist_google.txt": "a" * 70_000}, ["train_filelist_google.txt, line 1", "65536 characters"]),
    ],
)
def test_refusals_name_file_line_and_remedy(
    tmp_path: Path, changes: dict[str, str | bytes | None], told: Sequence[str]
) -> None:
    webvision(tmp_path, changes)
    with pytest.raises(CrawlError) as refused:
        rows(tmp_path)
    assert not [part for part in told if part not in str(refused.value)], refused.value


@pytest.mark.parametrize(
    ("entry", "title"),
    [
        ('{"title": NaN}', None),
        ('{"title": -Infinity}', None),
        ('{"title": ' + "9" * 5000 + "}", None),
        ('{"title": "a", "title": "b"}', None),
        ('{"title": {"a": 1, "a": 2}}', None),
        ('"text"', None),
        ("null", None),
        ('{"title": "\\ud800x"}', "\ud800x"),
        ('{"title": "a\\u0000b"}', "a\0b"),
    ],
)
def test_an_odd_item_is_unknown_text_and_no_refusal(tmp_path: Path, entry: str, title: str | None) -> None:
    """Rows made UTF-8 later: here a lone surrogate still stands."""
    held = read(webvision(tmp_path, {"google/q0002.json": f"[{entry}]"}))
    assert {text.entry: text.title for text in held.texts}.get(5) == title


def test_naughty_strings_as_titles(tmp_path: Path, hostile: Path) -> None:
    strings = json.loads((hostile / "naughty_strings/blns.json").read_bytes())
    webvision(tmp_path, {"google/q0002.json": json.dumps([{"title": text, "tags": [text]} for text in strings])})
    texts = [text for text in read(tmp_path).texts if text.entry >= 5]
    assert [text.title for text in texts] == strings


def test_every_document_of_the_json_suite_is_read_or_refused(tmp_path: Path, hostile: Path) -> None:
    suite = sorted(hostile.glob("json_testsuite/*/*.json"))
    assert len(suite) > 300
    webvision(tmp_path)
    refused = {document.name: told for document in suite if (told := _refusal(tmp_path, document))}
    assert all("google/q0002.json" in told for told in refused.values())
    names = {document.name for document in suite}
    # What the suite calls no JSON is refused, but for the constants that Python's reader also takes.
    assert {name for name in names if name.startswith("n_")} - refused.keys() == {
        "n_number_NaN.json",
        "n_number_infinity.json",
        "n_number_minus_infinity.json",
    }
    # What it calls JSON is read where it is a list of at least one result.
    good = [json.loads(document.read_bytes()) for document in suite if document.name.startswith("y_")]
    lists = sum(isinstance(value, list) and len(value) > 0 for value in good)
    assert len([name for name in names - refused.keys() if name.startswith("y_")]) == lists > 50


def _refusal(root: Path, document: Path) -> str | None:
    write(root, {"google/q0002.json": document.read_bytes()})
    try:
        rows(root)
    except CrawlError as error:
        return str(error)
    return None
