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

from models.data import Batch, TrainingBatches, load_training_set
from models.gang import Gang
from models.margins import Margins
from models.sampler import rank_bounds
from models.specification import TrainingJob, TrainingSettings
from models.tasks import Classification, Loss
from models.train import (
    NonFiniteLossError,
    Plan,
    Position,
    StoppedError,
    Training,
    combined,
    make_optimizer,
    optimise,
    train,
)

SETTINGS = TrainingSettings(epochs=2, warmup_epochs=1.0, batch_size=10, gradient_norm=1e6)


def plain_network() -> nn.Module:
    """No batch normalisation: its statistics would couple the images of one process's part."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 7 * 7, 3))


def batch_of(images: slice, whole: int) -> Batch:
    """Some of seven fixed images as part of a batch of `whole`."""
    rng = np.random.default_rng(1)
    return Batch(
        pixels=torch.from_numpy(rng.integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)[images]),
        class_index=torch.tensor([0, 1, 2, 0, 1, 2, 0])[images],
        weight=torch.tensor([0.5, 2.0, 1.0, 0.25, 3.0, 1.0, 0.75])[images],
        draws=torch.from_numpy(rng.random((7, 8), dtype=np.float32)[images]),
        image_id=np.arange(7)[images],
        whole=np.arange(7)[:whole],
        first=images.start,
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
        "evaluate": lambda: None,
        "stop_asked": lambda: False,
        "after_batch": lambda _position, _last: None,
        "after_epoch": lambda _position: None,
    }
    return Training(**told | fields)


def step(gang: Gang) -> tuple[float, list[Any], list[Any], Any]:
    """One optimiser step on this process's part of the seven images: loss, gradients, new weights, all margins."""
    network = plain_network()
    batch = batch_of(slice(*rank_bounds(0, 7, gang.rank, gang.processes)), whole=7)
    at = training(network, gang)
    loss, asked, margins = combined(at, batch, *optimise(at, batch, Position(), rate=0.1))
    assert not asked
    weights = list(network.parameters())
    gradients = [cast("Tensor", each.grad) for each in weights]
    return loss, [each.numpy() for each in gradients], [each.detach().numpy() for each in weights], margins


def step_of_rank(rank: int, processes: int, meeting: Path, results: Any) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)
    torch.set_num_threads(1)
    results.put((rank, step(Gang(rank, processes))))
    dist.destroy_process_group()


def test_two_processes_take_the_step_of_one(tmp_path: Path) -> None:
    """Loss, gradients, weights and margins, for parts of three and four images and unequal weights."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    ranks = [context.Process(target=step_of_rank, args=(rank, 2, tmp_path / "meeting", results)) for rank in range(2)]
    for process in ranks:
        process.start()
    found = dict(results.get(timeout=120) for _ in ranks)
    for process in ranks:
        process.join()
    loss, gradients, weights, margins = step(Gang())
    assert len(set(margins.tolist())) == 7
    for rank in range(2):
        assert found[rank][0] == pytest.approx(loss, rel=1e-6)
        np.testing.assert_allclose(found[rank][3], margins, rtol=1e-4, atol=1e-6)
        for ours, single in zip(found[rank][1], gradients, strict=True):
            np.testing.assert_allclose(ours, single, rtol=1e-4, atol=1e-7)
        for ours, single in zip(found[rank][2], weights, strict=True):
            np.testing.assert_allclose(ours, single, rtol=1e-5, atol=1e-7)


def test_an_image_of_weight_zero_moves_nothing_and_others_in_proportion() -> None:
    def gradient(weight: list[float]) -> Tensor:
        network = plain_network()
        batch = batch_of(slice(0, 2), whole=2)
        object.__setattr__(batch, "weight", torch.tensor(weight))
        optimise(training(network, Gang()), batch, Position(), rate=0.0)
        return cast("Tensor", next(network.parameters()).grad)

    first, second = gradient([1.0, 0.0]), gradient([0.0, 1.0])
    assert first.abs().max() > 0
    torch.testing.assert_close(gradient([2.0, 0.5]), 2 * first + 0.5 * second)
    torch.testing.assert_close(gradient([0.0, 0.0]), torch.zeros_like(first))


def test_weight_decay_leaves_biases_and_normalisation_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    decayed, spared = make_optimizer(network, SETTINGS).param_groups
    assert [each.ndim for each in decayed["params"]] == [4, 2]
    assert decayed["weight_decay"] == SETTINGS.weight_decay
    assert [each.ndim for each in spared["params"]] == [1, 1, 1, 1]
    assert spared["weight_decay"] == 0


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
    return TrainingBatches(source=source, batch_size=10, epochs=2, seed=5, rank=0, processes=1)


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
