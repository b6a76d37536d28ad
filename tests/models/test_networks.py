import pytest
import torch
import torchvision
from torch import nn

from models.names import NETWORK_NAMES
from models.networks import Classifier, build_network, normalise
from models.settings import TrainingSettings


def assert_same_network(ours: Classifier, theirs: nn.Module, head: str) -> None:
    """The same weights give the same logits."""
    weights = {key.removeprefix("backbone."): value for key, value in ours.state_dict().items()}
    theirs.load_state_dict(
        {head + key.removeprefix("head") if key.startswith("head.") else key: value for key, value in weights.items()},
        assign=True,
    )
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(ours.head(ours.features(images)), ours(images))


def build_quickly(name: str) -> Classifier:
    """With weights that keep numbers in range; the usual ones take most of a large network's time."""
    with torch.device("meta"):
        network = build_network(name, 7, seed=0)
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for key, tensor in network.state_dict().items():
        if tensor.ndim > 1:
            tensor.uniform_(-1, 1, generator=generator).mul_((6 / tensor[0].numel()) ** 0.5)
        else:
            tensor.fill_(key.endswith(("running_var", "weight")))
    return network


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext101_32x8d", "resnext101_64x4d"]
)
def test_torchvisions_networks_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, num_classes=7)
    assert_same_network(build_quickly(name), theirs, "fc")


@pytest.mark.parametrize(
    ("name", "named_there"),
    [("resnet200", "resnet200"), ("se-resnet50", "seresnet50"), ("se-resnet152", "seresnet152")],
)
def test_those_torchvision_lacks_are_timms(name: str, named_there: str) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        theirs = timm.create_model(named_there, num_classes=7)
    assert_same_network(build_quickly(name), theirs, "fc")


@pytest.mark.parametrize(
    ("name", "parameters", "features"),
    [  # with 1,000 classes, as torchvision's and timm's documentation have them
        ("resnet18", 11_689_512, 512),
        ("resnet34", 21_797_672, 512),
        ("resnet50", 25_557_032, 2048),
        ("resnet101", 44_549_160, 2048),
        ("resnet152", 60_192_808, 2048),
        ("resnet200", 64_673_832, 2048),
        ("se-resnet50", 28_088_024, 2048),
        ("se-resnet152", 66_821_848, 2048),
        ("resnext101_32x8d", 88_791_336, 2048),
        ("resnext101_64x4d", 83_455_272, 2048),
        ("torchvision:convnext_tiny", 28_589_128, 768),
        ("torchvision:efficientnet_b0", 5_288_548, 1280),
        ("torchvision:vgg11", 132_863_336, 4096),
    ],
)
def test_sizes_of_the_networks(name: str, parameters: int, features: int) -> None:
    def size(name: str) -> int:
        with torch.device("meta"):
            network = build_network(name, 1000, seed=0)
        assert network.head.in_features == features
        return sum(parameter.numel() for parameter in network.parameters())

    assert size(name) == parameters
    if name in NETWORK_NAMES:
        assert size(f"{name}-small") == parameters - 64 * 3 * (7 * 7 - 3 * 3)


def test_a_network_of_timms_by_name() -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        theirs = timm.create_model("vit_tiny_patch16_224", num_classes=7, img_size=32)
        network = build_network("timm:vit_tiny_patch16_224", 7, seed=0)
    count = sum(each.numel() for name, each in theirs.named_parameters() if name != "pos_embed")
    assert sum(each.numel() for name, each in network.named_parameters() if "pos_embed" not in name) == count
    assert network.head_elsewhere == "head"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("torchvision:resnet5", "network of torchvision 'resnet5' is unknown: did you mean 'resnet50'"),
        ("torchvision:squeezenet1_0", "does not end in a linear layer"),
        ("timm:hf-hub:someone/model", "must be LIBRARY:NAME"),
        ("keras:resnet50", "must be LIBRARY:NAME, of torchvision or timm"),
        ("resnet-50", "did you mean 'resnet50'.*or any other as torchvision:NAME, timm:NAME"),
    ],
)
def test_what_is_no_network_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build_network(name, 3, 0)


def test_a_library_that_is_not_there_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="needs timm, which is not installed: pip install timm"):
        TrainingSettings(network="timm:resnet50")


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


def test_normalise_by_hand() -> None:
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).repeat(2, 4, 4, 1)
    images = normalise(pixels, mean=(0.0, 0.5, 0.5), std=(1.0, 0.5, 0.25))
    assert images.shape == (2, 3, 4, 4)
    torch.testing.assert_close(images[1, :, 2, 3], torch.tensor([0.0, (127 / 255 - 0.5) / 0.5, 2.0]))
    assert images.is_contiguous(memory_format=torch.channels_last)
