"""The whole stage: every layout, local and on a real S3 server, the real crawl, and what a second run does."""

import base64
import csv
import hashlib
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.rows import CrawlError
from pipeline.crawl.settings import Columns, CrawlSettings
from pipeline.records import CLASSES, LISTING, LOCATIONS, QUERIES
from pipeline.stages import listing as stage
from pipeline.stages.listing import Crawl, crawl_name, make_listing, picture_files
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import part_paths, read_table
from tests.crawl.tiny import tar, webvision, write


def listed(artifact: Artifact) -> list[tuple[Any, ...]]:
    """(path, class_index, query_id, source, rank, title, split) of every row."""
    names = ["path", "class_index", "query_id", "source", "rank", "title", "split"]
    return [tuple(row.values()) for row in read_table(artifact.table("listing"), names).to_pylist()]


def test_webvision(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    progress: list[int] = []
    made = make_listing(store, Crawl("tiny", str(webvision(tmp_path / "crawl"))), on_progress=progress.append)
    assert listed(made) == [
        ("google/q0001/a.jpg", 0, 1, "google", 1, "A", "train"),
        ("google/q0001/b.jpg", 0, 1, "google", 3, None, "train"),
        # Both are first of their query; the id decides, as it would anywhere.
        *sorted(
            [
                ("google/q0002/c.jpg", 1, 2, "google", 1, None, "train"),
                ("flickr/q0002/e f.jpg", 1, 2, "flickr", 1, "E", "train"),
            ],
            key=lambda row: ids(made)[row[0]],
        ),
        ("flickr/q0002/d.jpg", 1, 2, "flickr", 2, None, "train"),
        ("val_images_256/val2.jpg", 0, None, None, None, None, "val"),
        ("val_images_256/val1.jpg", 1, None, None, None, None, "val"),
    ]
    assert read_table(made.table("listing")).schema == LISTING
    assert read_table(made.table("classes")).schema == CLASSES
    assert read_table(made.table("queries")).cast(QUERIES).to_pylist() == [
        {"query_id": 1, "class_index": 0, "text": "tench"},
        {"query_id": 2, "class_index": 1, "text": "goldfish"},
    ]
    assert made.facts == {
        "layout": "webvision",
        "containers": None,
        "listed": 7,
        "classes": 2,
        "queries": 2,
        "splits": {"train": 5, "val": 2, "test": 0},
        "sources": {"flickr": 2, "google": 3},
        "text_coverage": 4 / 5,  # d.jpg's entry is no object
        "odd_metadata": {"entry": 1, "tags": 1, "title": 1},
        "notes": [],
    }
    assert progress == [7]
    assert {path.name for path in made.folder.iterdir()} == {"listing", "classes", "queries", "ledger", "artifact.json"}


def ids(artifact: Artifact) -> dict[str, int]:
    table = read_table(artifact.table("listing"), ["path", "image_id"])
    return dict(zip(table["path"].to_pylist(), table["image_id"].to_pylist(), strict=True))


def test_the_same_crawl_is_read_once_wherever_it_lies(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = make_listing(store, Crawl("tiny", str(webvision(tmp_path / "a"))))
    again = make_listing(store, Crawl("tiny", str(webvision(tmp_path / "b"))))
    assert first.made
    assert not again.made
    assert again.identity == first.identity
    assert make_listing(store, Crawl("tiny", str(tmp_path / "a"), CrawlSettings(layout="webvision"))).made is False
    write(tmp_path / "a", {"google/q0001.json": '[{"title": "B"}, {}, {}]'})
    assert make_listing(store, Crawl("tiny", str(tmp_path / "a"))).made
    assert len(store.work()) == 2


def test_files_that_the_settings_name_count_by_content(tmp_path: Path) -> None:
    store, gloss = Store(tmp_path / "store"), tmp_path / "gloss"
    crawl = Crawl("tiny", str(webvision(tmp_path / "a")), CrawlSettings(definitions=str(gloss)))
    gloss.write_text("n01\ta fish\n")
    assert read_table(make_listing(store, crawl).table("classes"))["gloss"].to_pylist() == ["a fish", None]
    gloss.write_text("n02\ta fish\n")
    assert read_table(make_listing(store, crawl).table("classes"))["gloss"].to_pylist() == [None, "a fish"]


def test_a_store_inside_the_crawl_is_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, {"cat/1.jpg": "x"})
    store = Store(tmp_path / "store")
    first = make_listing(store, Crawl("tiny", str(tmp_path)))
    assert not make_listing(store, Crawl("tiny", str(tmp_path))).made
    assert listed(first) == [("cat/1.jpg", 0, None, None, None, None, "train")]


def test_order_of_the_lists_does_not_matter(tmp_path: Path) -> None:
    crawls = [webvision(tmp_path / name) for name in ("a", "b")]
    for source in ("google", "flickr"):
        lists = [crawls[1] / f"info/train_{kind}_{source}.txt" for kind in ("filelist", "meta_list")]
        lines = list(zip(*(path.read_text().splitlines() for path in lists), strict=True))
        lines.sort(key=lambda pair: hashlib.sha256(pair[0].encode()).digest())
        for path, own in zip(lists, zip(*lines, strict=True), strict=True):
            path.write_text("\n".join(own) + "\n")
    one, two = (make_listing(Store(tmp_path / "s" / crawl.name), Crawl("tiny", str(crawl))) for crawl in crawls)
    assert one.identity != two.identity
    assert read_table(one.table("listing")).equals(read_table(two.table("listing")))


def test_folders_and_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "c", {f"train/{label}/{i}.jpg": "x" for label in ("dog", "cat") for i in range(4)})
    monkeypatch.setattr("pipeline.crawl.ordering.ROW_GROUP_ROWS", 3)
    monkeypatch.setattr(stage, "PART_ROW_GROUPS", 2)
    made = make_listing(Store(tmp_path / "store"), Crawl("tiny", str(tmp_path / "c")))
    assert [pq.read_metadata(path).num_rows for path in part_paths(made.table("listing"))] == [6, 2]
    assert [row[1] for row in listed(made)] == [0] * 4 + [1] * 4
    assert read_table(made.table("classes"))["wnid"].to_pylist() == ["cat", "dog"]
    assert (made.facts["text_coverage"], made.facts["queries"]) == (0.0, 0)


