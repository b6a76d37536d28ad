"""A user's own weights: what is taken, what is refused, and that a picture becomes the network's own vector."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import torchvision.models as zoo
from torch import Tensor, nn

from models.encode import encode, load_encoder
from models.extractor import SameConv2d, import_weights, load_extractor, read_weights
from models.features import FeaturesSettings, weights_file
from models.gang import Gang
from models.specification import EncodingJob
from models.stages import make_extractor
from pipeline.storage.arrays import open_array
from pipeline.storage.artifacts import Store
from tests.models.conftest import TinyCrawl

RESNET = FeaturesSettings(network="resnet18", image_size=32)
MOBILENET = FeaturesSettings(network="mobilenet_v2", image_size=32)


def made_up(network: nn.Module) -> dict[str, Tensor]:
    """Weights of a network with normalisation that does something."""
    torch.manual_seed(1)
    weights = network.state_dict()
    for name, tensor in weights.items():
        if name.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 1.5)
    return weights


@pytest.fixture(scope="module")
def resnet() -> dict[str, Tensor]:
    return made_up(zoo.resnet18(num_classes=7))


@pytest.fixture(scope="module")
def resnet_file(resnet: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    torch.save(resnet, path)
    return path


def test_features_are_what_the_network_gives_before_its_last_layer(
    resnet: dict[str, Tensor], resnet_file: Path, crawls: list[TinyCrawl], tmp_path: Path
) -> None:
    """Pictures of 16 pixels are resized to 32, and normalised as ImageNet's are."""
    import_weights(resnet_file, RESNET, tmp_path / "extractor")
    job = EncodingJob(
        model=tmp_path / "extractor", outputs=("features",), crawls=(crawls[1].folders,), out=tmp_path / "out"
    )
    encode(job, load_encoder(job.model, Gang()), lambda _done, _total: None)
    pixels = open_array(crawls[1].folders.pixels / "part-00000.npy")
    found = open_array(tmp_path / "out" / "features" / "part-00000.npy")
    network = zoo.resnet18(num_classes=7)
    network.load_state_dict(resnet)
    network.fc = nn.Identity()
    images = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.inference_mode():
        expected = network.eval()(F.interpolate((images - mean) / std, (32, 32), mode="bilinear", antialias=True))
    assert found.shape == (16, 512)
    np.testing.assert_allclose(found, expected.numpy(), rtol=5e-3, atol=5e-3)


def test_no_logits_of_a_network_that_knows_other_classes(
    resnet_file: Path, crawls: list[TinyCrawl], tmp_path: Path
) -> None:
    import_weights(resnet_file, RESNET, tmp_path / "extractor")
    job = EncodingJob(model=tmp_path / "extractor", outputs=("logits",), crawls=(crawls[1].folders,), out=tmp_path)
    with pytest.raises(ValueError, match="knows none of the crawl's classes"):
        encode(job, load_encoder(job.model, Gang()), lambda _done, _total: None)


@pytest.mark.parametrize("side", [4, 5, 7, 8])
def test_padding_as_tensorflow_pads(side: int) -> None:
    """By hand for kernel 3, stride 2: an even side lacks one pixel, at the end; an odd one lacks one at both."""
    convolution = SameConv2d(1, 1, 3, 2, bias=False)
    images = torch.randn(2, 1, side, side)
    before = side % 2
    padded = torch.zeros(2, 1, side + before + 1, side + before + 1)
    padded[:, :, before : before + side, before : before + side] = images
    torch.testing.assert_close(convolution(images), F.conv2d(padded, convolution.weight, stride=2))


@pytest.mark.parametrize(("outputs", "padding", "mean"), [(1001, "same", 0.5), (1000, "symmetric", 0.485)])
def test_a_mobilenet_from_tensorflow_is_fed_as_there(outputs: int, padding: str, mean: float, tmp_path: Path) -> None:
    """It has an output more than torchvision's. Half precision is stored; what is computed is not."""
    weights = {name: each.half() for name, each in made_up(zoo.mobilenet_v2(num_classes=outputs)).items()}
    safetensors.torch.save_file(weights, tmp_path / "mine.safetensors")
    told = import_weights(tmp_path / "mine.safetensors", MOBILENET, tmp_path)
    assert (told.padding, told.mean[0], told.features) == (padding, mean, 1280)
    network, read = load_extractor(tmp_path)
    assert read == told
    assert sum(isinstance(each, SameConv2d) for each in network.modules()) == (5 if padding == "same" else 0)
    assert {each.dtype for each in network.parameters()} == {torch.float32}
    first = next(network.parameters())
    torch.testing.assert_close(first, weights["features.0.0.weight"].float())


