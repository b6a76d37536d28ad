"""A device without room for a batch: it is done in halves, with the same results; faked on the CPU."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.batches import TrainingBatches
from models.checkpoint import load_model
from models.encode import Encoder
from models.gang import Gang
from models.optimizers import make_optimizer
from models.position import Position
from models.room import REMEDY, GangRoomError, Room
from models.settings import TrainingSettings
from models.train import optimise
from tests.models.test_train import batch_of, plain_network, training

SETTINGS = TrainingSettings(batch_size=7, gradient_norm=1e6)
WEIGHT = [1.0, 0.5, 2.0, 1.0, 0.25, 1.5, 0.75]


class Small(nn.Module):
    """A network whose last layer runs out of memory above so many images."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network = network
        self.most = most
        self.tried: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(images)
        self.tried.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found


def coupled_network() -> nn.Module:
    """With normalisation over the batch, whose statistics a failed attempt changes, and with dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(196, 3))
    )


def stepped(network: nn.Module, most: int = 99, room: Room | None = None, **settings: Any) -> tuple[Small, float, Any]:
    """Three steps on one batch; what came of the network, the last loss and the margins."""
    small, told = Small(network, most).train(), replace(SETTINGS, **settings)
    batches = cast("TrainingBatches", SimpleNamespace(seed=0))
    optimizer = make_optimizer(small, told)
    at = training(small, Gang(), settings=told, optimizer=optimizer, batches=batches, room=room or Room())
    for step in range(3):
        loss, margins = optimise(at, batch_of(WEIGHT), Position(step=step), rate=0.1)
    return small, loss, margins


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(name == other and torch.equal(one, two) for (name, one), (other, two) in pairs)


def test_a_training_s_batch_that_does_not_fit_is_taken_in_halves() -> None:
    """Seven do not fit, nor does the third of the pieces of 2, 2 and 3; each image counts once all the same."""
    told: list[str] = []
    found, loss, margins = stepped(plain_network(), 2, Room(told.append))
    whole, whole_loss, whole_margins = stepped(plain_network())
    assert found.tried == [7, 2, 2, 3, *[1] * 21]
    assert told == [
        "the device has no room for 7 images at once: going on with at most 3",
        "the device has no room for 3 images at once: going on with at most 1",
    ]
    assert loss == pytest.approx(whole_loss, rel=1e-6)
    np.testing.assert_allclose(margins, whole_margins, rtol=1e-4, atol=1e-6)
    for one, two in zip(found.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


def test_the_steps_are_bit_for_bit_those_of_smaller_pieces_from_the_start() -> None:
    """Statistics, dropout and all: nothing of the attempts that failed is left."""
    found, loss, margins = stepped(coupled_network(), 3)
    asked, asked_loss, asked_margins = stepped(coupled_network(), accumulate=3)
    assert found.tried[:4] == [7, 2, 2, 3]
    assert same(found, asked)
    assert loss == asked_loss
    np.testing.assert_array_equal(margins, asked_margins)


def test_what_fits_is_not_cut() -> None:
    found, _, _ = stepped(plain_network(), 7)
    assert found.tried == [7, 7, 7]


def test_one_image_that_does_not_fit_is_an_error_with_a_remedy() -> None:
    with pytest.raises(torch.OutOfMemoryError) as failure:
        stepped(plain_network(), 0)
    assert failure.value.__notes__ == [REMEDY]


def test_of_several_processes_one_says_how_many_were_too_many() -> None:
    network = Small(plain_network(), 3)
    at = replace(training(network, Gang()), gang=Gang(processes=2))
    with pytest.raises(GangRoomError, match="no room for 7 images at once: CUDA out of memory") as failure:
        optimise(at, batch_of(WEIGHT), Position(), rate=0.1)
    assert failure.value.images == 7
    assert failure.value.__notes__ == [REMEDY]
    assert network.tried == [7]


@pytest.fixture
def encoder(trained: Path) -> Callable[[int], Encoder]:
    def make(most: int) -> Encoder:
        network, specification = load_model(trained)
        network.backbone = Small(network.backbone, most)
        return Encoder(network, specification, Gang())

    return make


def test_features_of_a_batch_that_does_not_fit_are_made_in_halves(encoder: Callable[[int], Encoder]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (13, 16, 16, 3), dtype=np.uint8)
    rows = np.arange(1, 12)
    done: list[int] = []
    whole = encoder(99).apply(pixels, rows, ("features", "logits"), lambda _: None)
    parted = encoder(4)
    found = parted.apply(pixels, rows, ("features", "logits"), done.append)
    assert cast("Any", parted.network).backbone.tried == [11, 5, 2, 2, 2, 2, 2, 1]
    assert done == [11]
    for name, values in whole.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-3, atol=1e-3)  # of float16: one step of rounding
    again = parted.apply(pixels, rows[:2], ("features",), done.append)
    np.testing.assert_array_equal(again["features"], found["features"][:2])
    with pytest.raises(torch.OutOfMemoryError):
        encoder(0).apply(pixels, rows, ("features",), done.append)
