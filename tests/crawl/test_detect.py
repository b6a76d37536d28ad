"""Which layout lies where, and whether it is still the same."""

from pathlib import Path

import pytest

from pipeline.crawl.detect import Found, describe, detect
from pipeline.crawl.digest import crawl_digest
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.rows import CrawlError
from pipeline.crawl.settings import CrawlSettings
from tests.crawl.tiny import webvision, write

AUTO = CrawlSettings()


def test_every_layout_is_found(tmp_path: Path) -> None:
    webvision(tmp_path / "wv" / "dev")
    write(tmp_path, {"t/a.csv": "x", "t/train/b.parquet": "x", "w/train/0.tar": "x", "f/cat/1.jpg": "x"})
    at = str(tmp_path)
    assert detect(f"{at}/wv/", AUTO) == Found("webvision", CrawlFiles(f"{at}/wv/dev"))
    assert detect(f"{at}/wv/dev", AUTO) == Found("webvision", CrawlFiles(f"{at}/wv/dev"))
    assert detect(f"{at}/t", AUTO) == Found("table", CrawlFiles(f"{at}/t"), ("a.csv", "train/b.parquet"))
    assert detect(f"file://{at}/t/a.csv", AUTO) == Found("table", CrawlFiles(f"{at}/t"), ("a.csv",))
    assert detect(f"{at}/w", AUTO) == Found("webdataset", CrawlFiles(f"{at}/w"), ("train/0.tar",))
    assert detect(f"{at}/w/train/0.tar", AUTO) == Found("webdataset", CrawlFiles(f"{at}/w/train"), ("0.tar",))
    assert detect(f"{at}/f", AUTO) == Found("folders", CrawlFiles(f"{at}/f"))


def test_a_named_layout_is_not_guessed(tmp_path: Path) -> None:
    write(tmp_path, {"labels.csv": "file,label\n", "cat/1.jpg": "x"})
    assert detect(str(tmp_path), AUTO).layout == "table"
    assert detect(str(tmp_path), CrawlSettings(layout="folders")).layout == "folders"


@pytest.mark.parametrize(
    ("inside", "settings", "told"),
    [
        ("nothing", AUTO, "nothing: nothing there. Give a folder, a table"),
        ("odd", AUTO, "odd: no known layout in it. Known are: info/"),
        ("odd", CrawlSettings(layout="webvision"), "odd: not the layout webvision in it"),
        ("odd/a.zip", AUTO, "a.zip: a file of an unknown kind. Known are .parquet, .csv, .jsonl, .tar"),
    ],
)
def test_refusals(tmp_path: Path, inside: str, settings: CrawlSettings, told: str) -> None:
    write(tmp_path, {"odd/a.zip": "x"})
    with pytest.raises(CrawlError) as refused:
        detect(str(tmp_path / inside), settings)
    assert told in str(refused.value)


def test_relative_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.csv": "x"})
    monkeypatch.chdir(tmp_path)
    assert detect("a.csv", AUTO) == Found("table", CrawlFiles("."), ("a.csv",))


def test_digest_sees_lists_by_content_and_pictures_by_size(tmp_path: Path) -> None:
    files = CrawlFiles(str(webvision(tmp_path)), skip=frozenset({"store"}))
    found = Found("webvision", files)
    first = crawl_digest(found, pictures_in_files=True)

    def changed(name: str, content: str) -> bool:
        before = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
        write(tmp_path, {name: content})
        after = crawl_digest(found, pictures_in_files=True)
        if before is None:
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).write_bytes(before)
        return after != first

    assert changed("info/synsets.txt", "n01 tench, Tinca tincA\nn02 goldfish\n")  # as long as before
    assert changed("google/q0001/a.jpg", "longer picture")
    assert changed("google/q0001/new.jpg", "")
    assert not changed("google/q0001/a.jpg", "PICTURE")
    assert not changed("google/q0001/a.jpg", "picture")  # only its time is another
    assert not changed("store/artifacts/x.json", "ours")
    assert crawl_digest(found, pictures_in_files=True) == first


def test_digest_of_shards_looks_at_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, {"a.tar": "12", "other.jpg": "x"})
    found = Found("webdataset", CrawlFiles(str(tmp_path)), ("a.tar",))
    first = crawl_digest(found, pictures_in_files=False)
    write(tmp_path, {"other.jpg": "longer"})
    assert crawl_digest(found, pictures_in_files=False) == first
    write(tmp_path, {"a.tar": "13"})  # a label changed, the size did not
    assert crawl_digest(found, pictures_in_files=False) != first


def test_describe() -> None:
    facts = {
        "layout": "webvision",
        "classes": 2,
        "queries": 3,
        "listed": 1200,
        "splits": {"test": 0, "train": 1100, "val": 100},
        "sources": {"flickr": 100, "google": 1000},
        "text_coverage": 0.5,
        "odd_metadata": {"title": 4},
        "notes": ["one was left out"],
    }
    assert describe(facts).splitlines() == [
        "webvision crawl: 2 classes, 3 queries, 1,200 pictures (1,100 train, 100 val, 0 test)",
        "training pictures: 100 from flickr, 1,000 from google",
        "50.0% of the training pictures have a title, description or tag",
        "metadata of a wrong type, taken as unknown, or too long, cut: 4 title",
        "one was left out",
    ]
