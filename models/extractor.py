"""A user's own frozen weights as a source of features. Nothing is downloaded, nothing trained, no object unpickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
import torchvision.models as zoo
from torch import Tensor, nn

from models.features import ExtractorSpecification, FeaturesSettings, Padding, read_extractor_specification
from models.specification import IMAGENET_MEAN, IMAGENET_STD
from pipeline.storage.atomic import atomic_file, checksum
from pipeline.storage.verify import require_sound

WEIGHTS: Final = "model.safetensors"
SPECIFICATION: Final = "extractor.json"
#: Outputs of a MobileNet trained in TensorFlow: ImageNet's thousand classes after one for the background.
_TENSORFLOW_OUTPUTS: Final = 1001
_SHOWN_NAMES: Final = 4  # of missing or unexpected weights in an error
_UNPICKLING_ERROR: Final[type[Exception]] = torch.serialization.pickle.UnpicklingError  # type: ignore[attr-defined]

Weights = Mapping[str, Tensor]


class Extractor(nn.Module):
    """A network without its last layer."""

    def __init__(self, backbone: nn.Module) -> None:
        """`backbone` maps float images [B, 3, S, S] to vectors [B, features]."""
        super().__init__()
        self.backbone = backbone

    def features(self, images: Tensor) -> Tensor:
        """The pooled vectors [B, features] of normalised float images [B, 3, S, S]."""
        vectors: Tensor = self.backbone(images)
        return vectors


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": ceil(side / stride) outputs, an odd pixel of padding at the end.

    torchvision pads stride-2 convolutions alike on both sides, which shifts every picture by a pixel a layer.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps of [B, C, H, W]."""
        pads: list[int] = []
        for side, kernel, stride in zip(images.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [missing // 2, missing - missing // 2]
        maps: Tensor = self._conv_forward(F.pad(images, pads), self.weight, self.bias)
        return maps


def import_weights(path: Path, settings: FeaturesSettings, folder: Path) -> ExtractorSpecification:
    """Read a user's weights once, and publish them in `folder` as what `load_extractor` loads.

    Args:
        path: safetensors, or a torch file of a state dict.
        settings: which network they belong to, and the size of the pictures it is fed.
        folder: of the artifact being made.

    Raises:
        ValueError: the file holds anything but the weights of that network.
    """
    weights = read_weights(path)
    head = "classifier." if settings.network == "mobilenet_v2" else "fc."
    body = {name: tensor.float() for name, tensor in weights.items() if not name.startswith(head)}
    outputs = [len(tensor) for name, tensor in weights.items() if name.startswith(head) and name.endswith("weight")]
    tensorflow = settings.network == "mobilenet_v2" and outputs == [_TENSORFLOW_OUTPUTS]
    padding: Padding = "same" if tensorflow else "symmetric"
    network, features = build_extractor(settings.network, padding)
    _load(network.backbone, body, f"{path} is not {settings.network}")
    told = ExtractorSpecification(
        network=settings.network,
        padding=padding,
        image_size=settings.image_size,
        features=features,
        source=checksum(path),
        mean=(0.5, 0.5, 0.5) if tensorflow else IMAGENET_MEAN,  # rgb / 127.5 - 1
        std=(0.5, 0.5, 0.5) if tensorflow else IMAGENET_STD,
    )
    with atomic_file(folder / WEIGHTS) as temporary:
        # Not `save_file`, which hides a full disk in an error of its own.
        temporary.write_bytes(safetensors.torch.save(network.state_dict()))
    told.save(folder / SPECIFICATION)
    return told


def load_extractor(folder: Path) -> tuple[Extractor, ExtractorSpecification]:
    """A published extractor, ready to be applied.

    Raises:
        DamagedError: the weights are not those that were published.
        ValueError: the specification is broken, or the weights are of another network.
    """
    require_sound(folder / WEIGHTS)
    told = read_extractor_specification(folder / SPECIFICATION)
    network, _ = build_extractor(told.network, told.padding)
    _load(network, read_weights(folder / WEIGHTS), f"{folder / WEIGHTS} does not fit its specification")
    return network.to(memory_format=torch.channels_last).eval(), told


def build_extractor(name: str, padding: Padding) -> tuple[Extractor, int]:
    """A network of torchvision's without its last layer, weights still to be loaded, and the length of its vectors."""
    network = getattr(zoo, name)()
    if name == "mobilenet_v2":
        features, network.classifier = int(network.last_channel), nn.Identity()
    else:
        features, network.fc = int(network.fc.in_features), nn.Identity()
    if padding == "same":
        _pad_as_tensorflow(network)
    return Extractor(network), features


def read_weights(path: Path) -> Weights:
    """The tensors of a file by name.

    Raises:
        ValueError: the file is damaged, no state dict, holds other things than tensors, or numbers that are not finite.
    """
    with path.open("rb") as stream:
        start = stream.read(9)
    try:
        # A safetensors file is the length of its header in eight bytes, then a JSON object.
        found: Any = (
            safetensors.torch.load_file(path)
            if start[8:] == b"{"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except _UNPICKLING_ERROR as error:
        raise ValueError(
            f"{path} is no file of weights alone: save the state dict (torch.save(network.state_dict(), ...)), or use "
            f"safetensors ({str(error).splitlines()[0]})"
        ) from None
    except (safetensors.SafetensorError, RuntimeError, EOFError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is damaged or no file of weights: {error}") from None
    if not isinstance(found, dict) or not found or not all(isinstance(each, Tensor) for each in found.values()):
        told = sorted(map(str, found))[:_SHOWN_NAMES] if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"{path} must hold a state dict, tensors by name; it holds {told}")
    broken = [name for name, tensor in found.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ValueError(f"{path}: {broken[0]} holds numbers that are not finite")
    return found


def _load(network: nn.Module, weights: Weights, complaint: str) -> None:
    """Set all weights; counters of batches, which older files lack, may be missing: nothing here reads them."""
    own = network.state_dict()
    missing = sorted(name for name in own if name not in weights and not name.endswith("num_batches_tracked"))
    other = sorted(set(weights) - set(own))
    shaped = sorted(name for name in set(own) & set(weights) if own[name].shape != weights[name].shape)
    if missing or other or shaped:
        parts = (("lacks", missing), ("has unknown", other), ("has another shape of", shaped))
        told = "; ".join(f"it {verb} {len(names)}: {names[:_SHOWN_NAMES]}" for verb, names in parts if names)
        raise ValueError(f"{complaint}: {told}")
    network.load_state_dict(dict(weights), strict=False)


def _pad_as_tensorflow(network: nn.Module) -> None:
    strided = [(name, each) for name, each in network.named_modules() if isinstance(each, nn.Conv2d)]
    for name, old in strided:
        if old.stride[0] > 1:
            parent, _, own = name.rpartition(".")
            kernel, stride = (old.kernel_size[0], old.kernel_size[1]), (old.stride[0], old.stride[1])
            new = SameConv2d(old.in_channels, old.out_channels, kernel, stride, groups=old.groups, bias=False)
            network.get_submodule(parent).register_module(own, new)
