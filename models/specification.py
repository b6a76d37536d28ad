"""What a training or an encoding is asked to do, saved as JSON and checked when read. No torch here."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from models.saved import as_json, built, check, read_object
from models.settings import TrainingSettings
from pipeline.records import Split
from pipeline.storage.atomic import publish_json

#: Mean and deviation of ImageNet's red, green and blue, as shares of 255: what the field's pretrained weights expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FORMAT = 1
SEEDS = 2**31  # a seed is below this: the tables keep it as int32

Output = Literal["features", "logits"]


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
class Teacher:
    """A trained model that a student learns from."""

    #: folder of `model.safetensors` and `specification.json`
    model: Path
    #: its share of what the teachers say together, above 0; only their ratio matters
    share: float = 1.0
    #: folder of float16 [usable, C] parts over all crawls, part k beside part k of the pixels: what it says of each
    #: whole picture; without one it is asked about every augmented picture
    logits: Path | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where the share is out of its range."""
        check(0 < self.share < math.inf, "share", "above 0", self.share)


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
    #: file of the weights to begin with, whose sha256 `settings.weights` tells
    weights: Path | None = None
    #: whom the network learns from beside the labels
    teachers: tuple[Teacher, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        check(len(self.crawls) > 0, "crawls", "at least one", 0)
        check(self.classes >= 1, "classes", "at least 1", self.classes)
        check(0 <= self.seed < SEEDS, "seed", "in [0, 2**31)", self.seed)
        check(0 <= self.checkpoint_seconds < math.inf, "checkpoint_seconds", "at least 0", self.checkpoint_seconds)
        stored = {teacher.logits is not None for teacher in self.teachers}
        check(len(stored) <= 1, "teachers", "all asked about the same picture, or all stored", self.teachers)

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
    #: logits of every usable image instead, as an array part beside each pixel part
    every_image: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        known = len(self.outputs) > 0 and set(self.outputs) <= set(get_args(Output))
        check(known, "outputs", f"some of {get_args(Output)}", self.outputs)
        check(len(self.crawls) > 0, "crawls", "at least one", 0)
        alone = "features" not in self.outputs or len(self.crawls) == 1
        check(alone, "crawls", "a single one where features are asked for", len(self.crawls))
        check(len(self.splits) > 0, "splits", "at least one", 0)

    @property
    def whole(self) -> bool:
        """Whether every image of a pixel part is asked for."""
        return "features" in self.outputs or self.every_image

    @property
    def tabled(self) -> bool:
        """Whether logits of some splits are asked for, as a table."""
        return "logits" in self.outputs and not self.every_image

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
