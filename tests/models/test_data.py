import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data import Batch, TrainingBatches, load_splits, load_training_set, read_ahead
from models.specification import TrainingJob
from tests.models.conftest import CLASSES, TinyCrawl, write_manifest


def batches(job: TrainingJob, rank: int = 0, processes: int = 1) -> TrainingBatches:
    source = load_training_set(job.manifest, job.crawls, job.classes)
    settings = job.settings
    return TrainingBatches(
        source=source, batch_size=16, epochs=settings.epochs, seed=job.seed, rank=rank, processes=processes
    )


def colours(batch: Batch) -> torch.Tensor:
    """Which colour each picture has: its class, as the pixels tell it."""
    return batch.pixels.float().mean((1, 2)).argmax(1)


def test_batches_bring_the_right_pixels_of_every_kept_image_once(
    crawls: list[TinyCrawl], make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    whole = batches(make_job(tmp_path))
    read = list(whole.read(0, range(4)))
    for batch in read:
        assert torch.equal(colours(batch), batch.class_index)
    kept = np.concatenate([crawl.image_id[crawl.trained_on()] for crawl in crawls])
    assert sorted(np.concatenate([batch.image_id for batch in read])) == sorted(kept)
    assert whole.images(0) == len(kept) == 51


def test_two_processes_share_each_batch_of_one(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    job = make_job(tmp_path)
    parts = zip(*(batches(job, rank, 2).read(1, range(2, 4)) for rank in range(2)), strict=True)
    for whole, (first, second) in zip(batches(job).read(1, range(2, 4)), parts, strict=True):
        for name in ("pixels", "class_index", "weight", "draws"):
            joined = torch.cat([getattr(first, name), getattr(second, name)])
            assert torch.equal(joined, getattr(whole, name)), name
        assert first.images == second.images == whole.images == len(whole.image_id)


def test_weight_repeats_and_stage_decide_what_is_seen(
    crawls: list[TinyCrawl], make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    kept = np.concatenate([crawl.trained_on() for crawl in crawls])
    places = np.flatnonzero(kept)
    weight, repeats, stage = kept.astype(np.float32), kept.astype(np.int32), np.zeros(len(kept), np.int32)
    weight[places[0]] = 0
    repeats[places[1]] = 0
    repeats[places[2]] = 3
    stage[places[3]] = 1
    columns = {"weight": weight, "repeats": repeats, "stage": stage}
    job = make_job(tmp_path, manifest=write_manifest(tmp_path / "manifest", crawls, **columns))
    seen = batches(job)
    ids = np.concatenate([crawl.image_id for crawl in crawls])[places]
    first = np.concatenate([batch.image_id for batch in seen.read(0, range(4))]).tolist()
    last = np.concatenate([batch.image_id for batch in seen.read(2, range(4))]).tolist()
    assert [first.count(ids[place]) for place in range(5)] == [0, 0, 3, 0, 1]
    assert [last.count(ids[place]) for place in range(5)] == [0, 0, 3, 1, 1]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kept": np.zeros_like}, "keeps no image"),
        ({"class_index": lambda kept: np.full(len(kept), CLASSES, np.int32)}, "class_index must be in"),
        ({"weight": lambda kept: np.where(kept, np.nan, 0).astype(np.float32)}, "weights must be finite"),
        ({"weight": lambda kept: -kept.astype(np.float32)}, "at least 0"),
        ({"stage": lambda kept: np.ones(len(kept), np.int32)}, "enter at stage 0"),
    ],
)
def test_a_broken_manifest_is_refused(
    change: dict[str, Callable[[np.ndarray], np.ndarray]],
    complaint: str,
    crawls: list[TinyCrawl],
    make_job: Callable[..., TrainingJob],
    tmp_path: Path,
) -> None:
    kept = np.concatenate([crawl.trained_on() for crawl in crawls])
    columns = {name: make(kept) for name, make in change.items()}
    with pytest.raises(ValueError, match=complaint):
        batches(make_job(tmp_path, manifest=write_manifest(tmp_path / "manifest", crawls, **columns)))


def test_held_out_and_unusable_images_are_never_trained_on(
    crawls: list[TinyCrawl], make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    kept = np.concatenate([crawl.trained_on() for crawl in crawls])
    split = np.concatenate([crawl.split for crawl in crawls])
    usable = np.concatenate([crawl.usable for crawl in crawls])
    for extra, complaint in ((usable & (split == "val"), "of val or test"), (~usable & (split == "train"), "unusable")):
        everything = np.ones(len(kept), np.float32)
        columns = {"kept": kept | extra, "weight": everything, "repeats": everything.astype(np.int32)}
        manifest = write_manifest(tmp_path / complaint, crawls, **columns)
        with pytest.raises(ValueError, match=f"keeps {extra.sum()} .*{complaint}|keeps {extra.sum()} {complaint}"):
            batches(make_job(tmp_path, manifest=manifest))


def test_a_split_is_every_usable_image_of_it(crawls: list[TinyCrawl]) -> None:
    images = load_splits([crawl.folders for crawl in crawls], ("test", "val"))
    pixels = torch.from_numpy(images.pixels.gather(images.shard, images.row))
    np.testing.assert_array_equal(pixels.float().mean((1, 2)).argmax(1).numpy(), images.class_index)
    for position, split in enumerate(("test", "val")):
        expected = [crawl.image_id[crawl.usable & (crawl.split == split)] for crawl in crawls]
        assert sorted(images.image_id[images.split == position]) == sorted(np.concatenate(expected))
    stored = images.shard.astype(np.int64) * 1000 + images.row
    assert (np.diff(stored) > 0).all()


def test_read_ahead_keeps_the_order_passes_on_errors_and_works_elsewhere() -> None:
    threads: set[int] = set()

    def load(number: int) -> int:
        threads.add(threading.get_ident())
        return 10 // (7 - number)

    assert list(read_ahead(load, range(7))) == [1, 1, 2, 2, 3, 5, 10]
    assert list(read_ahead(load, range(0))) == []
    assert threading.get_ident() not in threads
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(load, range(9)))
