"""Name -> network: a backbone that gives one vector per image, and a linear layer that gives logits."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import torch
import torchvision.models as zoo
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from models.names import SMALL, check_network, unknown
from models.specification import IMAGENET_MEAN, IMAGENET_STD


class Parts(NamedTuple):
    """A library's network cut before its last layer."""

    backbone: nn.Module  # float images [B, 3, S, S] -> [B, features]
    features: int
    head: str  # what the library calls the layer cut off, and so a file of weights


class Classifier(nn.Module):
    """A network in its two halves, so that one forward gives both features and logits."""

    def __init__(self, backbone: nn.Module, features: int, head: str, classes: int) -> None:
        """`backbone` maps float images [B, 3, S, S] to [B, features]; `head` is its last layer's name elsewhere."""
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(features, classes)
        self.head_elsewhere = head

    def features(self, images: Tensor) -> Tensor:
        """The pooled vectors before the linear layer, [B, features], of normalised float images [B, 3, S, S]."""
        vectors: Tensor = self.backbone(images)
        return vectors

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of normalised float images [B, 3, S, S]."""
        logits: Tensor = self.head(self.features(images))
        return logits


class SqueezedBottleneck(zoo.resnet.Bottleneck):  # type: ignore[misc]  # torchvision has no types
    """A residual block whose channels are scaled by what all its pixels say of them.

    Squeeze-and-excitation with a reduction of 16 (Hu et al., 2018, section 3), before the sum with the block's input.
    """

    REDUCTION: Final = 16

    def __init__(self, inplanes: int, planes: int, *args: Any, **kwargs: Any) -> None:
        """As torchvision's block."""
        super().__init__(inplanes, planes, *args, **kwargs)
        channels = planes * self.expansion
        self.se = SqueezeExcitation(channels, channels // self.REDUCTION)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps of feature maps."""
        own = self.relu(self.bn1(self.conv1(x)))
        own = self.relu(self.bn2(self.conv2(own)))
        own = self.se(self.bn3(self.conv3(own)))
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(own + shortcut)
        return out


def _deep(block: type[zoo.resnet.Bottleneck], layers: Sequence[int]) -> zoo.ResNet:
    return zoo.ResNet(block, list(layers))


#: The residual networks by name: torchvision's own, and where it has none, ones of its blocks.
_RESNETS: Final[dict[str, Callable[[], zoo.ResNet]]] = {
    "resnet18": zoo.resnet18,
    "resnet34": zoo.resnet34,
    "resnet50": zoo.resnet50,
    "resnet101": zoo.resnet101,
    "resnet152": zoo.resnet152,
    "resnet200": partial(_deep, zoo.resnet.Bottleneck, (3, 24, 36, 3)),  # He et al., 2016, "Identity Mappings"
    "se-resnet50": partial(_deep, SqueezedBottleneck, (3, 4, 6, 3)),
    "se-resnet152": partial(_deep, SqueezedBottleneck, (3, 8, 36, 3)),
    "resnext101_32x8d": zoo.resnext101_32x8d,
    "resnext101_64x4d": zoo.resnext101_64x4d,
}
#: Arguments without which a network of torchvision's gives more than logits.
_ALONE: Final[dict[str, dict[str, bool]]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def _resnet(name: str) -> Parts:
    network = _RESNETS[name.removesuffix(SMALL)]()
    if name.endswith(SMALL):
        _set_small_stem(network)
    features = network.fc.in_features
    network.fc = nn.Identity()
    return Parts(network, features, "fc")


def _set_small_stem(network: zoo.ResNet) -> None:
    """The stem for images of about 32 to 64 pixels: nothing is halved before the first stage (He et al., 2016, 4.2)."""
    network.conv1 = nn.Conv2d(3, network.conv1.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()


def _from_torchvision(name: str) -> Parts:
    known = tuple(zoo.list_models(module=zoo))
    if name not in known:
        raise ValueError(f"network of torchvision {unknown(name, known)}")
    network = zoo.get_model(name, weights=None, **_ALONE.get(name, {}))
    layers = [(layer, each) for layer, each in network.named_modules() if isinstance(each, nn.Linear)]
    if not layers:
        raise ValueError(f"network torchvision:{name} does not end in a linear layer: take another")
    head, layer = layers[-1]
    network.set_submodule(head, nn.Identity())
    return Parts(network, layer.in_features, head)


def _from_timm(name: str) -> Parts:
    import timm  # noqa: PLC0415 - not installed with Winnow, and not needed by its own networks

    known = tuple(timm.list_models())
    if name not in known:
        raise ValueError(f"network of timm {unknown(name, known)}")
    network: Any = timm.create_model(name, pretrained=False)
    layer = network.get_classifier()
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"network timm:{name} does not end in a linear layer: take another")
    head = next(own for own, each in network.named_modules() if each is layer)
    network.reset_classifier(0)
    return Parts(network, layer.in_features, head)


def _parts(name: str) -> Parts:
    library, _, own = name.partition(":")
    elsewhere = {"torchvision": _from_torchvision, "timm": _from_timm}
    return elsewhere[library](own) if own else _resnet(name)


def build_network(name: str, classes: int, seed: int) -> Classifier:
    """A network with fresh weights, drawn from `seed` alone, in channels-last memory. Nothing is downloaded.

    Raises:
        ValueError: no network has that name; the message offers the nearest.
    """
    check_network(name)
    torch.manual_seed(seed)
    return Classifier(*_parts(name), classes).to(memory_format=torch.channels_last)


def normalise(pixels: Tensor, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> Tensor:
    """Float images [B, 3, S, S] in channels-last memory from uint8 pixels [B, S, S, 3], on the pixels' device."""
    images = pixels.permute(0, 3, 1, 2).float()  # stored channels last already: the permutation moves no byte
    shift, scale = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) * 255 for values in (mean, std))
    return images.sub_(shift).div_(scale)
