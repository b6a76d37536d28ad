"""Verdicts told to a store: what is taken, what is not and why; and the images they speak for, worked by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.stages.settled import make_settled
from pipeline.stages.verdicts import Taken, take_verdicts
from pipeline.storage.artifacts import Store
from pipeline.storage.locks import BusyError, exclusive
from pipeline.storage.tables import read_table
from tests.stages.tiny_store import Picture, add_crawl, two_crawls

CRAWLS = ["a", "bb"]


def taken(store: Store, text: str | bytes, name: str = "verdicts.csv") -> Taken:
    file = store.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return take_verdicts(store, store.partitions("listing"), file)


def told(result: Taken) -> list[tuple[Any, ...]]:
    rows = read_table(result.artifact.table("verdicts")).to_pylist()
    return [(row["image_id"], row["right"], row["found_wnid"]) for row in rows]


def settled(store: Store, crawls: Sequence[str] = CRAWLS) -> dict[int, tuple[Any, ...]]:
    rows = read_table(make_settled(store, crawls).table("settled")).to_pylist()
    return {row["image_id"]: (row["right"], row["class_index"], row["told_on"]) for row in rows}


def test_right_wrong_and_every_way_to_name_a_class(tmp_path: Path) -> None:
    lines = "100,right\n101, WRONG \n103,n1\n104,Class_1\n200,2\n201,n2\n"
    result = taken(two_crawls(tmp_path), f"image_id,verdict\n{lines}")
    assert told(result) == [
        (100, True, None),
        (101, False, None),
        (103, False, "n1"),
        (104, False, "n1"),
        (200, False, "n2"),
        (201, True, None),  # its own class
    ]
    first = read_table(result.artifact.table("verdicts")).to_pylist()[0]
    assert (first["crawl"], first["path"], first["wnid"]) == ("a", "a/0.jpg", "n0")
    assert (result.images, result.fresh, result.unanswered, result.rejected) == (6, 6, 0, [])


def test_a_later_verdict_replaces_an_earlier_one_and_the_same_again_changes_nothing(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    first = taken(store, "image_id,verdict\n100,right\n101,right\n")
    second = taken(store, "image_id,verdict\n100,wrong\n103,\n")
    assert told(second) == [(101, True, None), (100, False, None)]
    assert (second.images, second.fresh, second.unanswered) == (1, 1, 1)
    again = taken(store, "image_id,verdict\n101,right\n")
    assert (again.artifact.made, again.fresh, again.artifact.identity) == (False, 0, second.artifact.identity)
    assert told(first) == [(100, True, None), (101, True, None)]  # earlier versions stay


def test_what_cannot_be_taken_is_told_with_its_line_and_the_rest_is_taken(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    lines = [
        "100,,,right",
        "7,,,right",  # 3
        "1.23E+18,,,right",
        ",,,right",  # 5
        ",a,a/9.jpg,right",
        "101,,,clas 1",  # 7
        "102,,,wrong",
        "105,,,wrong",  # 9
        "103,bb,bb/0.jpg,wrong",
        "104,,,right",  # 11
        "104,,,wrong",
        "200,,,right,more",  # 13
        f"201,,,{'x' * 1_000_000}",
        ",bb,bb/0.jpg,wrong",
    ]
    result = taken(store, "\n".join(["image_id,crawl,path,verdict", *lines]))
    assert told(result) == [(100, True, None), (200, False, None)]
    reasons = {one.line.number: one.reason for one in result.rejected}
    assert sorted(reasons) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    for number, words in {
        3: "no such image_id",
        4: "keep the column as text",
        5: "give one of them",
        6: "no such path",
        7: "did you mean class 1?",
        8: r"cannot be used (broken)",
        9: "an image of val",
        10: "name two images",
        11: "lines 11, 12 say different things",
        12: "keep one",
        13: "more cells than the header",
        14: "no class is called",
    }.items():
        assert words in reasons[number]
    assert len(reasons[14]) < 300
    mended = result.rejects.read_text("utf-8-sig").replace("clas 1", "class 1")
    again = taken(store, mended)
    assert (101, False, "n1") in told(again)
    assert len(again.rejected) == len(result.rejected) - 2  # the line of too many cells names no image any more
    assert taken(store, "image_id,verdict\n100,right").rejected == []
    assert not result.rejects.exists()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffimage_id,verdict\r\n'100,right\r\n100,right\r\n\r\n",
        'verdict;title;Image_ID\n\'right;"a; b\n=c";100\n'.replace("'right", "right"),
        "image_id\tverdict\n100\tRight\n",
        f'title,image_id,verdict\n"{"y" * 1_000_000}",100,right\n',
        'title,image_id,verdict\n"\'=cmd|\' /C calc\'!A0",\'100,right\n"a ""b"" \0",100,right\n',
    ],
)
def test_what_spreadsheets_make_of_a_file(tmp_path: Path, text: str) -> None:
    result = taken(two_crawls(tmp_path), text)
    assert (told(result), result.rejected) == ([(100, True, None)], [])


def test_where_a_file_breaks_what_stands_before_is_taken_and_the_rest_is_told(tmp_path: Path) -> None:
    result = taken(two_crawls(tmp_path), 'image_id,verdict,note\n100,right,\n101,right,"open\n103,right,\n')
    assert told(result) == [(100, True, None)]
    assert [one.line.number for one in result.rejected] == [3]
    assert "nothing from here on was read" in result.rejected[0].reason
    damaged = taken(two_crawls(tmp_path / "b"), b"image_id,verdict\n100,right\n101,\xff\xfe\n")
    assert [one.line.number for one in damaged.rejected] == [3]


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    table = {"path": ["a/0.jpg", None], "crawl": ["a", None], "image_id": [None, 101], "verdict": ["class 2", "right"]}
    pq.write_table(pa.table(table), tmp_path / "verdicts.parquet")
    assert told(take_verdicts(store, CRAWLS, tmp_path / "verdicts.parquet")) == [(100, False, "n2"), (101, True, None)]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="not readable as Parquet"):
        take_verdicts(store, CRAWLS, tmp_path / "broken.parquet")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("verdict\nright\n", "no column image_id"),
        ("image_id\n100\n", "fill in the column verdict"),
        ("image_id,verdict,verdict\n100,right,wrong\n", "more than one column 'verdict'"),
    ],
)
def test_a_file_that_is_none_of_verdicts_is_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        taken(two_crawls(tmp_path), text)


def test_two_cannot_take_verdicts_into_one_store_at_once(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    with exclusive(tmp_path / "locks" / "verdicts.taking.lock"), pytest.raises(BusyError):
        taken(store, "image_id,verdict\n100,right\n")


def doubles(folder: Path) -> Store:
    """100 to 102 are the same bytes, listed as classes 0, 1 and 2; 103 is another picture of class 0."""
    store = Store(folder)
    pictures = [Picture(k, (k, 0), content="same") for k in range(3)]
    add_crawl(store, "a", [*pictures, Picture(0, (9, 9))])
    return store


def test_a_verdict_speaks_for_the_same_bytes_wherever_they_are_listed(tmp_path: Path) -> None:
    store = doubles(tmp_path)
    assert settled(store, ["a"]) == {}
    taken(store, "image_id,verdict\n100,right\n")
    assert settled(store, ["a"]) == {100: (True, 0, 100), 101: (False, 0, 100), 102: (False, 0, 100)}
    taken(store, "image_id,verdict\n100,n2\n")
    assert settled(store, ["a"]) == {100: (False, 2, 100), 101: (False, 2, 100), 102: (True, 2, 100)}
    taken(store, "image_id,verdict\n100,wrong\n")  # of what class it is, nobody says
    assert settled(store, ["a"]) == {100: (False, None, 100)}


def test_what_was_said_of_the_image_itself_goes_before_and_of_others_the_latest(tmp_path: Path) -> None:
    store = doubles(tmp_path)
    taken(store, "image_id,verdict\n100,right\n")
    taken(store, "image_id,verdict\n101,right\n")
    assert settled(store, ["a"]) == {100: (True, 0, 100), 101: (True, 1, 101), 102: (False, 1, 101)}
    made = make_settled(store, ["a"])
    assert {name: made.facts[name] for name in ("images", "right", "wrong", "verdicts", "used")} == {
        "images": 3,
        "right": 2,
        "wrong": 1,
        "verdicts": 2,
        "used": 2,
    }


def test_verdicts_outlive_the_images_and_their_listing(tmp_path: Path) -> None:
    store = doubles(tmp_path)
    taken(store, "image_id,verdict\n100,right\n103,n1\n")
    before = make_settled(store, ["a"])
    add_crawl(store, "bb", [Picture(1, (0, 0), content="same"), Picture(0, None), Picture(0, (0, 0), "val", "same")])
    assert settled(store, CRAWLS)[200] == (False, 0, 100)  # of another crawl
    assert 202 not in settled(store, CRAWLS)  # not trained on
    other = Store(tmp_path / "other")
    add_crawl(other, "a", [Picture(0, (0, 0), content="else"), Picture(1, (0, 0), content="same")], classes=2)
    (tmp_path / "artifacts" / "verdicts").rename(tmp_path / "other" / "artifacts" / "verdicts")
    (tmp_path / "current" / "verdicts").rename(tmp_path / "other" / "current" / "verdicts")
    # image 100 has other bytes now, 103 is gone; the bytes that were looked at lie under 101
    assert settled(other, ["a"]) == {101: (False, 0, 100)}
    assert before.facts["digest"] != make_settled(other, ["a"]).facts["digest"]
