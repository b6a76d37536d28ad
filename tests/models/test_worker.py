"""Whole trainings and encodings on the tiny crawls, in this process."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.checkpoint import load_model
from models.gang import Gang
from models.networks import Classifier
from models.specification import EncodingJob, Teacher, TrainingJob, read_model_specification
from models.train import NonFiniteLossError, StoppedError
from models.worker import run_encoding, run_training
from pipeline.result_tables import CURVE, MARGINS
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.draft import Draft
from pipeline.storage.tables import read_table
from tests.models.conftest import CLASSES, SETTINGS, TinyCrawl

STEPS = 12  # 51 images in batches of at most 16 make 4, and there are 3 epochs


@dataclass
class Log:
    """What a training told, and a request to stop it after some steps."""

    stop_after: int = -1
    batches: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def stop_asked(self) -> bool:
        self.batches += 1
        return self.batches == self.stop_after

    def texts(self) -> list[str]:
        return [event["text"] for event in self.events if event["event"] == "message"]


def run(job: TrainingJob, stop_after: int = -1) -> Log:
    log = Log(stop_after)
    run_training(job, Gang(), log.events.append, log.stop_asked)
    return log


def test_a_training_learns_and_publishes(trained: Path) -> None:
    facts = Draft(trained).finished(0)
    assert facts is not None
    assert facts["top1_val"] == 1.0
    assert facts["epochs"] == 3
    curve = read_table(trained / "curve")
    assert curve.schema.equals(CURVE)
    assert curve["images"].to_pylist() == [51, 102, 153]
    assert curve["val_top1"].to_pylist()[-1] == 1.0
    told = read_model_specification(trained / "specification.json")
    assert (told.settings, told.seed, told.classes, told.image_size, told.features) == (SETTINGS, 3, 3, 16, 512)
    assert str(trained.parent) not in (trained / "specification.json").read_text()
    assert sorted(Draft(trained).files()) == [
        "curve/part-00000.parquet",
        "margins/part-00000.parquet",
        "model.safetensors",
        "specification.json",
    ]
    assert not (trained / "checkpoint").exists()


def test_the_same_seed_gives_the_same_bytes(
    trained: Path, make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    run(make_job(tmp_path / "same"))
    assert (tmp_path / "same" / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    run(make_job(tmp_path / "other", seed=4))
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != (trained / "model.safetensors").read_bytes()


def test_a_stopped_training_ends_with_the_same_weights(
    trained: Path, make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """Stopped twice; its newest checkpoint is damaged before the last attempt, which takes the one before."""
    job = make_job(tmp_path)
    with pytest.raises(StoppedError):
        run(job, stop_after=3)
    with pytest.raises(StoppedError):
        run(job, stop_after=3)
    older, newest = sorted((tmp_path / "checkpoint").iterdir())
    assert [older.name, newest.name] == ["step-000000003.pt", "step-000000006.pt"]
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    log = run(job)
    assert log.texts() == [
        "checkpoint step-000000006.pt is damaged and is passed over",
        "going on after step 3 (epoch 1, batch 3)",
    ]
    assert log.batches == STEPS - 3
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    kept, undisturbed = (read_table(folder / "curve").drop_columns("seconds") for folder in (tmp_path, trained))
    assert kept.equals(undisturbed)
    assert read_table(tmp_path / "margins").equals(read_table(trained / "margins"))


def test_margins_tell_how_far_each_label_led(trained: Path, crawls: list[TinyCrawl]) -> None:
    """One row for each image trained on, seen once an epoch; the colours are learned, so most labels lead."""
    table = read_table(trained / "margins")
    assert table.schema.equals(MARGINS)
    assert table["image_id"].to_pylist() == sorted(
        ident for crawl in crawls for ident in crawl.image_id[crawl.trained_on()].tolist()
    )
    assert set(table["sightings"].to_pylist()) == {3}
    assert np.mean(table["aum"].to_numpy() > 0) > 0.7


def test_a_finished_training_is_not_done_again(make_job: Callable[..., TrainingJob], trained: Path) -> None:
    assert run(make_job(trained)).events == []


def test_a_loss_that_is_no_number_leaves_the_ids_of_its_batch(
    make_job: Callable[..., TrainingJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.tasks.weighted_cross_entropy", lambda logits, *_, **__: logits.sum() * np.nan)
    with pytest.raises(NonFiniteLossError, match=r"step 0 \(epoch 1, batch 1\)"):
        run(make_job(tmp_path))
    told = json.loads((tmp_path / "checkpoint" / "non-finite-0.json").read_text())
    assert len(told["image_id"]) == 12  # 51 images in 4 batches: 12, 13, 13, 13
    assert not (tmp_path / "model.safetensors").exists()


def test_more_processes_than_images_of_a_batch_are_refused(
    make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="batches of 12 images cannot be shared by 13 processes"):
        run_training(make_job(tmp_path), Gang(0, 13), lambda _: None, lambda: False)


EVERYTHING = dataclasses.replace(
    SETTINGS, epochs=2, mixup=0.2, ema_decay=0.9, accumulate=2, weighting="sampling", schedule="step", optimizer="lars"
)


def test_with_every_option_a_stopped_training_ends_with_the_same_weights(
    make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    run(make_job(tmp_path / "whole", settings=EVERYTHING))
    job = make_job(tmp_path / "stopped", settings=EVERYTHING)
    with pytest.raises(StoppedError):
        run(job, stop_after=3)
    run(job)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert (whole / "model.safetensors").read_bytes() == (stopped / "model.safetensors").read_bytes()


def test_the_mean_of_the_weights_is_what_is_published_and_judged(
    trained: Path, make_job: Callable[..., TrainingJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training itself is not changed by keeping it."""
    judged: list[Classifier] = []
    monkeypatch.setattr("models.worker.top1", lambda network, _images, _gang: judged.append(network))
    run(make_job(tmp_path, settings=dataclasses.replace(SETTINGS, ema_decay=0.99)))
    last, mean = load_model(trained)[0], load_model(tmp_path)[0]
    assert (mean.head.weight != last.head.weight).any()
    torch.testing.assert_close(judged[0].head.weight, mean.head.weight)
    assert read_table(tmp_path / "margins").equals(read_table(trained / "margins"))


