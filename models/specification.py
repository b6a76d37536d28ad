"""What a training or an encoding is asked to do, saved as JSON and checked when read. No torch here."""

import dataclasses
import difflib
import json
import math
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

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
_Kind = TypeVar("_Kind")


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
        _check(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        _check(self.batch_size >= 1, "batch_size", "at least 1 image", self.batch_size)
        _check(0 < self.base_learning_rate < math.inf, "base_learning_rate", "above 0", self.base_learning_rate)
        _check(0 <= self.warmup_epochs <= self.epochs, "warmup_epochs", "in [0, epochs]", self.warmup_epochs)
        _check(0 <= self.momentum < 1, "momentum", "in [0, 1)", self.momentum)
        _check(0 <= self.weight_decay < math.inf, "weight_decay", "at least 0", self.weight_decay)
        _check(0 <= self.label_smoothing < 1, "label_smoothing", "in [0, 1)", self.label_smoothing)
        _check(0 < self.gradient_norm < math.inf, "gradient_norm", "above 0", self.gradient_norm)
        _check(0 < self.crop_area <= 1, "crop_area", "in (0, 1]", self.crop_area)
        _check(1 <= self.crop_aspect < math.inf, "crop_aspect", "at least 1", self.crop_aspect)
        _check(0 <= self.flip <= 1, "flip", "in [0, 1]", self.flip)


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
        _check(len(self.crawls) > 0, "crawls", "at least one", 0)
        _check(self.classes >= 1, "classes", "at least 1", self.classes)
        _check(0 <= self.seed < SEEDS, "seed", "in [0, 2**31)", self.seed)
        _check(0 <= self.checkpoint_seconds < math.inf, "checkpoint_seconds", "at least 0", self.checkpoint_seconds)

    def save(self, path: Path) -> None:
        """Publish the job as a file that `read_job` and the worker understand."""
        publish_json(path, {"job": "training", **_told(self)})


@dataclass(frozen=True, kw_only=True)
class EncodingJob:
    """A trained model's features or logits of stored pictures."""

    #: folder of `model.safetensors` and `specification.json`
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
        _check(known, "outputs", f"some of {get_args(Output)}", self.outputs)
        _check(len(self.crawls) > 0, "crawls", "at least one", 0)
        alone = "features" not in self.outputs or len(self.crawls) == 1
        _check(alone, "crawls", "a single one where features are asked for", len(self.crawls))
        _check(len(self.splits) > 0, "splits", "at least one", 0)

    def save(self, path: Path) -> None:
        """Publish the job as a file that `read_job` and the worker understand."""
        publish_json(path, {"job": "encoding", **_told(self)})


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
        _check(self.format == FORMAT, "format", f"{FORMAT}, the one this version reads", self.format)
        _check(self.classes >= 1, "classes", "at least 1", self.classes)
        _check(self.image_size >= 1, "image_size", "at least 1 pixel", self.image_size)
        _check(len(self.mean) == 3, "mean", "three numbers", self.mean)
        _check(len(self.std) == 3 and min(self.std) > 0, "std", "three numbers above 0", self.std)

    def save(self, path: Path) -> None:
        """Publish it beside the weights."""
        publish_json(path, _told(self))


def read_job(path: Path) -> TrainingJob | EncodingJob:
    """The job saved in a file.

    Raises:
        ValueError: no JSON, an unknown or missing field, a wrong type or range; the message names file and field.
    """
    told = _read(path)
    kinds: dict[Any, type[TrainingJob | EncodingJob]] = {"training": TrainingJob, "encoding": EncodingJob}
    kind = told.pop("job", None)
    if kind not in kinds:
        raise ValueError(f"{path}: job is {kind!r}, it must be one of {sorted(kinds)}")
    return _built(kinds[kind], told, str(path))


def read_model_specification(path: Path) -> ModelSpecification:
    """The `specification.json` of a published model.

    Raises:
        ValueError: as `read_job`.
    """
    return _built(ModelSpecification, _read(path), str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except ValueError as error:  # broken JSON or broken UTF-8
        raise ValueError(f"{path}: no JSON: {error}") from None
    if not isinstance(told, dict):
        raise ValueError(f"{path}: holds {type(told).__name__}, not an object of fields")
    return told


def _told(value: Any) -> Any:
    """A specification as JSON can tell it."""
    if dataclasses.is_dataclass(value):
        return {item.name: _told(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_told(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _built(kind: type[_Kind], told: dict[str, Any], where: str) -> _Kind:
    """A specification from what JSON told, its own ranges checked by itself."""
    hints = typing.get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(told) - set(fields))
    missing = sorted(name for name, item in fields.items() if name not in told and item.default is dataclasses.MISSING)
    if unknown or missing:
        raise ValueError(f"{where}: unknown fields {unknown}, missing fields {missing}; known are {sorted(fields)}")
    values = {name: _value(hints[name], value, f"{where}: {name}") for name, value in told.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _value(hint: Any, told: Any, where: str) -> Any:
    """One field's value, refused where its type is another: a bool is no int, an int is a float."""
    if dataclasses.is_dataclass(hint):
        if not isinstance(told, dict):
            raise ValueError(f"{where} must be an object of fields, not {told!r}")
        return _built(typing.cast("type[Any]", hint), told, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(told, list):
            raise ValueError(f"{where} must be a list, not {told!r}")
        return tuple(_value(get_args(hint)[0], item, f"{where}[{position}]") for position, item in enumerate(told))
    if typing.get_origin(hint) is Literal:
        if told not in get_args(hint):
            raise ValueError(f"{where} must be one of {list(get_args(hint))}, not {told!r}")
        return told
    accepted = {float: (int, float), Path: (str,)}.get(hint, (hint,))
    if not isinstance(told, accepted) or isinstance(told, bool):
        raise ValueError(f"{where} must be {hint.__name__}, not {told!r}")
    return hint(told)


def _check(holds: bool, name: str, valid: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {valid}, not {value!r}")
