"""Withdrawn pictures: gone from pixels, features and copies, named in quarantine, and kept out of crawls to come."""

import csv
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from assets.recipes import recipe_named
from assets.resources import record
from assets.settings import Settings
from assets.withdraw import withdraw
from pipeline.crawl.decode import DecodeSettings, decode
from pipeline.crawl.settings import Columns, CrawlSettings
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.stages.crawl_order import read_population
from pipeline.stages.duplicates import make_duplicates
from pipeline.stages.images import make_images
from pipeline.stages.listing import Crawl, make_listing, picture_files
from pipeline.stages.manifest import make_manifest
from pipeline.stages.withdrawn import withdrawn_rows
from pipeline.storage.arrays import ArrayShards, write_array
from pipeline.storage.artifacts import Artifact, Store, identity
from pipeline.storage.tables import read_table, write_table
from tests.crawl.pictures import encoded, photo
from tests.crawl.tiny import write

SETTINGS = Settings(images=DecodeSettings(image_size=32))
A, B, C, D = (encoded(photo(seed, 40, 40), "PNG") for seed in range(4))
CRAWL: dict[str, str | bytes] = {"bag/a.png": A, "bag/b.png": B, "shoe/c.png": C, "shoe/broken.png": b"nothing"}


def add(store: Store, folder: Path, name: str, files: dict[str, str | bytes]) -> Artifact:
    crawl = Crawl(name, str(write(folder / name, files)))
    record(store, SETTINGS, [crawl])
    return decoded(store, crawl)


def decoded(store: Store, crawl: Crawl) -> Artifact:
    listing = make_listing(store, crawl)
    return make_images(store, listing, picture_files(listing, crawl), SETTINGS.images, workers=1)


def encode(store: Store, crawl: str, images: Artifact) -> None:
    """Features as one network would make them: the mean of a picture's pixels, and its place."""
    pixels = np.asarray(ArrayShards([images.table("pixels")]).shards[0])

    def build(draft: Any) -> dict[str, Any]:
        path = draft.table("features") / "part-00000.npy"
        with write_array(path, (len(pixels), 2), np.float16) as out:
            out[:, 0], out[:, 1] = pixels.mean(axis=(1, 2, 3)), np.arange(len(pixels))
        draft.finish(0, {path: len(pixels)})
        return {"model": "net@0", "networks": ["net"], "pixels": images.identity}

    store.make("model", "net@0", "net", lambda _: {})
    store.make("features", crawl, identity("features", "made up", {}, [images.identity]), build)


