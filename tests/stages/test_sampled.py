"""A sample of a crawl: its own images, in their proportions, readable by the stages after it."""

from pathlib import Path

import numpy as np

from pipeline.demo.crawl import write_demo_crawl
from pipeline.demo.noise import DemoSettings
from pipeline.stages.listing import Crawl, make_listing
from pipeline.stages.sampled import MOST_CLASSES, Labels, sample_listing
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import read_table


def test_a_sample_keeps_order_catalogue_and_splits(tmp_path: Path) -> None:
    write_demo_crawl(tmp_path / "crawl", DemoSettings(train_images=500, val_images=10, test_images=10))
    listing = make_listing(Store(tmp_path / "store"), Crawl(name="crawl", address=str(tmp_path / "crawl")))
    labels = Labels.read([listing])
    chosen = labels.sample(40)
    assert len(chosen) == 40
    sampled = sample_listing(Store(tmp_path / "sample"), listing, chosen)
    whole, part = (read_table(one.table("listing")).to_pylist() for one in (listing, sampled))
    wanted = set(chosen.tolist())
    assert part == [row for row in whole if row["image_id"] in wanted]
    assert read_table(sampled.table("classes")).equals(read_table(listing.table("classes")))
    assert sampled.facts["listed"] == 40 == sum(sampled.facts["splits"].values())
    assert sampled.facts["splits"]["train"] == sum(row["split"] == "train" for row in part)
    sizes = labels.class_sizes(listing.facts["classes"])
    assert sizes.sum() == listing.facts["splits"]["train"]


def test_thousands_of_classes_are_sampled_from_a_few() -> None:
    classes = np.repeat(np.arange(1000, dtype=np.int32), 5)
    labels = Labels(np.arange(5000), classes, np.ones(5000, bool))
    chosen = labels.sample(200)
    assert len(chosen) == 200
    assert len(np.unique(classes[chosen])) <= MOST_CLASSES
    assert np.array_equal(chosen, np.unique(chosen))
    assert len(labels.sample(10_000)) == 5 * MOST_CLASSES
