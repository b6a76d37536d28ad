import math

import pytest
import torch
from torch import Tensor, nn

from models.optimizers import Lars, make_optimizer
from models.settings import TrainingSettings

SETTINGS = TrainingSettings(momentum=0.5, weight_decay=0.1, optimizer="lars")


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_weight_decay_leaves_biases_and_normalisation_alone(optimizer: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    settings = TrainingSettings(optimizer=optimizer)  # type: ignore[arg-type]
    decayed, spared = make_optimizer(network, settings).param_groups
    assert [each.ndim for each in decayed["params"]] == [4, 2]
    assert decayed["weight_decay"] == settings.weight_decay
    assert [each.ndim for each in spared["params"]] == [1, 1, 1, 1]
    assert spared["weight_decay"] == 0


def stepped(weight: list[float], gradients: list[list[float]], **group: object) -> Tensor:
    parameter = nn.Parameter(torch.tensor([weight]))
    lars = Lars([{"params": [parameter], "lr": 2.0, "weight_decay": 0.1, **group}], momentum=0.5)
    for gradient in gradients:
        parameter.grad = torch.tensor([gradient])
        lars.step()
    return parameter.detach()[0]


def test_lars_by_hand() -> None:
    """|w| = 5 and |g| = 2: the layer's rate is 2 * 0.001 * 5 / (2 + 0.1 * 5) = 0.004."""
    first = 0.004 * (2 + 0.1 * 4)
    assert stepped([3.0, 4.0], [[0.0, 2.0]]).tolist() == pytest.approx([3 - 0.004 * 0.3, 4 - first])
    length = math.hypot(3 - 0.0012, 4 - first)
    rate = 2 * 0.001 * length / (2 + 0.1 * length)
    second = 0.5 * first + rate * (2 + 0.1 * (4 - first))
    assert stepped([3.0, 4.0], [[0.0, 2.0], [0.0, 2.0]])[1].item() == pytest.approx(4 - first - second)


def test_lars_leaves_rates_alone_where_there_is_nothing_to_compare() -> None:
    """Biases, a layer of zeros, a layer without a gradient."""
    assert stepped([3.0, 4.0], [[0.0, 2.0]], adapted=False, weight_decay=0.0).tolist() == [3.0, 0.0]
    assert stepped([0.0, 0.0], [[0.0, 2.0]]).tolist() == [0.0, -4.0]
    assert stepped([3.0, 4.0], [[0.0, 0.0]]).tolist() == pytest.approx([3 - 0.6, 4 - 0.8])
    assert make_optimizer(nn.BatchNorm2d(3), SETTINGS).param_groups[1]["adapted"] is False
