"""Texts and tags of a crawl: as they are, cut where they are too long, unknown where they are something else."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.crawl.metadata import TEXT_LIMIT, tags, text
from pipeline.crawl.rows import WORD_LIMIT, CrawlError, Row, record_batches
from tests.crawl.tiny import read, tar, write

LONG = "x" * TEXT_LIMIT


@pytest.mark.parametrize(
    ("value", "taken", "odd"),
    [(None, None, 0), ("", "", 0), (LONG, LONG, 0), (f"{LONG}y", LONG, 1), (7, None, 1), (["a"], None, 1)],
)
def test_a_text(value: Any, taken: str | None, odd: int) -> None:
    counted: Counter[str] = Counter()
    assert text(value, counted, "title") == taken
    assert dict(counted) == ({"title": odd} if odd else {})


@pytest.mark.parametrize(
    ("value", "taken", "odd"),
    [
        (None, None, 0),
        ([], [], 0),
        ("a b", ["a", "b"], 0),
        ("a b, c", ["a b", "c"], 0),
        (["a", 3, "b"], ["a", "b"], 1),
        (7, None, 1),
        ([LONG], [LONG], 0),
        (["a", LONG, "b"], ["a"], 1),
        (",".join(["ab"] * TEXT_LIMIT), ["ab"] * (TEXT_LIMIT // 2), 1),
    ],
)
def test_tags(value: Any, taken: list[str] | None, odd: int) -> None:
    counted: Counter[str] = Counter()
    assert tags(value, counted) == taken
    assert dict(counted) == ({"tags": odd} if odd else {})


def test_the_caption_of_a_sample_is_cut_too(tmp_path: Path) -> None:
    write(tmp_path, {"a.tar": tar([("1.jpg", b"x"), ("1.cls", b"0"), ("1.txt", b"y" * (TEXT_LIMIT + 1))])})
    held = read(tmp_path / "a.tar")
    assert [row.description for row in held.rows] == ["y" * TEXT_LIMIT]
    assert held.odd == {"description": 1}


@pytest.mark.parametrize("field", ["path", "label", "query", "source"])
def test_a_name_without_end_is_refused(field: str) -> None:
    def row(length: int) -> Row:
        told: dict[str, Any] = {"path": "p", "label": "l", "split": "train", "origin": "list.jsonl", "line": 3}
        return Row(**told | {field: "z" * length})

    assert sum(batch.num_rows for batch in record_batches([row(WORD_LIMIT)], "c")) == 1
    with pytest.raises(CrawlError, match=r"^list\.jsonl, line 3: 'z{40}'\.\.\. has 16385 characters\. 16384 must do"):
        list(record_batches([row(WORD_LIMIT + 1)], "c"))
