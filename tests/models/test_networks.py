import pytest
import torch
import torchvision

from models.networks import NETWORKS, build_network, normalise
from models.specification import NETWORK_NAMES


def test_resnet18_is_torchvisions() -> None:
    """The same weights give the same logits."""
    ours = build_network("resnet18", 7, seed=0).eval()
    theirs = torchvision.models.resnet18(num_classes=7).eval()
    weights = {key.removeprefix("backbone."): value for key, value in ours.state_dict().items()}
    theirs.load_state_dict({key.replace("head.", "fc."): value for key, value in weights.items()})
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours.head(ours.features(images)), ours(images))


def test_every_name_that_settings_accept_can_be_built() -> None:
    assert tuple(NETWORKS) == NETWORK_NAMES


@pytest.mark.parametrize(
    ("name", "parameters", "features"),
    [  # with 1,000 classes, as torchvision's documentation has them
        ("resnet18", 11_689_512, 512),
        ("resnet34", 21_797_672, 512),
        ("resnet50", 25_557_032, 2048),
        ("resnet101", 44_549_160, 2048),
        ("resnet152", 60_192_808, 2048),
        ("resnet18-small", 11_689_512 - 64 * 3 * (7 * 7 - 3 * 3), 512),
    ],
)
def test_sizes_of_the_networks(name: str, parameters: int, features: int) -> None:
    with torch.device("meta"):
        network = build_network(name, 1000, seed=0)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert network.head.in_features == features


def test_the_small_stem_keeps_the_resolution() -> None:
    network = build_network("resnet18-small", 3, seed=0).eval()
    sizes: list[torch.Size] = []
    layer = network.backbone.get_submodule("layer1")
    layer.register_forward_hook(lambda _module, inputs, _output: sizes.append(inputs[0].shape))
    network(torch.rand(1, 3, 32, 32))
    assert sizes == [(1, 64, 32, 32)]


def test_weights_come_from_the_seed() -> None:
    first, same, other = (build_network("resnet18", 3, seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'resnet50'"):
        build_network("resnet-50", 3, 0)


def test_normalise_by_hand() -> None:
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).repeat(2, 4, 4, 1)
    images = normalise(pixels, mean=(0.0, 0.5, 0.5), std=(1.0, 0.5, 0.25))
    assert images.shape == (2, 3, 4, 4)
    torch.testing.assert_close(images[1, :, 2, 3], torch.tensor([0.0, (127 / 255 - 0.5) / 0.5, 2.0]))
    assert images.is_contiguous(memory_format=torch.channels_last)