def test_table_with_bytes_and_its_spool(tmp_path: Path) -> None:
    pictures = {"b.jpg": b"bee", "a.jpg": b"ay"}
    records = [
        {"name": name, "label": label, "image": base64.b64encode(data).decode(), "query": "find it"}
        for label, (name, data) in zip((9, 10), pictures.items(), strict=True)
    ]
    write(tmp_path, {"t.jsonl": "\n".join(map(json.dumps, records))})
    crawl = Crawl("tiny", str(tmp_path / "t.jsonl"), CrawlSettings(columns=Columns(path="name", image="image")))
    made = make_listing(Store(tmp_path / "store"), crawl)
    assert [row[:3] for row in listed(made)] == [("b.jpg", 0, 1), ("a.jpg", 1, 2)]
    assert made.facts["containers"] == "spool"
    assert bytes_of(made, crawl) == [b"bee", b"ay"]
    record = json.loads((made.folder / "artifact.json").read_bytes())
    assert record["files"]["spool/part-00000.bin"]["rows"] == 2


def bytes_of(made: Artifact, crawl: Crawl) -> list[bytes]:
    """Every picture's bytes in the listing's order, read as the decoder reads them."""
    files = picture_files(made, crawl)
    if made.facts["containers"] is None:
        return [files.read(path, 1000) for path in read_table(made.table("listing"))["path"].to_pylist()]
    locations = read_table(made.table("locations"))
    assert locations.schema == LOCATIONS
    assert locations["image_id"].equals(read_table(made.table("listing"))["image_id"])
    return [files.read(at["container"], 1000, at["offset"], at["size"]) for at in locations.to_pylist()]


def test_shards(tmp_path: Path) -> None:
    members = [("2.jpg", b"two"), ("2.cls", b"1"), ("1.jpg", b"one"), ("1.cls", b"0")]
    write(tmp_path / "c", {"train-0.tar": tar(members)})
    crawl = Crawl("tiny", str(tmp_path / "c"))
    made = make_listing(Store(tmp_path / "store"), crawl)
    assert [row[0] for row in listed(made)] == ["train-0.tar/1.jpg", "train-0.tar/2.jpg"]
    assert bytes_of(made, crawl) == [b"one", b"two"]
    assert made.facts["containers"] == "crawl"


