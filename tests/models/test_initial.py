"""A user's weights as the start of a training."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor

from models.initial import take_weights
from models.networks import build_network


def contiguous(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: each.contiguous() for name, each in weights.items()}


def test_torchvisions_names_are_taken_and_another_number_of_classes_is_begun_anew(tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18(num_classes=7)
    torch.save({f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}, tmp_path / "w.pt")
    network = build_network("resnet18", 3, seed=0)
    fresh = network.head.weight.clone()
    assert take_weights(network, tmp_path / "w.pt") == [
        "100 of the network's 102 tensors are taken from w.pt",
        "of another shape there, so begun anew: head.bias, head.weight",
    ]
    assert torch.equal(network.head.weight, fresh)
    images = torch.rand(2, 3, 32, 32)
    theirs.fc = torch.nn.Identity()
    torch.testing.assert_close(network.eval().features(images), theirs.eval()(images))


def test_the_same_classes_are_taken_whole_from_our_own_file(tmp_path: Path) -> None:
    other = build_network("se-resnet50", 3, seed=1)
    safetensors.torch.save_file(contiguous(other.state_dict()), tmp_path / "model.safetensors")
    network = build_network("se-resnet50", 3, seed=0)
    told = take_weights(network, tmp_path / "model.safetensors")
    assert len(told) == 1
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_what_fits_of_a_relative_is_taken_and_the_rest_is_told(tmp_path: Path) -> None:
    """Another stem, one tensor too many, one too few, halves instead of floats."""
    weights = {name: each.half() for name, each in build_network("resnet18", 3, seed=1).state_dict().items()}
    del weights["backbone.layer1.0.conv1.weight"]
    weights["backbone.surplus"] = torch.zeros(1)
    safetensors.torch.save_file(contiguous(weights), tmp_path / "w.safetensors")
    network = build_network("resnet18-small", 3, seed=0)
    assert take_weights(network, tmp_path / "w.safetensors") == [
        "100 of the network's 102 tensors are taken from w.safetensors",
        "of another shape there, so begun anew: backbone.conv1.weight",
        "not there, so begun anew: backbone.layer1.0.conv1.weight",
        "not of this network, so left out: backbone.surplus",
    ]
    assert network.head.weight.dtype == torch.float32
    torch.testing.assert_close(network.head.weight, weights["head.weight"].float())


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="weights of another network: only 0% of this one's"):
        take_weights(build_network("torchvision:mobilenet_v3_small", 3, 0), tmp_path / "w.pt")


def test_an_object_is_never_unpickled(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(num_classes=3), tmp_path / "whole.pt")
    with pytest.raises(ValueError, match=r"no file of weights alone: save the state dict"):
        take_weights(build_network("resnet18", 3, 0), tmp_path / "whole.pt")
