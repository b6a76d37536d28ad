"""Stage `images`: nothing is lost, shards line up, and neither workers nor kills change a byte."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.crawl.decode import DecodeSettings, decode
from pipeline.crawl.files import CrawlFiles
from pipeline.records import IMAGES, LISTING, LOCATIONS
from pipeline.stages.images import make_images
from pipeline.storage.arrays import open_array
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import read_table, write_table
from tests.crawl.pictures import encoded, photo

SETTINGS = DecodeSettings(image_size=256, shard_mb=1)  # 5 pictures of 196,608 bytes make a shard


def make_listing(
    store: Store,
    paths: list[str],
    locations: list[tuple[int, str, int, int]] | None = None,
    containers: str | None = None,
) -> Artifact:
    """A listing as its stage publishes it; an image's id is 100 - its position."""

    def build(draft: Draft) -> Facts:
        rows = [
            {"image_id": 100 - at, "crawl": "c", "path": path, "class_index": 0, "tags": ["t"], "split": "train"}
            for at, path in enumerate(paths)
        ]
        parts = {}
        for part, half in enumerate((rows[: len(rows) // 3], rows[len(rows) // 3 :])):  # parts unlike our shards
            path = draft.table("listing") / f"part-{part:05d}.parquet"
            parts[path] = write_table(path, LISTING, [pa.Table.from_pylist(half, schema=LISTING)])
        if locations is not None:
            columns = [dict(zip(LOCATIONS.names, row, strict=True)) for row in locations]
            path = draft.table("locations") / "part-00000.parquet"
            parts[path] = write_table(path, LOCATIONS, [pa.Table.from_pylist(columns, schema=LOCATIONS)])
        draft.finish(0, parts)
        return {"listed": len(rows), "containers": containers}

    tag = hashlib.sha256(repr((paths, locations, containers)).encode()).hexdigest()[:16]
    return store.make("listing", "c", tag, build)


def jpeg(seed: int) -> bytes:
    return encoded(photo(seed, 40 + seed, 60), "JPEG")


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    folder = tmp_path / "crawl"
    folder.mkdir()
    for number in range(23):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    (folder / "3.jpg").write_bytes(jpeg(3)[:-200])
    (folder / "7.jpg").write_text("an error page")
    for number in range(10, 15):  # the whole third shard
        (folder / f"{number}.jpg").unlink()
    return folder


PATHS = [f"{number}.jpg" for number in range(23)]
BAD = {3: "broken", 7: "unknown-format", **dict.fromkeys(range(10, 15), "missing")}


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(artifact: Artifact) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(artifact.table("images")).to_pylist()
    return rows


def test_every_listed_image_is_pixels_or_quarantine(crawl: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    told: list[int] = []
    made = make_images(
        store, make_listing(store, PATHS), CrawlFiles(str(crawl)), SETTINGS, workers=2, on_progress=told.append
    )
    assert sum(told) == 23
    assert made.facts == {
        "listed": 23,
        "usable": 16,
        "quarantined": 7,
        "image_size": 256,
        "reasons": {"broken": 1, "unknown-format": 1, "missing": 5},
    }
    assert read_table(made.table("images")).schema.equals(IMAGES)
    shards = [open_array(path) for path in sorted(made.table("pixels").iterdir())]
    assert [shard.shape for shard in shards] == [(count, 256, 256, 3) for count in (4, 4, 0, 5, 3)]
    rows = rows_of(made)
    assert [row["image_id"] for row in rows] == [100 - number for number in range(23)]
    for number, row in enumerate(rows):
        if number in BAD:
            assert (row["status"], row["reason"]) == ("quarantined", BAD[number])
            assert {row[name] for name in ("width", "height", "sha256", "perceptual_hash", "shard", "row")} == {None}
        else:
            wanted = decode((crawl / PATHS[number]).read_bytes(), SETTINGS)
            assert (row["status"], row["reason"], row["detail"]) == ("usable", None, None)
            assert np.array_equal(shards[row["shard"]][row["row"]], wanted.pixels)
            assert (row["width"], row["height"]) == (60, 40 + number) == (wanted.width, wanted.height)
            assert (row["sha256"], row["perceptual_hash"]) == (wanted.sha256, wanted.perceptual_hash)
    assert rows[3]["detail"].startswith("OSError: image file is truncated")


def test_the_same_settings_and_listing_are_decoded_once(crawl: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    listing = make_listing(store, PATHS)
    first = make_images(store, listing, CrawlFiles(str(crawl)), SETTINGS, workers=1)
    again = make_images(store, listing, CrawlFiles(str(crawl)), SETTINGS, workers=2)
    other = make_images(store, listing, CrawlFiles(str(crawl)), DecodeSettings(image_size=32), workers=1)
    assert (first.made, again.made, other.made) == (True, False, True)
    assert again.identity == first.identity != other.identity


def test_one_worker_or_two_write_the_same_bytes(crawl: Path, tmp_path: Path) -> None:
    made = []
    for workers in (1, 2):
        store = Store(tmp_path / f"store{workers}")
        made.append(make_images(store, make_listing(store, PATHS), CrawlFiles(str(crawl)), SETTINGS, workers=workers))
    assert digests(made[0].folder) == digests(made[1].folder)


def test_a_killed_run_goes_on_where_it_was(crawl: Path, tmp_path: Path) -> None:
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    wanted = make_images(whole, make_listing(whole, PATHS), CrawlFiles(str(crawl)), SETTINGS, workers=1)
    make_listing(cut, PATHS)
    code = f"""
import os, pathlib, signal
from pipeline.crawl.files import CrawlFiles
from pipeline.stages.images import make_images
from pipeline.storage.artifacts import Store
from tests.stages.test_images import SETTINGS
store, done = Store(pathlib.Path({str(cut.root)!r})), 0
def kill(count):
    global done
    done += count
    if done > 12:  # the third shard is decoded and not yet written
        os.kill(os.getpid(), signal.SIGKILL)
make_images(store, store.current("listing", "c"), CrawlFiles({str(crawl)!r}), SETTINGS, workers=1, on_progress=kill)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    folder = cut.root / "artifacts" / "images" / "c" / wanted.identity
    ledger = sorted((folder / "ledger").iterdir())
    assert [path.name for path in ledger] == ["00000.json", "00001.json"]
    before = [path.stat().st_mtime_ns for path in ledger]

    told: list[int] = []
    listing = make_listing(cut, PATHS)
    made = make_images(cut, listing, CrawlFiles(str(crawl)), SETTINGS, workers=2, on_progress=told.append)
    assert [path.stat().st_mtime_ns for path in ledger] == before
    assert sum(told) == 23
    assert digests(made.folder) == digests(wanted.folder)


@pytest.mark.parametrize("paths", [[], ["absent.jpg"]])
def test_nothing_usable_still_makes_one_shard(crawl: Path, tmp_path: Path, paths: list[str]) -> None:
    store = Store(tmp_path / "store")
    made = make_images(store, make_listing(store, paths), CrawlFiles(str(crawl)), SETTINGS, workers=1)
    assert (made.facts["listed"], made.facts["usable"]) == (len(paths), 0)
    assert [row["reason"] for row in rows_of(made)] == ["missing"] * len(paths)
    assert open_array(made.table("pixels") / "part-00000.npy").shape == (0, 256, 256, 3)


@pytest.mark.parametrize("containers", ["crawl", "spool"])
def test_packed_pictures_are_read_from_their_container(tmp_path: Path, containers: str) -> None:
    store, folder = Store(tmp_path / "store"), tmp_path / "crawl"
    folder.mkdir()
    (folder / "plain.jpg").write_bytes(jpeg(9))
    blobs = [jpeg(number) for number in range(8)]
    paths = [f"inside/{number}.jpg" for number in range(8)]
    paths.insert(4, "plain.jpg")  # not packed, in the middle
    paths.append("lost.jpg")
    positions = [0, 1, 2, 3, 5, 6, 7, 8]
    starts = np.cumsum([7, *map(len, blobs)]).tolist()
    locations = [(100 - at, "pack.bin", starts[n], len(blobs[n])) for n, at in enumerate(positions)]
    listing = make_listing(store, paths, locations, containers)
    home = folder if containers == "crawl" else listing.table("spool")
    home.mkdir(exist_ok=True)
    (home / "pack.bin").write_bytes(b"garbage" + b"".join(blobs))
    rows = rows_of(make_images(store, listing, CrawlFiles(str(folder)), SETTINGS, workers=1))
    wanted = [*blobs[:4], jpeg(9), *blobs[4:]]
    assert [row["sha256"] for row in rows[:9]] == [hashlib.sha256(blob).hexdigest() for blob in wanted]
    assert rows[9]["reason"] == "missing"


@pytest.mark.parametrize("order", [[99, 100], [7]])
def test_locations_out_of_order_are_refused(crawl: Path, tmp_path: Path, order: list[int]) -> None:
    store = Store(tmp_path / "store")
    listing = make_listing(store, PATHS, [(image, "0.jpg", 0, 10) for image in order], "crawl")
    with pytest.raises(ValueError, match="order"):
        make_images(store, listing, CrawlFiles(str(crawl)), SETTINGS, workers=1)


def test_a_detail_is_cut_between_characters(crawl: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = "/" + "é" * 150
    made = make_images(store, make_listing(store, [path]), CrawlFiles(str(crawl)), SETTINGS, workers=1)
    assert rows_of(made)[0]["reason"] == "outside-crawl"
    assert rows_of(made)[0]["detail"] == "/" + "é" * 99
