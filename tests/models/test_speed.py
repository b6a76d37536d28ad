"""What a network costs and how fast it is applied, told by a process of its own."""

import pytest

from models.networks import build_network
from models.speed import measure
from models.speed_worker import forward_flops


def test_operations_are_those_of_the_published_network() -> None:
    # He et al. (2016), table 1: 1.8e9 multiplications of ResNet-18 at 224 px, each with an addition.
    assert forward_flops(build_network("resnet18", 1000, 0).eval(), 224) == pytest.approx(2 * 1.8e9, rel=0.02)


def test_a_process_tells_and_a_failing_one_says_why() -> None:
    told = measure("resnet18", 10, 32, 0.1)
    assert told.features == 512
    assert told.images_per_s > 0
    assert told.device in {"cpu", "cuda"}
    with pytest.raises(RuntimeError, match="could not be measured"):
        measure("resnet18", -1, 32, 0.1)