def without(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {own: tensor for own, tensor in weights.items() if own != name}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda w: without(w, "conv1.weight"), r"is not resnet18: it lacks 1: \['conv1.weight'\]"),
        (lambda w: w | {"more": torch.ones(1)}, r"it has unknown 1: \['more'\]"),
        (lambda w: w | {"bn1.bias": torch.ones(3)}, r"it has another shape of 1: \['bn1.bias'\]"),
        (lambda w: w | {"bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias holds numbers that are not finite"),
        (lambda w: {"state_dict": w, "epoch": 3}, r"it holds \['epoch', 'state_dict'\]"),
        (lambda _: [torch.ones(1)], "it holds list"),
    ],
)
def test_what_is_no_state_dict_of_the_network_is_refused(
    change: Callable[[dict[str, Tensor]], Any], complaint: str, resnet: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(change(resnet), tmp_path / "mine.pth")
    with pytest.raises(ValueError, match=complaint):
        import_weights(tmp_path / "mine.pth", RESNET, tmp_path)
    assert not (tmp_path / "extractor.json").exists()


def test_counters_of_batches_may_be_missing(resnet: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({name: each for name, each in resnet.items() if "num_batches" not in name}, tmp_path / "old.pth")
    assert import_weights(tmp_path / "old.pth", RESNET, tmp_path).features == 512


class Trap:
    """Unpickled, it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickled_object_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="no file of weights alone: save the state dict"):
        read_weights(tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "data", [b"", b"no weights at all", b"PK\x03\x04 cut", b"\x08\0\0\0\0\0\0\0{} cut", b"\x80\x02."]
)
def test_damaged_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(data)
    with pytest.raises(ValueError, match=r"mine\.pth is"):
        read_weights(tmp_path / "mine.pth")


def test_a_folder_with_one_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a file of weights, or a folder with one"):
        weights_file(str(tmp_path / "nowhere"))
    (tmp_path / "LICENSE").touch()
    with pytest.raises(ValueError, match=r"must hold one file of .*it holds \[\]"):
        weights_file(str(tmp_path))
    (tmp_path / "mine.pth").touch()
    assert weights_file(str(tmp_path)) == tmp_path / "mine.pth"
    (tmp_path / "other.safetensors").touch()
    with pytest.raises(ValueError, match=r"\['mine.pth', 'other.safetensors'\]"):
        weights_file(str(tmp_path))


def test_the_same_weights_elsewhere_are_the_same_extractor(resnet_file: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    made = make_extractor(store, FeaturesSettings(weights=str(resnet_file), network="resnet18", image_size=32))
    assert made.made
    (tmp_path / "copy.bin").write_bytes(resnet_file.read_bytes())
    copied = FeaturesSettings(weights=str(tmp_path / "copy.bin"), network="resnet18", image_size=32)
    again = make_extractor(store, copied)
    assert not again.made
    other = FeaturesSettings(weights=str(resnet_file), network="resnet18", image_size=64)
    assert make_extractor(store, other).identity != made.identity
    assert str(tmp_path) not in (made.folder / "extractor.json").read_text()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"network": "resnet19"}, r"features.network 'resnet19' is unknown: did you mean 'resnet1"),
        ({"image_size": 16}, r"features.image_size must be from 32 to 1024 pixels, not 16"),
        ({"folds": 0}, r"features.folds must be at least 1, not 0"),
        ({"weights": "mine.pth", "folds": 2}, r"features.folds must be 1 where features.weights are given"),
    ],
)
def test_settings_out_of_range_are_named(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        FeaturesSettings(**fields)


def test_the_real_mobilenet_knows_what_it_sees(shared_data: Path, tmp_path: Path) -> None:
    """Grey nothing is like grey nothing of another shade, unlike stripes; every number is finite."""
    settings = FeaturesSettings(weights=str(shared_data / "mobilenet_v2"))
    told = import_weights(weights_file(settings.weights or ""), settings, tmp_path)
    assert (told.padding, told.features) == ("same", 1280)
    pictures = np.full((3, 64, 64, 3), 100, np.uint8)
    pictures[1] = 140
    pictures[2, ::8] = 255
    found = load_encoder(tmp_path, Gang()).apply(pictures, np.arange(3), ("features",), lambda _: None)["features"]
    assert found.shape == (3, 1280)
    vectors = found.astype(np.float64) / np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1