def test_a_teacher_is_asked_live_or_has_said_it_beforehand(
    trained: Path, crawls: list[TinyCrawl], make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """Where pictures are seen whole, both ways are one; what was stored lies beside the pixels."""
    folders = tuple(crawl.folders for crawl in crawls)
    asked = EncodingJob(model=trained, outputs=("logits",), crawls=folders, out=tmp_path / "said", every_image=True)
    run_encoding(asked, Gang(), lambda _event: None)
    shapes = [stored.shape for stored in ArrayShards([tmp_path / "said" / "logits"]).shards]
    assert shapes == [(len(part), CLASSES) for crawl in folders for part in ArrayShards([crawl.pixels]).shards]
    settings = dataclasses.replace(SETTINGS, epochs=1, label_share=0.1, crop_area=1.0, crop_aspect=1.0, flip=0.0)
    losses = {}
    for name, logits in (("live", None), ("stored", tmp_path / "said" / "logits")):
        run(make_job(tmp_path / name, settings=settings, teachers=(Teacher(model=trained, logits=logits),)))
        losses[name] = read_table(tmp_path / name / "curve")["loss"][0].as_py()
    assert losses["stored"] == pytest.approx(losses["live"], rel=1e-2)
    assert losses["live"] != pytest.approx(read_table(trained / "curve")["loss"][0].as_py(), rel=0.1)


def test_all_for_the_label_trains_the_plain_network(
    trained: Path, make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    settings = dataclasses.replace(SETTINGS, label_share=1.0, temperature=1.0)
    run(make_job(tmp_path, settings=settings, teachers=(Teacher(model=trained),)))
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_a_teacher_of_other_classes_is_refused(
    trained: Path, make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    job = dataclasses.replace(make_job(tmp_path, teachers=(Teacher(model=trained),)), classes=4)
    with pytest.raises(ValueError, match=r"knows 3 classes and pictures of 16 pixels a side: no teacher for 4 classes"):
        run(job)


def test_a_training_may_begin_with_given_weights(
    trained: Path, make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """With a rate of nearly nothing the network stays what it was: after an epoch it knows what it knew."""
    settings = dataclasses.replace(SETTINGS, base_learning_rate=1e-9, epochs=1, weights="sha256:0123")
    log = run(make_job(tmp_path, settings=settings, weights=trained / "model.safetensors"))
    assert log.texts() == ["102 of the network's 102 tensors are taken from model.safetensors"]
    facts = Draft(tmp_path).finished(0)
    assert facts is not None
    assert facts["top1_val"] > 0.8
    told = read_model_specification(tmp_path / "specification.json")
    assert told.settings.weights == "sha256:0123"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_network_learns_the_same(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, compile=True, epochs=1)
    for name, compiled in (("compiled", True), ("plain", False)):
        run(make_job(tmp_path / name, settings=dataclasses.replace(settings, compile=compiled)))
    curves = [read_table(tmp_path / name / "curve").to_pylist()[0] for name in ("compiled", "plain")]
    assert curves[0]["loss"] == pytest.approx(curves[1]["loss"], rel=1e-2)
    assert load_model(tmp_path / "compiled")[1].settings.compile
