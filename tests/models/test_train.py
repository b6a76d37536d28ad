"""One step of two processes is the step of one; weights matter; the loop stops where it must."""

import dataclasses
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.augment import DRAWS
from models.batches import Batch, TrainingBatches
from models.data import load_training_set
from models.ema import Average
from models.gang import Gang
from models.margins import Margins
from models.networks import Classifier, normalise
from models.optimizers import make_optimizer
from models.position import Position
from models.settings import TrainingSettings
from models.specification import TrainingJob
from models.tasks import Classification, Distillation, Loss
from models.teachers import Teachers
from models.train import (
    NonFiniteLossError,
    Plan,
    StoppedError,
    Training,
    combined,
    optimise,
    train,
)
from tests.models.conftest import TinyCrawl, write_manifest

SETTINGS = TrainingSettings(epochs=2, warmup_epochs=1.0, batch_size=10, gradient_norm=1e6)


def plain_network() -> nn.Module:
    """No batch normalisation: its statistics would couple the images of one process's part."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 7 * 7, 3))


def batch_of(weight: list[float]) -> Batch:
    """A batch of as many fixed images."""
    rng, images = np.random.default_rng(1), len(weight)
    return Batch(
        pixels=torch.from_numpy(rng.integers(0, 256, (images, 16, 16, 3), dtype=np.uint8)),
        class_index=torch.arange(images) % 3,
        weight=torch.tensor(weight),
        draws=torch.from_numpy(rng.random((images, DRAWS), dtype=np.float32)),
        image_id=np.arange(images),
        whole=np.arange(images),
        first=0,
    )


def training(network: nn.Module, gang: Gang, **fields: Any) -> Training:
    told: dict[str, Any] = {
        "network": gang.wrap(network),
        "optimizer": make_optimizer(network, SETTINGS),
        "task": Classification(settings=SETTINGS, device=gang.device, autocast=False),
        "batches": cast("TrainingBatches", SimpleNamespace(seed=0)),
        "settings": SETTINGS,
        "gang": gang,
        "margins": Margins.unseen(7),
        "average": None,
        "evaluate": lambda: None,
        "stop_asked": lambda: False,
        "after_batch": lambda _position, _last: None,
        "after_epoch": lambda _position: None,
    }
    return Training(**told | fields)


#: 51 images in batches of at most 25: 17 each, parts of 8 and 9 images, pieces of 2 and 3.
VARIANTS = {
    "plain": TrainingSettings(batch_size=25, gradient_norm=1e6),
    "accumulated": TrainingSettings(batch_size=25, gradient_norm=1e6, accumulate=4),
    "mixed": TrainingSettings(batch_size=25, gradient_norm=1e6, mixup=0.5),
    "mixed, accumulated, adaptive": TrainingSettings(
        batch_size=25, gradient_norm=1e6, mixup=0.5, accumulate=4, optimizer="lars"
    ),
}


@dataclasses.dataclass
class Step:
    """What one optimiser step gave."""

    loss: float
    gradients: list[Any]
    weights: list[Any]
    margins: Any


def steps(job: TrainingJob, gang: Gang) -> dict[str, Step]:
    """One step on the epoch's second batch, for each variant of the settings."""
    source = load_training_set(job.manifest, job.crawls, job.classes)
    found = {}
    for name, settings in VARIANTS.items():
        batches = TrainingBatches(source=source, settings=settings, seed=5, rank=gang.rank, processes=gang.processes)
        network = plain_network()
        at = training(
            network,
            gang,
            settings=settings,
            task=Classification(settings=settings, device=gang.device, autocast=False),
            optimizer=make_optimizer(network, settings),
        )
        batch = next(batches.read(0, range(1, 2)))
        loss, asked, margins = combined(at, batch, *optimise(at, batch, Position(), rate=0.1))
        assert not asked
        weights = [each.detach().numpy() for each in network.parameters()]
        gradients = [cast("Tensor", each.grad).numpy() for each in network.parameters()]
        found[name] = Step(loss, gradients, weights, margins)
    return found


def steps_of_rank(job: TrainingJob, rank: int, processes: int, results: Any) -> None:
    meeting = f"file://{job.out / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    torch.set_num_threads(1)
    results.put((rank, steps(job, Gang(rank, processes))))
    dist.destroy_process_group()


