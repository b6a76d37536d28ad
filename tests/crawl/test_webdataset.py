"""Tar shards read as streams; pictures located, not copied."""

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.crawl.files import CrawlFiles, DefectError
from pipeline.crawl.rows import CrawlError
from tests.crawl.tiny import read, rows, tar, write

SAMPLES = [
    ("d/0001.jpg", b"first picture"),
    ("d/0001.cls", b"3\n"),
    ("d/0002.json", b'{"label": "cat", "title": "T", "rank": 4, "split": "test"}'),
    ("d/0002.png", b"second"),
    ("d/0002.txt", "a caption \xe9".encode()),
    ("readme.md", b"no picture"),
]


def test_samples_are_grouped_and_pictures_located(tmp_path: Path) -> None:
    write(tmp_path, {"train-000.tar": tar(SAMPLES), "val/000.tar": tar([("a.webp", b"v"), ("a.cls", b"cat")])})
    found = rows(tmp_path)
    assert [(row.path, row.label, row.split, row.line) for row in found] == [
        ("train-000.tar/d/0001.jpg", "3", "train", 1),
        ("train-000.tar/d/0002.png", "cat", "test", 4),
        ("val/000.tar/a.webp", "cat", "val", 1),
    ]
    assert (found[1].title, found[1].description, found[1].rank) == ("T", "a caption \xe9", 4)
    files = CrawlFiles(str(tmp_path))
    data = [files.read(row.container or "", 100, row.offset or 0, row.size) for row in found]
    assert data == [b"first picture", b"second", b"v"]


def test_links_and_climbing_names_are_listed_but_nothing_can_read_them(tmp_path: Path) -> None:
    climbing = [("1/../../2.jpg", b"x"), ("1/../../2.cls", b"5")]
    write(tmp_path, {"a.tar": tar([("1.cls", b"0")], {"1.jpg": "/etc/passwd"}), "b.tar": tar(climbing)})
    found = [(row.path, row.label, row.container, row.size) for row in rows(tmp_path)]
    assert found == [("a.tar/1.jpg", "0", "", 0), ("b.tar/1/../../2.jpg", "5", "", 0)]
    with pytest.raises(DefectError, match="outside-crawl"):
        CrawlFiles(str(tmp_path)).read("", 100, 0, 0)


def test_json_that_is_no_object_is_odd(tmp_path: Path) -> None:
    write(tmp_path, {"a.tar": tar([("1.jpg", b"x"), ("1.cls", b"0"), ("1.json", b"[1]")])})
    held = read(tmp_path / "a.tar")
    assert [row.label for row in held.rows] == ["0"]
    assert held.odd == {"entry": 1}


def _flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (gzip.compress, "a.tar: compressed, so that no picture in it can be read alone. Unpack it: gzip -d."),
        (lambda data: data[:3072], "a.tar, member 4: cut or damaged"),  # between two members: no end marker
        (lambda data: data[:2900], "a.tar, member 4: cut or damaged"),  # inside a header
        (lambda data: data[:600], "a.tar, member 2: cut or damaged"),  # inside a picture
        (_flipped(2048 + 150), "a.tar, member 3: cut or damaged"),  # the checksum of a header
        (lambda _: b"", "a.tar, member 1: cut or damaged (empty). Fetch the shard again."),
        (lambda _: b"no tar at all", "a.tar, member 1: cut or damaged"),
        (lambda _: tar([("1.jpg", b"x"), ("2.cls", b"0")]), "a.tar, member 1: '1.jpg' has no label. Put 1.cls or"),
        (lambda _: tar([("1.jpg", b"x"), ("1.json", b'{"label": 1, "split": "x"}')]), "unknown split in its JSON"),
        (lambda _: tar([("1.jpg", b"x"), ("1.json", b"{")]), "a.tar/1.json, line 1, column 2: broken JSON"),
        (lambda _: tar([("1.jpg", b"x"), ("1.txt", b" " * 2_000_000)]), "a.tar, member 2: '1.txt' is too large"),
    ],
)
def test_refusals(tmp_path: Path, damage: Callable[[bytes], bytes], told: str) -> None:
    write(tmp_path, {"a.tar": damage(tar(SAMPLES))})
    with pytest.raises(CrawlError) as refused:
        rows(tmp_path)
    assert told in str(refused.value)


def test_a_header_that_claims_to_be_large_is_not_read(tmp_path: Path) -> None:
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 2**40
    write(tmp_path, {"a.tar": tar(SAMPLES[:2])[:2048] + name.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)})
    with pytest.raises(CrawlError, match=r"member 3: cut or damaged \(a header of 1099511627776 bytes\)"):
        rows(tmp_path)
