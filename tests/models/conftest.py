"""A tiny crawl to train on: square pictures whose colour tells their class."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch

from models.gang import Gang
from models.settings import TrainingSettings
from models.specification import CrawlFolders, TrainingJob
from models.worker import run_training
from pipeline.records import IMAGES, LISTING, MANIFEST
from pipeline.storage.arrays import write_array
from pipeline.storage.tables import write_table

CLASSES = 3
SIZE = 16
SHARD_IMAGES = 20


@dataclass(frozen=True)
class TinyCrawl:
    """One stored crawl, and what is true of its images by column. Every fifth image is quarantined."""

    folders: CrawlFolders
    image_id: npt.NDArray[np.int64]
    class_index: npt.NDArray[np.int32]
    split: npt.NDArray[np.str_]
    usable: npt.NDArray[np.bool_]

    def trained_on(self) -> npt.NDArray[np.bool_]:
        kept: npt.NDArray[np.bool_] = self.usable & (self.split == "train")
        return kept


def table(schema: pa.Schema, rows: int, **columns: Any) -> pa.Table:
    """A table of `schema` whose other columns are null, empty or 0."""
    empty = {pa.string(): "", pa.int32(): 0}
    filled = {
        field.name: columns.get(field.name, [None if field.nullable else empty.get(field.type)] * rows)
        for field in schema
    }
    return pa.Table.from_pydict(filled, schema=schema)


def write_crawl(root: Path, images: int, first_id: int) -> TinyCrawl:
    rng = np.random.default_rng(first_id)
    image_id = first_id + rng.permutation(images).astype(np.int64)
    split = np.repeat(["train", "val", "test"], [images - 2 * (images // 5), images // 5, images // 5])
    class_index = rng.integers(0, CLASSES, images).astype(np.int32)
    usable = np.arange(images) % 5 != 4
    folders = CrawlFolders(listing=root / "listing", images=root / "images", pixels=root / "pixels")
    write_table(
        folders.listing / "part-00000.parquet",
        LISTING,
        [table(LISTING, images, image_id=image_id, class_index=class_index, split=split)],
    )
    for shard, start in enumerate(range(0, images, SHARD_IMAGES)):
        part = slice(start, start + SHARD_IMAGES)
        good = usable[part]
        row = np.where(good, np.cumsum(good) - 1, 0)
        write_table(
            folders.images / f"part-{shard:05d}.parquet",
            IMAGES,
            [
                table(
                    IMAGES,
                    len(good),
                    image_id=image_id[part],
                    status=np.where(good, "usable", "quarantined"),
                    shard=pa.array(np.full(len(good), shard), mask=~good),
                    row=pa.array(row, mask=~good),
                )
            ],
        )
        with write_array(
            folders.pixels / f"part-{shard:05d}.npy", (int(good.sum()), SIZE, SIZE, 3), np.uint8
        ) as pixels:
            pixels[:] = rng.integers(0, 80, pixels.shape)
            pixels[np.arange(len(pixels)), :, :, class_index[part][good]] += 120
    return TinyCrawl(folders, image_id, class_index, split, usable)


def write_manifest(folder: Path, crawls: list[TinyCrawl], **columns: npt.NDArray[Any]) -> Path:
    """Every image of the crawls; what is usable and of the training split is kept once with weight 1 unless told."""
    kept = np.concatenate([crawl.trained_on() for crawl in crawls])
    told: dict[str, Any] = {
        "image_id": np.concatenate([crawl.image_id for crawl in crawls]),
        "class_index": np.concatenate([crawl.class_index for crawl in crawls]),
        "weight": kept.astype(np.float32),
        "repeats": kept.astype(np.int32),
        "stage": np.zeros(len(kept), np.int32),
        "kept": kept,
    }
    write_table(folder / "part-00000.parquet", MANIFEST, [table(MANIFEST, len(kept), **told | columns)])
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def crawls(tmp_path_factory: pytest.TempPathFactory) -> list[TinyCrawl]:
    root = tmp_path_factory.mktemp("crawls")
    return [write_crawl(root / "a", 70, 1000), write_crawl(root / "b", 35, 5000)]


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory, crawls: list[TinyCrawl]) -> Path:
    return write_manifest(tmp_path_factory.mktemp("manifest"), crawls)


#: Small enough to train in seconds; the pictures tell their class by colour, so few epochs do.
SETTINGS = TrainingSettings(
    network="resnet18", epochs=3, batch_size=16, base_learning_rate=0.2, warmup_epochs=0.5, crop_area=0.7
)


@pytest.fixture
def make_job(crawls: list[TinyCrawl], manifest: Path) -> Callable[..., TrainingJob]:
    """A training job on the tiny crawls; keywords replace its fields."""

    def make(out: Path, **fields: Any) -> TrainingJob:
        told: dict[str, Any] = {"manifest": manifest, "settings": SETTINGS, "seed": 3, **fields}
        return TrainingJob(crawls=tuple(crawl.folders for crawl in crawls), classes=CLASSES, out=out, **told)

    return make


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, crawls: list[TinyCrawl], manifest: Path) -> Path:
    """The folder of a model trained without disturbance, with seed 3."""
    out = tmp_path_factory.mktemp("trained") / "model"
    folders = tuple(crawl.folders for crawl in crawls)
    job = TrainingJob(manifest=manifest, crawls=folders, classes=CLASSES, settings=SETTINGS, seed=3, out=out)
    run_training(job, Gang(), lambda _event: None, lambda: False)
    return out