def test_a_refused_crawl_leaves_nothing_published(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    crawl = Crawl("tiny", str(webvision(tmp_path / "c", {"google/q0002.json": "["})))
    with pytest.raises(CrawlError, match=r"google/q0002\.json, line 1, column 2: broken JSON"):
        make_listing(store, crawl)
    assert store.partitions("listing") == []
    assert not list(store.root.rglob("scratch"))


def test_names() -> None:
    assert crawl_name("s3://bucket/My Crawl/") == "my-crawl"
    assert crawl_name("/data/web.parquet") == "web"
    assert crawl_name("/") == "crawl"
    assert crawl_name("../Ünï") == "n"
    with pytest.raises(ValueError, match="name: 'A/b' is not up to 64 of a-z"):
        Crawl("A/b", "x")


@pytest.fixture(scope="module")
def shopcrawl(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shopcrawl")
    with tarfile.open(shared_data / "shopcrawl" / "shopcrawl.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_the_real_crawl(shopcrawl: Path, tmp_path: Path) -> None:
    """Counted independently, with the csv and json modules alone."""
    made = make_listing(Store(tmp_path), Crawl("shop", str(shopcrawl)))
    info = shopcrawl / "dev/info"
    with (shopcrawl / "dev.truth.csv").open(newline="") as stream:
        truth = {row["path"]: (int(row["rank"]), int(row["web_label"])) for row in csv.DictReader(stream)}
    table = read_table(made.table("listing"))
    train = table.filter(pa.compute.equal(table["split"], "train")).to_pylist()
    assert {row["path"]: (row["rank"], row["class_index"]) for row in train} == truth
    assert len(train) == len(truth) == len((info / "train_filelist_all.txt").read_text().splitlines())
    assert Counter(row["source"] for row in train) == Counter(path.split("/")[0] for path in truth)
    for row in train[::97]:
        entry = json.loads((shopcrawl / f"dev/{row['source']}/q{row['query_id']:04d}.json").read_text())[
            row["rank"] - 1
        ]
        assert (row["title"], row["description"], row["tags"]) == tuple(
            map(entry.get, ("title", "description", "tags"))
        )
    assert table.num_rows == made.facts["listed"]
    assert made.facts["splits"] == {
        "train": len(truth),
        **{split: len((info / f"{split}_filelist.txt").read_text().splitlines()) for split in ("val", "test")},
    }
    glosses = dict(line.split("\t") for line in (info / "glosses.tsv").read_text().splitlines())
    classes = read_table(made.table("classes")).to_pylist()
    assert {row["wnid"]: row["gloss"] for row in classes} == glosses
    assert (made.facts["classes"], made.facts["queries"]) == (24, 72)
    keys = [(["train", "val", "test"].index(r["split"]), r["class_index"], r["rank"] or 0) for r in table.to_pylist()]
    assert keys == sorted(keys)


def test_the_real_catalogue_of_webvision(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "webvision"
    mapped = (real / "queries_synsets_map.txt").read_text().split()
    changes: dict[str, str | bytes | None] = {
        "info/synsets.txt": (real / "synsets.txt").read_bytes(),
        "info/queries_synsets_map.txt": (real / "queries_synsets_map.txt").read_bytes(),
        "info/queries_google.txt": "".join(f"{query} term {query}\n" for query in mapped[::2]),
        "info/queries_flickr.txt": None,
    }
    made = make_listing(Store(tmp_path / "store"), Crawl("wv", str(webvision(tmp_path / "c", changes))))
    classes = read_table(made.table("classes")).to_pylist()
    assert (len(classes), made.facts["queries"]) == (1000, 1631)
    assert classes[2]["lemmas"][:2] == ["great white shark", "white shark"]
    queries = read_table(made.table("queries")).to_pylist()
    assert [(row["query_id"], row["class_index"] + 1) for row in queries] == sorted(
        (int(query), int(position)) for query, position in zip(mapped[::2], mapped[1::2], strict=True)
    )


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An empty bucket on an S3 server of our own."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  # slow to import

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        patch.setenv(name, value)
    fsspec.filesystem("s3").mkdir("crawls")
    yield "s3://crawls"
    fsspec.filesystem("s3").clear_instance_cache()
    patch.undo()
    server.stop()


def test_webvision_on_s3_is_the_local_listing(tmp_path: Path, bucket: str) -> None:
    local = webvision(tmp_path / "crawl")
    fsspec.filesystem("s3").put(f"{local}/", f"{bucket}/above/dev/", recursive=True)
    store = Store(tmp_path / "store")
    here, there = Crawl("tiny", str(local)), Crawl("tiny", f"{bucket}/above")
    made = make_listing(store, there)
    assert read_table(made.table("listing")).equals(read_table(make_listing(store, here).table("listing")))
    assert bytes_of(made, there) == [b"picture"] * 7
    assert not make_listing(store, there).made
    fsspec.filesystem("s3").pipe_file(f"{bucket}/above/dev/google/q0001/a.jpg", b"PICTURE")  # as long as before
    assert make_listing(store, there).made


def test_shards_on_s3(tmp_path: Path, bucket: str) -> None:
    members = [("2.jpg", b"two"), ("2.cls", b"1"), ("1.jpg", b"one"), ("1.cls", b"0")]
    fsspec.filesystem("s3").pipe_file(f"{bucket}/shards/train/000.tar", tar(members))
    store = Store(tmp_path / "store")
    for address in (f"{bucket}/shards", f"{bucket}/shards/train/000.tar"):
        crawl = Crawl("tiny", address)
        made = make_listing(store, crawl)
        assert made.made
        assert bytes_of(made, crawl) == [b"one", b"two"]
    assert CrawlFiles(bucket).entries("none") == []
    shutil.rmtree(store.root)