def assert_same(found: Step, wanted: Step) -> None:
    assert found.loss == pytest.approx(wanted.loss, rel=1e-6)
    np.testing.assert_allclose(found.margins, wanted.margins, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(found.gradients, wanted.gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    for ours, theirs in zip(found.weights, wanted.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_two_processes_take_the_step_of_one(
    crawls: list[TinyCrawl], make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """Loss, gradients, weights and margins; unequal weights, uneven parts, cut into pieces or not, mixed or not."""
    kept = np.concatenate([crawl.trained_on() for crawl in crawls])
    weight = np.where(kept, np.random.default_rng(0).uniform(0.2, 3, len(kept)), 0).astype(np.float32)
    job = make_job(tmp_path, manifest=write_manifest(tmp_path / "manifest", crawls, weight=weight))
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    ranks = [context.Process(target=steps_of_rank, args=(job, rank, 2, results)) for rank in range(2)]
    for process in ranks:
        process.start()
    found = dict(results.get(timeout=120) for _ in ranks)
    for process in ranks:
        process.join()
    alone = steps(job, Gang())
    for name, step in alone.items():
        assert len(set(step.margins.tolist())) == 17
        for rank in range(2):
            assert_same(found[rank][name], step)
    assert_same(alone["accumulated"], alone["plain"])
    assert alone["mixed"].loss != pytest.approx(alone["plain"].loss, rel=1e-3)


def test_an_image_of_weight_zero_moves_nothing_and_others_in_proportion() -> None:
    def gradient(weight: list[float]) -> Tensor:
        network = plain_network()
        optimise(training(network, Gang()), batch_of(weight), Position(), rate=0.0)
        return cast("Tensor", next(network.parameters()).grad)

    first, second = gradient([1.0, 0.0]), gradient([0.0, 1.0])
    assert first.abs().max() > 0
    torch.testing.assert_close(gradient([2.0, 0.5]), 2 * first + 0.5 * second)
    torch.testing.assert_close(gradient([0.0, 0.0]), torch.zeros_like(first))


class Remembering:
    """A task whose loss is 2 for every batch and an image's margin its id; it remembers the images it saw."""

    def __init__(self, spoilt: int | None = None) -> None:
        self.seen: list[list[int]] = []
        self.spoilt = spoilt

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        self.seen.append(batch.image_id.tolist())
        value = torch.nan if len(self.seen) == self.spoilt else 2.0
        nothing: Tensor = network(torch.zeros(1, 1)).sum() * 0
        return Loss(nothing + value, torch.from_numpy(batch.image_id).float())


@pytest.fixture
def batches(make_job: Callable[..., TrainingJob], tmp_path: Path) -> TrainingBatches:
    job = make_job(tmp_path)
    source = load_training_set(job.manifest, job.crawls, job.classes)
    return TrainingBatches(source=source, settings=SETTINGS, seed=5)


def run(batches: TrainingBatches, task: Remembering, position: Position, **fields: Any) -> Position:
    told = {"margins": Margins.unseen(len(batches.source)), **fields}
    train(training(nn.Linear(1, 1), Gang(), batches=batches, task=task, **told), position)
    return position


def test_margins_are_summed_for_the_image_they_are_of(batches: TrainingBatches) -> None:
    """Two epochs, one image three times in each; ids are small enough to be exact in float32."""
    repeats = batches.source.repeats.copy()
    repeats[5] = 3
    margins = Margins.unseen(len(repeats))
    source = dataclasses.replace(batches.source, repeats=repeats)
    run(dataclasses.replace(batches, source=source), Remembering(), Position(), margins=margins)
    assert margins.sightings.tolist() == (2 * repeats).tolist()
    np.testing.assert_array_equal(margins.total, source.image_id * margins.sightings)


def test_the_curve_tells_each_epoch(batches: TrainingBatches) -> None:
    position = run(batches, Remembering(), Position(), evaluate=lambda: 0.25)
    assert [row["epoch"] for row in position.curve] == [1, 2]
    assert [row["images"] for row in position.curve] == [51, 102]
    assert [row["loss"] for row in position.curve] == pytest.approx([2, 2])
    assert [row["val_top1"] for row in position.curve] == [0.25, 0.25]
    plan = Plan.of(SETTINGS, batches)
    assert plan.batches == [6, 6]
    assert [row["learning_rate"] for row in position.curve] == [plan.rate(5), plan.rate(11)]
    assert plan.rate(5) == pytest.approx(0.1 * 10 / 256)


@pytest.mark.parametrize("stop_after", [1, 3, 6, 8])
def test_a_stopped_training_goes_on_with_the_next_batch(batches: TrainingBatches, stop_after: int) -> None:
    whole, parted = Remembering(), Remembering()
    undisturbed = run(batches, whole, Position())
    position = Position()
    with pytest.raises(StoppedError):
        run(batches, parted, position, stop_asked=lambda: len(parted.seen) == stop_after)
    assert len(parted.seen) == stop_after == position.step
    run(batches, parted, position)
    assert parted.seen == whole.seen
    for row in [*position.curve, *undisturbed.curve]:
        del row["seconds"]
    assert position.curve == undisturbed.curve


def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched(batches: TrainingBatches) -> None:
    task, position = Remembering(spoilt=8), Position()
    with pytest.raises(NonFiniteLossError, match=r"step 7 \(epoch 2, batch 2\)") as failure:
        run(batches, task, position)
    assert failure.value.image_id.tolist() == task.seen[-1]
    assert position.step == 7


def test_a_mean_of_the_weights_follows_every_step() -> None:
    """The first steps' shares are 1/10, 2/11, 3/12 of the mean that was; then the decay itself."""
    network = plain_network()
    average = Average(cast("Classifier", network), decay=0.2)
    at = training(network, Gang(), average=average)
    mean = next(network.parameters()).detach().clone()
    for step, decay in enumerate((1 / 10, 2 / 11, 0.2, 0.2)):
        optimise(at, batch_of([1.0, 1.0, 1.0]), Position(step=step), rate=0.1)
        mean = decay * mean + (1 - decay) * next(network.parameters()).detach()
    torch.testing.assert_close(next(average.network.parameters()).detach(), mean)
    assert (mean != next(network.parameters())).any()


def test_statistics_of_the_normalisation_are_averaged_and_counters_copied() -> None:
    network = nn.BatchNorm2d(1)
    average = Average(cast("Classifier", network), decay=0.5)
    buffers = dict(network.named_buffers())
    buffers["running_mean"].fill_(4.0)
    buffers["num_batches_tracked"].fill_(7)
    average.follow(1000)
    told = dict(average.network.named_buffers())
    assert told["running_mean"].item() == 2.0
    assert told["num_batches_tracked"].item() == 7


def test_a_student_learns_from_a_perfect_teacher_what_its_labels_do_not_tell(
    crawls: list[TinyCrawl], make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    """The teacher sees which colour a picture has, which is its class; the manifest's labels tell nothing of it."""
    images = sum(len(crawl.image_id) for crawl in crawls)
    label = np.random.default_rng(0).integers(0, 3, images).astype(np.int32)
    job = make_job(tmp_path, manifest=write_manifest(tmp_path / "wrong", crawls, class_index=label))
    source = load_training_set(job.manifest, job.crawls, job.classes)
    pixels = torch.from_numpy(source.pixels.gather(source.shard, source.row))
    truth = pixels.float().mean((1, 2)).argmax(1)
    teacher = Classifier(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3, "fc", 3).requires_grad_(False)
    teacher.head.weight.copy_(10 * torch.eye(3))
    teacher.head.bias.zero_()

    def right(label_share: float) -> float:
        settings = TrainingSettings(epochs=20, batch_size=10, label_share=label_share, temperature=1.0)
        labels = Classification(settings=settings, device=torch.device("cpu"), autocast=False)
        task = Distillation(labels=labels, teachers=Teachers((1.0,), (teacher,)))
        batches = TrainingBatches(source=source, settings=settings, seed=5)
        network = plain_network()
        at = training(
            network,
            Gang(),
            task=task,
            batches=batches,
            settings=settings,
            optimizer=make_optimizer(network, settings),
            margins=Margins.unseen(len(source)),
        )
        train(at, Position())
        return float((network(normalise(pixels)).argmax(1) == truth).float().mean())

    assert right(label_share=0.1) > 0.95
    assert right(label_share=1.0) < 0.7
