"""Deliveries: complete with their marker, judged once for what they are, and never half taken."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.settings import CrawlSettings
from pipeline.stages.deliveries import Judge, Row, due, find_deliveries, recorded_deliveries
from pipeline.stages.images import make_images
from pipeline.stages.listing import Crawl, picture_files
from pipeline.storage.artifacts import Artifact, Store
from tests.crawl.pictures import encoded, photo
from tests.crawl.tiny import write

PICTURES = {"shoe/a.jpg": b"one", "shoe/b.jpg": b"two!", "bag/c.jpg": b"three"}


class Watched:
    """A watched folder and the store its deliveries come to; time passes with every marker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "deliveries"
        self.folder.mkdir()
        self.store = Store(folder / "store")
        self.known: dict[str, Crawl] = {}
        self.marked = 0

    def deliver(self, name: str, files: dict[str, bytes]) -> None:
        write(self.folder / name, dict(files))
        self.mark(name)

    def mark(self, name: str) -> None:
        self.marked += 1
        write(self.folder / name, {"_SUCCESS": ""})
        os.utime(self.folder / name / "_SUCCESS", (self.marked, self.marked))

    def look(self) -> list[Row]:
        """What became of each delivery that is due."""
        return [self.judge().judge(one) for one in due(self.store, find_deliveries(str(self.folder)))]

    def judge(self) -> Judge:
        def keep(crawl: Crawl) -> None:
            self.known[crawl.name] = crawl

        return Judge(self.store, self.known, CrawlSettings(), DecodeSettings(), 1, keep)

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in self.look()]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Every picture can be used: nothing is decoded."""

    def usable(store: Store, listing: Artifact, *_: Any, **__: Any) -> Artifact:
        facts = {"usable": listing.facts["listed"], "listed": listing.facts["listed"], "reasons": {}}
        return store.make("images", listing.partition, listing.identity, lambda _: facts)

    monkeypatch.setattr("pipeline.stages.deliveries.make_images", usable)
    return Watched(tmp_path)


def test_a_delivery_counts_once_its_marker_is_there(watched: Watched) -> None:
    write(watched.folder / "First Crawl", dict(PICTURES))
    assert watched.look() == []
    watched.mark("First Crawl")
    (row,) = watched.look()
    told = {name: row[name] for name in ("crawl", "folder", "outcome", "taken", "listed", "usable", "before")}
    assert told == {
        "crawl": "first-crawl",
        "folder": "First Crawl",
        "outcome": "new",
        "taken": True,
        "listed": 3,
        "usable": 3,
        "before": None,
    }
    assert watched.known["first-crawl"].address == str(watched.folder / "First Crawl")
    assert [watched.store.current(stage, "first-crawl").facts["listed"] for stage in ("listing", "images")] == [3, 3]
    assert watched.look() == []  # it has been judged
    assert recorded_deliveries(watched.store) == [row]


def test_the_same_again_is_repeated_under_its_name_or_another(watched: Watched) -> None:
    watched.deliver("one", PICTURES)
    assert watched.outcomes() == ["new"]
    watched.deliver("one", PICTURES)  # copied again: other times, the same content
    watched.deliver("two", PICTURES)
    first, second = watched.look()
    assert [first["outcome"], second["outcome"]] == ["repeated", "repeated"]
    assert "delivered as one" in second["told"]
    assert list(watched.known) == ["one"]
    assert watched.store.partitions("listing") == ["one"]


def test_late_files_wait_for_the_marker(watched: Watched) -> None:
    watched.deliver("one", PICTURES)
    watched.look()
    write(watched.folder / "one", {"bag/late.jpg": b"late"})
    (late,) = watched.look()
    assert (late["outcome"], late["taken"]) == ("late", False)
    assert watched.look() == []
    assert watched.store.current("listing", "one").facts["listed"] == 3
    watched.mark("one")
    (taken,) = watched.look()
    assert (taken["outcome"], taken["before"], taken["listed"]) == ("changed", 3, 4)
    assert watched.store.current("listing", "one").facts["listed"] == 4


def test_a_shrunken_delivery_is_not_taken(watched: Watched) -> None:
    watched.deliver("one", PICTURES)
    watched.look()
    before = watched.store.current("listing", "one")
    (watched.folder / "one/shoe/a.jpg").unlink()
    watched.mark("one")
    (row,) = watched.look()
    assert (row["outcome"], row["taken"], row["listed"], row["before"]) == ("shrunk", False, 2, 3)
    assert "1 of 3 images are gone" in row["told"]
    assert replace(watched.store.current("listing", "one"), made=True) == replace(before, made=True)
    watched.deliver("one", PICTURES)  # whole again: what is taken stands
    assert watched.outcomes() == ["repeated"]


def test_what_holds_nothing_is_empty_and_what_cannot_be_read_is_refused(watched: Watched) -> None:
    watched.deliver("nothing", {})
    watched.deliver("clean-only", {"val/shoe/a.jpg": b"one", "train/shoe/readme.txt": b"none"})
    watched.deliver("unknown", {"notes.txt": b"hello"})
    found = {row["folder"]: row["outcome"] for row in watched.look()}
    assert found == {"clean-only": "empty", "nothing": "empty", "unknown": "refused"}
    assert watched.known == {}
    assert watched.store.partitions("listing") == []


def test_other_classes_and_other_folders_of_one_name_are_refused(watched: Watched) -> None:
    watched.deliver("one", PICTURES)
    watched.deliver("One!", {"hat/a.jpg": b"hat"})
    watched.deliver("two", {"hat/a.jpg": b"hat"})
    told = {row["folder"]: (row["outcome"], row["told"]) for row in watched.look()}
    assert told["One!"][0] == "new"  # the first by name
    assert told["one"][0] == "refused"
    assert "rename one" in told["one"][1]
    assert told["two"][0] == "repeated"
    watched.deliver("three", PICTURES)
    ((outcome, why),) = [(row["outcome"], row["told"]) for row in watched.look()]
    assert outcome == "refused"
    assert "different classes" in why


def test_pictures_that_are_all_broken_are_not_taken(tmp_path: Path) -> None:
    """Decoded for once: two files of no format, then one of them is a picture."""
    watched = Watched(tmp_path)
    watched.deliver("one", {"shoe/a.jpg": b"no picture", "shoe/b.jpg": b"none either"})
    (row,) = watched.look()
    assert (row["outcome"], row["taken"], row["listed"], row["usable"]) == ("broken", False, 2, 0)
    assert "2 unknown-format" in row["told"]
    assert watched.store.partitions("images") == []
    watched.deliver("one", {"shoe/a.jpg": encoded(photo(1, 40, 40), "JPEG")})
    (row,) = watched.look()
    assert (row["outcome"], row["usable"]) == ("new", 1)
    listing = watched.store.current("listing", "one")
    files = picture_files(listing, watched.known["one"])
    assert not make_images(watched.store, listing, files, DecodeSettings(), workers=1).made
