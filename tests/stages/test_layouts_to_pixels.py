"""Every layout ends in the same pixels: listed by one stage, decoded by the next, from wherever the bytes lie."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.settings import Columns, CrawlSettings
from pipeline.stages.crawl_order import read_population
from pipeline.stages.images import make_images
from pipeline.stages.listing import Crawl, make_listing, picture_files
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import read_table
from tests.crawl.pictures import encoded, photo
from tests.crawl.tiny import tar, write

PICTURES = [encoded(photo(seed, 30, 40), "PNG") for seed in range(4)]
BROKEN = PICTURES[0][:200]
LABELS = ["boot", "boot", "shoe", "shoe", "shoe"]
NAMES = ["a.png", "b.png", "c.png", "d.png", "e.png"]
BYTES = [*PICTURES, BROKEN]


def folders(root: Path) -> CrawlSettings:
    write(root, {f"{label}/{name}": data for label, name, data in zip(LABELS, NAMES, BYTES, strict=True)})
    return CrawlSettings()


def table_of_bytes(root: Path) -> CrawlSettings:
    root.mkdir()
    pq.write_table(pa.table({"path": NAMES, "label": LABELS, "image": BYTES}), root / "crawl.parquet")
    return CrawlSettings(columns=Columns(image="image"))


def table_of_paths(root: Path) -> CrawlSettings:
    write(root, {f"files/{name}": data for name, data in zip(NAMES, BYTES, strict=True)})
    lines = [f"files/{name},{label}" for name, label in zip(NAMES, LABELS, strict=True)]
    write(root, {"crawl.csv": "\n".join(["path,label", *lines])})
    return CrawlSettings(layout="table")


def shards(root: Path) -> CrawlSettings:
    members = []
    for name, label, data in zip(NAMES, LABELS, BYTES, strict=True):
        members += [(name, data), (name.replace(".png", ".cls"), str(LABELS.index(label)).encode())]
    write(root, {"shard-0000.tar": tar(members)})
    return CrawlSettings()


@pytest.mark.parametrize("layout", [folders, table_of_bytes, table_of_paths, shards])
def test_the_pixels_are_those_of_the_plain_files(tmp_path: Path, layout: Callable[[Path], CrawlSettings]) -> None:
    settings = layout(tmp_path / "crawl")
    store = Store(tmp_path / "store")
    crawl = Crawl(name="crawl", address=str(tmp_path / "crawl"), settings=settings)
    listing = make_listing(store, crawl)
    images = make_images(store, listing, picture_files(listing, crawl), DecodeSettings(image_size=32), workers=1)
    assert (images.facts["listed"], images.facts["usable"], images.facts["reasons"]) == (5, 4, {"broken": 1})

    population = read_population([listing], [images])
    names = [Path(path).name for path in read_table(listing.table("listing"))["path"].to_pylist()]
    pixels = ArrayShards([images.table("pixels")])
    for position, name in enumerate(names):
        if population.usable[position]:
            at = slice(position, position + 1)
            (got,) = pixels.gather(population.shard[at], population.row[at])
            seed = NAMES.index(name)
            near = photo(seed, 30, 40).mean(axis=(0, 1))
            assert np.abs(got.mean(axis=(0, 1)) - near).max() < 3
            assert population.class_index[position] == ["boot", "shoe"].index(LABELS[seed])
