"""Name -> network: a backbone that gives one vector per image, and a linear layer that gives logits."""

from collections.abc import Callable
from typing import Final

import torch
import torchvision.models as zoo
from torch import Tensor, nn

from models.specification import IMAGENET_MEAN, IMAGENET_STD, check_network


class Classifier(nn.Module):
    """A network in its two halves, so that one forward gives both features and logits."""

    def __init__(self, backbone: nn.Module, features: int, classes: int) -> None:
        """`backbone` maps float images [B, 3, S, S] to [B, features]."""
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(features, classes)

    def features(self, images: Tensor) -> Tensor:
        """The pooled vectors before the linear layer, [B, features], of normalised float images [B, 3, S, S]."""
        vectors: Tensor = self.backbone(images)
        return vectors

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of normalised float images [B, 3, S, S]."""
        logits: Tensor = self.head(self.features(images))
        return logits


def _resnet(make: Callable[[], zoo.ResNet]) -> tuple[nn.Module, int]:
    network = make()
    features = network.fc.in_features
    network.fc = nn.Identity()
    return network, features


def _small_stem(network: zoo.ResNet) -> zoo.ResNet:
    """The stem for images of about 32 to 64 pixels: nothing is halved before the first stage (He et al., 2016, 4.2)."""
    network.conv1 = nn.Conv2d(3, network.conv1.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network


#: Every one of NETWORK_NAMES: a function giving a backbone with fresh weights, and the length of its vectors.
NETWORKS: Final[dict[str, Callable[[], tuple[nn.Module, int]]]] = {
    "resnet18": lambda: _resnet(zoo.resnet18),
    "resnet18-small": lambda: _resnet(lambda: _small_stem(zoo.resnet18())),
    "resnet34": lambda: _resnet(zoo.resnet34),
    "resnet50": lambda: _resnet(zoo.resnet50),
    "resnet101": lambda: _resnet(zoo.resnet101),
    "resnet152": lambda: _resnet(zoo.resnet152),
}


def build_network(name: str, classes: int, seed: int) -> Classifier:
    """A network with fresh weights, drawn from `seed` alone, in channels-last memory.

    Raises:
        ValueError: no network has that name; the message offers the nearest.
    """
    check_network(name)
    torch.manual_seed(seed)
    return Classifier(*NETWORKS[name](), classes).to(memory_format=torch.channels_last)


def normalise(pixels: Tensor, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> Tensor:
    """Float images [B, 3, S, S] in channels-last memory from uint8 pixels [B, S, S, 3], on the pixels' device."""
    images = pixels.permute(0, 3, 1, 2).float()  # stored channels last already: the permutation moves no byte
    shift, scale = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) * 255 for values in (mean, std))
    return images.sub_(shift).div_(scale)
