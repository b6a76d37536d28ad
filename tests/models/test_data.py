import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.batches import Batch, TrainingBatches
from models.data import load_splits, load_training_set, read_ahead
from models.specification import TrainingJob
from tests.models.conftest import CLASSES, TinyCrawl, write_manifest


def batches(job: TrainingJob, rank: int = 0, processes: int = 1, **settings: Any) -> TrainingBatches:
    source = load_training_set(job.manifest, job.crawls, job.classes)
    told = dataclasses.replace(job.settings, **settings)
    return TrainingBatches(source=source, settings=told, seed=job.seed, rank=rank, processes=processes)


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


def test_an_image_is_mixed_with_the_next_of_its_batch(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    """For any number of processes: the part's last with the next part's first, the batch's last with its first."""
    job = make_job(tmp_path)
    plain = next(batches(job).read(1, range(1)))
    parts = [next(batches(job, rank, 3, mixup=0.4).read(1, range(1))) for rank in range(3)]
    images = plain.images
    assert images == 12
    mix = [part.mix for part in parts if part.mix is not None]
    whole = next(batches(job, mixup=0.4).read(1, range(1)))
    assert whole.mix is not None
    assert torch.equal(torch.cat(mix), whole.mix)
    assert ((whole.mix >= 0) & (whole.mix <= 1)).all()
    for part in parts:
        order = (np.arange(part.first, part.first + len(part.image_id) + 1)) % images
        assert torch.equal(part.pixels, plain.pixels[order])
        assert torch.equal(part.draws, plain.draws[order])
        assert part.image_id.tolist() == plain.image_id[order[:-1]].tolist()


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_pieces_of_a_batch_are_the_batch(mixup: float, make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    """Twelve images in five pieces of two and three; what a piece's last is mixed with lies in it."""
    batch = next(batches(make_job(tmp_path), mixup=mixup).read(0, range(1)))
    pieces = list(batch.cut(5))
    assert [len(piece.image_id) for piece in pieces] == [2, 2, 3, 2, 3]
    assert np.concatenate([piece.image_id for piece in pieces]).tolist() == batch.image_id.tolist()
    for piece in pieces:
        rows = slice(piece.first, piece.first + len(piece.image_id) + (mixup > 0))
        for name in ("pixels", "class_index", "weight", "draws"):
            assert torch.equal(getattr(piece, name), getattr(batch, name)[rows]), name
        assert piece.images == 12
    assert len(list(batch.cut(50))) == 12


def test_as_chances_weights_decide_how_often_and_no_longer_how_much(
    crawls: list[TinyCrawl], make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """One image of weight 9 among 50 of weight 1: of 51 sightings it has 9 x 51/59, seven or eight."""
    kept = np.concatenate([crawl.trained_on() for crawl in crawls])
    weight = kept.astype(np.float32)
    heavy = np.flatnonzero(kept)[7]
    weight[heavy] = 9
    ident = np.concatenate([crawl.image_id for crawl in crawls])[heavy]
    job = make_job(tmp_path, manifest=write_manifest(tmp_path / "manifest", crawls, weight=weight))
    drawn = batches(job, weighting="sampling")
    read = list(drawn.read(1, range(4)))
    seen = np.concatenate([batch.image_id for batch in read])
    assert len(seen) == drawn.images(1) == 51
    assert (seen == ident).sum() in {7, 8}
    assert all((batch.weight == 1).all() for batch in read)
    halves = zip(*(batches(job, rank, 2, weighting="sampling").read(1, range(4)) for rank in range(2)), strict=True)
    shared = [np.concatenate([first.image_id, second.image_id]) for first, second in halves]
    assert np.concatenate(shared).tolist() == seen.tolist()


def test_stages_open_as_told(crawls: list[TinyCrawl], make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    kept = np.concatenate([crawl.trained_on() for crawl in crawls])
    stage = np.zeros(len(kept), np.int32)
    stage[np.flatnonzero(kept)[:10]] = 1
    job = make_job(tmp_path, manifest=write_manifest(tmp_path / "manifest", crawls, stage=stage))
    assert [batches(job).images(epoch) for epoch in range(3)] == [41, 41, 51]
    assert [batches(job, stage_starts=(0.3,)).images(epoch) for epoch in range(3)] == [41, 51, 51]


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
