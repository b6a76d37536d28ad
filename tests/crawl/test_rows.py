"""Rows to batches, and the order of the listing."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crawl import rows as rows_module
from pipeline.crawl.ordering import Ordering, _of_equal_size
from pipeline.crawl.rows import Contents, CrawlError, Row, Text, image_ids, record_batches
from pipeline.crawl.spool import Spool


def ordered(rows: Iterable[Row], scratch: Path, classes: dict[str, int], texts: Iterable[Text] = ()) -> pa.Table:
    with Ordering(scratch) as ordering:
        ordering.take(Contents(iter(rows), iter(texts)), "shop", lambda _: None)
        ordering.name(classes, None)
        return pa.concat_tables(list(ordering.listing("shop")))


def test_image_ids_are_stable_and_keyed_by_the_crawl() -> None:
    paths = np.array(["google/q0001/15863.jpg", "\xfc.jpg"], dtype=object)
    assert image_ids(paths, "shop").tolist() == [1685288338835979598, image_ids(paths[1:], "shop")[0]]
    assert not set(image_ids(paths, "shop").tolist()) & set(image_ids(paths, "other").tolist())


def test_strings_become_utf8_and_paths_stay_apart() -> None:
    rows = [Row(f"{odd}.jpg", "a", "train", "f", title="\ud800!", tags=["\udfff"]) for odd in ("\udc80", "\udc81")]
    told = pa.Table.from_batches(record_batches(rows, "c")).to_pylist()
    assert [row["path"] for row in told] == ["\\udc80.jpg", "\\udc81.jpg"]
    assert (told[0]["title"], told[0]["tags"]) == ("?!", ["?"])


def test_batches_are_bounded() -> None:
    many = (Row(f"{i}.jpg", "a", "train", "f") for i in range(rows_module.BATCH_ROWS + 1))
    assert [batch.num_rows for batch in record_batches(many, "c")] == [rows_module.BATCH_ROWS, 1]


def test_equal_tables_whatever_the_batches() -> None:
    batches = [pa.RecordBatch.from_pydict({"n": list(range(start, stop))}) for start, stop in ((0, 1), (1, 8), (8, 9))]
    assert [table["n"].to_pylist() for table in _of_equal_size(batches, 3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_order_texts_and_queries(tmp_path: Path) -> None:
    rows = [
        Row("t", "b", "test", "f"),
        Row("no rank", "b", "train", "f", query="q"),
        Row("second", "b", "train", "f", rank=2, entry=8, query="p"),
        Row("first", "b", "train", "f", rank=1, title="own", entry=7),
        Row("other class", "a", "train", "f", rank=9, query="q"),
        Row("v", "b", "val", "f"),
    ]
    table = ordered(rows, tmp_path / "[s]'*", {"a": 0, "b": 1}, [Text(7, "not", "D", ["x"]), Text(8, None, None, None)])
    assert table["path"].to_pylist() == ["other class", "first", "second", "no rank", "v", "t"]
    assert table["title"].to_pylist()[1:3] == ["own", None]
    assert table["description"].to_pylist()[1:3] == ["D", None]
    assert table["tags"].to_pylist()[1:3] == [["x"], None]
    assert table["query_id"].to_pylist() == [1, None, 2, 3, None, None]  # (a, q), (b, p), (b, q)
    assert not (tmp_path / "[s]'*").exists()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["val", "train", "test"]), st.sampled_from("abc"), st.none() | st.integers(1, 4)),
        min_size=1,
        max_size=30,
    )
)
def test_order_is_the_definition_s(tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[Any, str, Any]]) -> None:
    rows = [Row(f"{i}", label, split, "f", rank=rank) for i, (split, label, rank) in enumerate(drawn)]
    rows.append(Row("one to train", "a", "train", "f"))
    table = ordered(rows, tmp_path_factory.mktemp("order") / "s", {"c": 0, "a": 1, "b": 2})
    ids = dict(
        zip((row.path for row in rows), image_ids(np.array([r.path for r in rows], object), "shop"), strict=True)
    )

    def key(row: Row) -> tuple[int, int, float, int]:
        rank = float("inf") if row.rank is None else row.rank
        return (["train", "val", "test"].index(row.split), "cab".index(row.label), rank, ids[row.path])

    assert table["path"].to_pylist() == [row.path for row in sorted(rows, key=key)]


def test_a_path_listed_twice_is_refused(tmp_path: Path) -> None:
    rows = [
        Row("x", "a", "train", "list_b", 4),
        Row("y", "a", "train", "list_b", 5),
        Row("x", "a", "train", "list_a", 9),
    ]
    with pytest.raises(CrawlError, match=r"^list_b, line 4: 'x' is listed already \(list_a, line 9\)\. Remove one"):
        ordered(rows, tmp_path / "s", {"a": 0})


def test_a_collision_of_ids_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "image_ids", lambda paths, _: np.zeros(len(paths), np.int64))
    rows = [Row("x", "a", "train", "l", 1), Row("y", "a", "train", "l", 2)]
    with pytest.raises(CrawlError, match=r"^l, line 2: 'y' and 'x' have one image_id\. Rename the crawl"):
        ordered(rows, tmp_path / "s", {"a": 0})


def test_a_crawl_without_training_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CrawlError, match="no training picture is listed"):
        ordered([Row("x", "a", "val", "l", 1)], tmp_path / "s", {"a": 0})


def test_spool_begins_a_part_before_it_grows_too_large(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", part_bytes=5) as spool:
        places = [tuple(spool.append(data)) for data in (b"abc", b"de", b"f", b"larger than a part", b"")]
    assert places == [
        ("part-00000.bin", 0, 3),
        ("part-00000.bin", 3, 2),
        ("part-00001.bin", 0, 1),
        ("part-00002.bin", 0, 18),
        ("part-00003.bin", 0, 0),
    ]
    assert {path.name: count for path, count in spool.files.items()} == {
        "part-00000.bin": 2,
        "part-00001.bin": 1,
        "part-00002.bin": 1,
        "part-00003.bin": 1,
    }
    assert (tmp_path / "spool/part-00000.bin").read_bytes() == b"abcde"


def test_a_spool_that_fails_leaves_no_part_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with Spool(tmp_path / "spool") as spool:
            spool.append(b"x")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list((tmp_path / "spool").iterdir()) == []
