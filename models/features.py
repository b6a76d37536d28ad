"""Where features come from: the baseline, several networks that judge each other's images, or a user's own weights.

No torch here: a wrong setting is refused at once.
"""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from models.saved import as_json, built, check, read_object
from models.specification import FORMAT, IMAGENET_MEAN, IMAGENET_STD
from pipeline.storage.atomic import publish_json

#: Networks a user's weights may belong to, by torchvision's names.
EXTRACTOR_NAMES = (
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

#: "symmetric" as torchvision pads; "same" as TensorFlow does: as much as the stride asks for, the odd pixel at the end
Padding = Literal["symmetric", "same"]


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings:
    """The source of the feature vectors that all visual evidence is made from."""

    #: file with the weights of a frozen network (safetensors, or a torch state dict), or a folder with one such file;
    #: without one, features come from the baseline
    weights: str | None = None
    #: network the weights belong to, one of EXTRACTOR_NAMES
    network: str = "mobilenet_v2"
    #: pixels of a side that stored pictures are resized to for it, 32 to 1024
    image_size: int = 128
    #: networks of a cross-fitted baseline, each trained without one of so many parts of the images and then asked
    #: about that part alone; 1 is a single network, which has seen the labels it is to judge
    folds: int = 1
    #: what happens to the baseline when the images change, as with a new crawl: "retrain" trains it on all there
    #: are now, and everything made from features is made anew; "keep" lets features come from the network they came
    #: from until now, so that only new images are encoded
    baseline: Literal["retrain", "keep"] = "retrain"

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        _check_extractor(self.network)
        check(32 <= self.image_size <= 1024, "features.image_size", "from 32 to 1024 pixels", self.image_size)
        check(self.folds >= 1, "features.folds", "at least 1", self.folds)
        known = ("retrain", "keep")
        check(self.baseline in known, "features.baseline", f"one of {known}", self.baseline)
        alone = self.weights is None or self.folds == 1
        check(alone, "features.folds", "1 where features.weights are given: they have seen no label", self.folds)


@dataclass(frozen=True, kw_only=True)
class ExtractorSpecification:
    """What a published extractor is: enough to build it again and to feed it. Holds no path and no time."""

    #: one of EXTRACTOR_NAMES
    network: str
    padding: Padding
    #: pixels of a side that it is fed
    image_size: int
    #: numbers in a feature vector
    features: int
    #: sha256 of the file the weights came from
    source: str
    #: subtracted from red, green and blue, as a share of 255
    mean: tuple[float, ...] = IMAGENET_MEAN
    #: divides the difference, as a share of 255
    std: tuple[float, ...] = IMAGENET_STD
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        _check_extractor(self.network)
        check(self.format == FORMAT, "format", f"{FORMAT}, the one this version reads", self.format)
        check(self.image_size >= 1, "image_size", "at least 1 pixel", self.image_size)
        check(self.features >= 1, "features", "at least 1", self.features)
        check(len(self.mean) == 3, "mean", "three numbers", self.mean)
        check(len(self.std) == 3 and min(self.std) > 0, "std", "three numbers above 0", self.std)

    def save(self, path: Path) -> None:
        """Publish it beside the weights."""
        publish_json(path, as_json(self))


def read_extractor_specification(path: Path) -> ExtractorSpecification:
    """The `extractor.json` of a published extractor.

    Raises:
        ValueError: no JSON, an unknown or missing field, a wrong type or range; the message names file and field.
    """
    told: dict[str, Any] = read_object(path)
    return built(ExtractorSpecification, told, str(path))


def weights_file(weights: str, setting: str = "features.weights") -> Path:
    """The file that a setting names.

    Raises:
        ValueError: there is no such file, or the folder holds none or several.
    """
    path = Path(weights)
    if not path.is_dir():
        check(path.is_file(), setting, "a file of weights, or a folder with one", weights)
        return path
    found = sorted(each for each in path.iterdir() if each.suffix in WEIGHT_SUFFIXES)
    if len(found) != 1:
        names = [each.name for each in found]
        raise ValueError(f"{setting}: {weights} must hold one file of {WEIGHT_SUFFIXES}, it holds {names}")
    return found[0]


def _check_extractor(network: str) -> None:
    if network not in EXTRACTOR_NAMES:
        nearest = difflib.get_close_matches(network, EXTRACTOR_NAMES, n=1, cutoff=0)[0]
        known = ", ".join(EXTRACTOR_NAMES)
        raise ValueError(f"features.network {network!r} is unknown: did you mean {nearest!r}? There are {known}")