def file_of(folder: Path, *rows: dict[str, Any]) -> Path:
    with (folder / "takedown.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["image_id", "crawl", "path", "sha256", "why"])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "takedown.csv"


def state(store: Store, crawl: str) -> dict[str, str | None]:
    """Why each image of a crawl cannot be used, by its path; None: it can."""
    paths = read_table(store.current("listing", crawl).table("listing"))["path"].to_pylist()
    images = read_table(store.current("images", crawl).table("images"))
    assert [status == "usable" for status in images["status"].to_pylist()] == images["row"].is_valid().to_pylist()
    return dict(zip(paths, images["reason"].to_pylist(), strict=True))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_withdrawn_picture_leaves_pixels_features_and_copies(store: Store, tmp_path: Path) -> None:
    """B is withdrawn; crawl `two` has it too, under another path, and the crawls themselves are gone by then."""
    one, two = add(store, tmp_path, "one", CRAWL), add(store, tmp_path, "two", {"bag/b2.png": B, "shoe/d.png": D})
    encode(store, "one", one)
    before = ArrayShards([store.current("features", "one").table("features")]).shards[0]
    paths = read_table(store.current("listing", "one").table("listing"))["path"].to_pylist()
    taken_out = read_table(one.table("images"))["row"].to_pylist()[paths.index("bag/b.png")]
    kept = np.delete(np.asarray(before), taken_out, axis=0)
    (store.root / "explain").mkdir()
    read_population([store.current("listing", "one")], [one])
    assert (one.folder / "order").exists()  # goes with the images it tells of
    for name in ("one", "two"):
        (tmp_path / name).rename(tmp_path / f"{name}-gone")

    assert withdraw(store, file_of(tmp_path, {"crawl": "one", "path": "bag/b.png", "why": "asked"}), "me", quiet())

    rows = withdrawn_rows(store)
    assert {(row["crawl"], row["path"]) for row in rows} == {("one", "bag/b.png"), ("two", "bag/b2.png")}
    assert {(row["why"], row["told_by"]) for row in rows} == {("asked", "me")}
    images = store.current("images", "one")
    usable = {"bag/a.png": None, "shoe/c.png": None}
    assert state(store, "one") == usable | {"bag/b.png": "withdrawn", "shoe/broken.png": "unknown-format"}
    assert state(store, "two") == {"bag/b2.png": "withdrawn", "shoe/d.png": None}
    facts = {name: images.facts[name] for name in ("listed", "usable", "quarantined", "reasons")}
    assert facts == {"listed": 4, "usable": 2, "quarantined": 2, "reasons": {"withdrawn": 1, "unknown-format": 1}}
    features = np.asarray(ArrayShards([store.current("features", "one").table("features")]).shards[0])
    assert features.tolist() == kept.tolist()
    assert not one.folder.exists()
    assert not two.folder.exists()
    assert len(list((store.root / "artifacts/features/one").iterdir())) == 1
    assert not (store.root / "explain").exists()
    pixels = [np.asarray(part).tobytes() for crawl in ("one", "two") for part in shards(store, crawl)]
    assert not any(pixels_of(B) in part for part in pixels)
    assert any(pixels_of(A) in part for part in pixels)


def quiet() -> Console:
    return Console(quiet=True)


def shards(store: Store, crawl: str) -> list[Any]:
    return ArrayShards([store.current("images", crawl).table("pixels")]).shards


def pixels_of(data: bytes) -> bytes:
    return decode(data, SETTINGS.images).pixels.tobytes()


def test_taking_out_equals_decoding_without(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "one", CRAWL)
    takedown = file_of(tmp_path, {"crawl": "one", "path": "bag/b.png"})
    withdraw(store, takedown, "me", quiet())
    withdraw(store, takedown, "me", quiet())  # nothing new, nothing lost
    encode(store, "one", store.current("images", "one"))
    shutil.rmtree(store.current("features", "one").folder)  # as of networks that are cross-fitted
    withdraw(store, takedown, "me", quiet())
    assert len(withdrawn_rows(store)) == 1
    other = Store(tmp_path / "other")
    record(other, SETTINGS, [Crawl("one", str(tmp_path / "one"))])
    table = read_table(store.current("withdrawn").table("withdrawn"))
    other.make("withdrawn", "all", "told", lambda draft: told(draft, table))
    rebuilt = decoded(other, Crawl("one", str(tmp_path / "one")))
    own = store.current("images", "one")
    assert rebuilt.identity == own.identity
    for part in ("images/part-00000.parquet", "pixels/part-00000.npy"):
        assert (rebuilt.folder / part).read_bytes() == (own.folder / part).read_bytes()
    assert not decoded(store, Crawl("one", str(tmp_path / "one"))).made


def told(draft: Any, table: pa.Table) -> dict[str, Any]:
    path = draft.table("withdrawn") / "part-00000.parquet"
    draft.finish(0, {path: write_table(path, table.schema, [table])})
    return {}


def test_the_next_manifest_names_it_and_trains_on_it_no_more(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "one", {"bag/a.png": A, "bag/b.png": B, "shoe/c.png": C})

    def manifest() -> dict[str, tuple[bool, str]]:
        make_duplicates(store, ["one"], DuplicateSettings(), workers=1)
        made = make_manifest(store, "baseline", recipe_named("baseline").policy, ["one"])
        rows = read_table(made.table("manifest")).to_pylist()
        return {row["path"]: (row["kept"], row["reason"]) for row in rows}

    assert [kept for kept, _ in manifest().values()] == [True] * 3
    withdraw(store, file_of(tmp_path, {"crawl": "one", "path": "bag/b.png"}), "me", quiet())
    found = manifest()
    assert found["bag/b.png"] == (False, "quarantined: withdrawn")
    assert found["bag/a.png"][0]
    assert len(found) == 3


def test_a_content_is_kept_out_of_crawls_to_come(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "one", {"bag/a.png": A})
    digest = hashlib.sha256(D).hexdigest()
    assert withdraw(store, file_of(tmp_path, {"sha256": digest.upper(), "why": "a face"}), "me", quiet())
    (row,) = withdrawn_rows(store)
    assert (row["image_id"], row["sha256"]) == (None, digest)
    add(store, tmp_path, "two", {"bag/d.png": D, "bag/c.png": C})
    assert state(store, "two") == {"bag/d.png": "withdrawn", "bag/c.png": None}


def test_bytes_copied_out_of_a_table_are_overwritten(store: Store, tmp_path: Path) -> None:
    table = pa.table({"label": ["bag", "bag"], "image": [A, B]})
    (tmp_path / "packed").mkdir()
    write_table(tmp_path / "packed" / "crawl.parquet", table.schema, [table])
    crawl = Crawl("packed", str(tmp_path / "packed"), CrawlSettings(columns=Columns(image="image")))
    record(store, SETTINGS, [crawl])
    images = decoded(store, crawl)
    first = read_table(images.table("images"))["image_id"].to_pylist()[0]
    spool = store.current("listing", "packed").table("spool") / "part-00000.bin"
    assert A in spool.read_bytes()
    held = [A, B]
    withdraw(store, file_of(tmp_path, {"image_id": first}), "me", quiet())
    left = [data for data in held if data in spool.read_bytes()]
    assert len(left) == 1
    assert next(iter(state(store, "packed").values())) == "withdrawn"


def test_lines_that_name_no_image_are_told(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(store, tmp_path, "one", {"bag/a.png": A})
    lines = file_of(tmp_path, {"image_id": "7"}, {"crawl": "one", "path": "../x"}, {"why": "nothing named"})
    assert not withdraw(store, lines, "me", Console())
    assert capsys.readouterr().out.count("names no image of this store") == 3
    assert withdrawn_rows(store) == []
