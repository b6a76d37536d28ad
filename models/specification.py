"""What a training or an encoding is asked to do, saved as JSON and checked when read. No torch here."""

import difflib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from models.saved import as_json, built, check, read_object
from pipeline.records import Split
from pipeline.storage.atomic import publish_json

#: Mean and deviation of ImageNet's red, green and blue, as shares of 255: what the field's pretrained weights expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FORMAT = 1
SEEDS = 2**31  # a seed is below this: the tables keep it as int32

#: What `models.networks` can build; told here, where no torch is imported, so that a wrong name is refused at once.
NETWORK_NAMES = ("resnet18", "resnet18-small", "resnet34", "resnet50", "resnet101", "resnet152")

Output = Literal["features", "logits"]


def check_network(name: str) -> None:
    """Raises ValueError, offering the nearest name, where no network is called that."""
    if name not in NETWORK_NAMES:
        nearest = difflib.get_close_matches(name, NETWORK_NAMES, n=1, cutoff=0)[0]
        known = ", ".join(NETWORK_NAMES)
        raise ValueError(f"network {name!r} is unknown: did you mean {nearest!r}? There are {known}")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything that decides a training's result, apart from its data and its seed."""

    #: one of NETWORK_NAMES
    network: str = "resnet18"
    #: times the manifest is gone through
    epochs: int = 15
    #: images of one optimiser step, over all processes together
    batch_size: int = 128
    #: peak learning rate for a batch of 256 images; it grows linearly with the batch (Goyal et al., 2017)
    base_learning_rate: float = 0.1
    #: epochs of linear warm-up before the cosine; may be a part of one
    warmup_epochs: float = 1.0
    #: Nesterov momentum of SGD, [0, 1)
    momentum: float = 0.9
    #: decay of weights; biases and normalisation parameters are left alone
    weight_decay: float = 5e-4
    #: probability taken from the label and spread over all classes, [0, 1)
    label_smoothing: float = 0.1
    #: largest Euclidean norm of the whole gradient; longer ones are shortened to it
    gradient_norm: float = 5.0
    #: smallest share of an image's area that a random crop keeps, (0, 1]; 1 trains on whole images
    crop_area: float = 0.35
    #: largest ratio of a crop's sides, either way, >= 1
    crop_aspect: float = 4 / 3
    #: probability of a mirrored image, [0, 1]
    flip: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        check_network(self.network)
        check(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        check(self.batch_size >= 1, "batch_size", "at least 1 image", self.batch_size)
        check(0 < self.base_learning_rate < math.inf, "base_learning_rate", "above 0", self.base_learning_rate)
        check(0 <= self.warmup_epochs <= self.epochs, "warmup_epochs", "in [0, epochs]", self.warmup_epochs)
        check(0 <= self.momentum < 1, "momentum", "in [0, 1)", self.momentum)
        check(0 <= self.weight_decay < math.inf, "weight_decay", "at least 0", self.weight_decay)
        check(0 <= self.label_smoothing < 1, "label_smoothing", "in [0, 1)", self.label_smoothing)
        check(0 < self.gradient_norm < math.inf, "gradient_norm", "above 0", self.gradient_norm)
        check(0 < self.crop_area <= 1, "crop_area", "in (0, 1]", self.crop_area)
        check(1 <= self.crop_aspect < math.inf, "crop_aspect", "at least 1", self.crop_aspect)
        check(0 <= self.flip <= 1, "flip", "in [0, 1]", self.flip)


@dataclass(frozen=True, kw_only=True)
class CrawlFolders:
    """Where one crawl's tables and pixels lie."""

    #: folder of `LISTING` parts
    listing: Path
    #: folder of `IMAGES` parts
    images: Path
    #: folder of uint8 [usable, S, S, 3] parts, part k beside part k of the images
    pixels: Path


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One training: its data, its settings, and where the model goes."""

    #: folder of `MANIFEST` parts, over all crawls
    manifest: Path
    crawls: tuple[CrawlFolders, ...]
    #: classes of the catalogue
    classes: int
    settings: TrainingSettings
    #: decides the first weights, the order of images and their augmentation, [0, 2**31)
    seed: int
    #: artifact folder being made
    out: Path
    #: wall time between two checkpoints in seconds; 0 saves after every batch. No result depends on it
    checkpoint_seconds: float = 120.0

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        check(len(self.crawls) > 0, "crawls", "at least one", 0)
        check(self.classes >= 1, "classes", "at least 1", self.classes)
        check(0 <= self.seed < SEEDS, "seed", "in [0, 2**31)", self.seed)
        check(0 <= self.checkpoint_seconds < math.inf, "checkpoint_seconds", "at least 0", self.checkpoint_seconds)

    def save(self, path: Path) -> None:
        """Publish the job as a file that `read_job` and the worker understand."""
        publish_json(path, {"job": "training", **as_json(self)})


@dataclass(frozen=True, kw_only=True)
class EncodingJob:
    """A network's features or logits of stored pictures."""

    #: folder of `model.safetensors` and `specification.json`, or of an extractor's `extractor.json`
    model: Path
    #: "features" of every usable image, of one crawl alone; "logits": predictions of the images of `splits`
    outputs: tuple[Output, ...]
    #: parts are numbered crawl after crawl
    crawls: tuple[CrawlFolders, ...]
    #: artifact folder being made
    out: Path
    #: splits that are predicted; features are made of all
    splits: tuple[Split, ...] = ("val", "test")

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        known = len(self.outputs) > 0 and set(self.outputs) <= set(get_args(Output))
        check(known, "outputs", f"some of {get_args(Output)}", self.outputs)
        check(len(self.crawls) > 0, "crawls", "at least one", 0)
        alone = "features" not in self.outputs or len(self.crawls) == 1
        check(alone, "crawls", "a single one where features are asked for", len(self.crawls))
        check(len(self.splits) > 0, "splits", "at least one", 0)

    def save(self, path: Path) -> None:
        """Publish the job as a file that `read_job` and the worker understand."""
        publish_json(path, {"job": "encoding", **as_json(self)})


@dataclass(frozen=True, kw_only=True)
class ModelSpecification:
    """What a published model is: enough to build it again and to feed it. Holds no path and no time."""

    #: images of a training step, its learning rate and all the rest
    settings: TrainingSettings
    seed: int
    classes: int
    #: pixels of a side of the square images it was trained on
    image_size: int
    #: numbers in a feature vector
    features: int
    #: trained numbers in all
    parameters: int
    #: subtracted from red, green and blue, as a share of 255
    mean: tuple[float, ...] = IMAGENET_MEAN
    #: divides the difference, as a share of 255
    std: tuple[float, ...] = IMAGENET_STD
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        check(self.format == FORMAT, "format", f"{FORMAT}, the one this version reads", self.format)
        check(self.classes >= 1, "classes", "at least 1", self.classes)
        check(self.image_size >= 1, "image_size", "at least 1 pixel", self.image_size)
        check(len(self.mean) == 3, "mean", "three numbers", self.mean)
        check(len(self.std) == 3 and min(self.std) > 0, "std", "three numbers above 0", self.std)

    def save(self, path: Path) -> None:
        """Publish it beside the weights."""
        publish_json(path, as_json(self))


def read_job(path: Path) -> TrainingJob | EncodingJob:
    """The job saved in a file.

    Raises:
        ValueError: no JSON, an unknown or missing field, a wrong type or range; the message names file and field.
    """
    told = read_object(path)
    kinds: dict[Any, type[TrainingJob | EncodingJob]] = {"training": TrainingJob, "encoding": EncodingJob}
    kind = told.pop("job", None)
    if kind not in kinds:
        raise ValueError(f"{path}: job is {kind!r}, it must be one of {sorted(kinds)}")
    return built(kinds[kind], told, str(path))


def read_model_specification(path: Path) -> ModelSpecification:
    """The `specification.json` of a published model.

    Raises:
        ValueError: as `read_job`.
    """
    return built(ModelSpecification, read_object(path), str(path))
