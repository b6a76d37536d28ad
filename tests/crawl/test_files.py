"""Listing and streaming an untrusted crawl, on a disk and in an object store."""

from pathlib import Path

import fsspec
import pytest

from pipeline.crawl.files import CrawlFiles, DefectError, Entry
from tests.crawl.tiny import write

TREE: dict[str, str | bytes] = {
    "b/2.jpg": "22",
    "b/deep/3.jpg": "333",
    "a.txt": "1",
    ".hidden/x": "",
    "b/.x": "",
    "s/y": "",
}


@pytest.fixture(params=["local", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> CrawlFiles:
    write(tmp_path, TREE)
    if request.param == "local":
        return CrawlFiles(str(tmp_path), skip=frozenset({"s"}))
    fsspec.filesystem("memory").put(f"{tmp_path}/", f"memory:/{tmp_path}/", recursive=True)
    return CrawlFiles(f"memory:/{tmp_path}", skip=frozenset({"s"}))


def test_entries_and_walk(files: CrawlFiles) -> None:
    assert files.entries() == [Entry("a.txt", 1), Entry("b", None)]
    assert files.entries("b") == [Entry("b/2.jpg", 2), Entry("b/deep", None)]
    assert [entry.path for entry in files.walk()] == ["a.txt", "b/2.jpg", "b/deep/3.jpg"]
    assert files.entries("none") == []
    assert files.entries("a.txt") == []


def test_open(files: CrawlFiles) -> None:
    with files.open("b/deep/3.jpg") as stream:
        assert stream.read() == b"333"
    for path, code in (("none", "missing"), ("../x", "outside-crawl"), ("/etc/passwd", "outside-crawl")):
        with pytest.raises(DefectError, match=code):
            files.open(path)
    with pytest.raises(DefectError, match="outside-crawl"):
        files.entries("../x")


def test_a_link_out_of_the_crawl_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path, {"crawl/a": "x", "secret": "s"})
    (tmp_path / "crawl/link").symlink_to(tmp_path / "secret")
    files = CrawlFiles(str(tmp_path / "crawl"))
    assert [entry.path for entry in files.entries()] == ["a", "link"]
    with pytest.raises(DefectError, match="outside-crawl"):
        files.open("link")
