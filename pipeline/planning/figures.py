"""What a plan counts: of a crawl, of what is asked for, and of a machine."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class CrawlFigures:
    """What the listings of all crawls of a run say, added up."""

    images: int  # listed
    train: int
    val: int
    test: int
    class_sizes: tuple[int, ...]  # training images of each class of the catalogue
    text_coverage: float  # share of the training images that have a text

    @property
    def classes(self) -> int:
        """Of the catalogue."""
        return len(self.class_sizes)

    @property
    def largest_class(self) -> int:
        """Training images of the largest class."""
        return max(self.class_sizes, default=0)

    @property
    def clean(self) -> int:
        """Images of val and test."""
        return self.val + self.test

    def sizes(self) -> npt.NDArray[np.int64]:
        """(C,) training images of each class."""
        return np.array(self.class_sizes, np.int64)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What of the settings decides how long a run takes."""

    recipes: tuple[str, ...]  # in the order they are trained in, teachers among them
    #: recipe -> images of one of its epochs, as a share of the training images
    epoch_shares: Mapping[str, float]
    #: recipe -> recipes it learns from
    teachers: Mapping[str, tuple[str, ...]]
    epochs: int
    folds: int  # networks of a cross-fitted baseline
    ensembles: bool
    own_features: bool  # from the baseline, not from given weights
    predict_training: bool
    stored_teachers: bool  # asked once about each whole picture, not with every batch
    square: int  # images of a class up to which all pairs are compared
    exact_images: int  # up to which every pair of all images is compared
    probes: int  # cells that are searched


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine, this one or one that is only described. None: unknown, and nothing is warned of."""

    name: str
    cores: int
    core_speed: float = 1.0  # of this machine's cores
    memory_gb: float | None = None
    disk_gb: float | None = None  # free
    disk_mb_s: float | None = None  # written one after another
    gpus: int = 0
    gpu_tflops: float | None = None  # stated peak of one, at the precision that is trained in
    gpu_utilisation: float = 0.3  # share of that peak which trainings are assumed to reach

    def __post_init__(self) -> None:
        """Refuse what no machine is."""
        for name in ("cores", "core_speed", "memory_gb", "disk_gb", "disk_mb_s", "gpu_tflops"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"machine.{name} must be above 0, not {value}")
        if self.gpus < 0:
            raise ValueError(f"machine.gpus must be at least 0, not {self.gpus}")
        if not 0 < self.gpu_utilisation <= 1:
            raise ValueError(f"machine.gpu_utilisation must be in (0, 1], not {self.gpu_utilisation}")
        if self.gpus and self.gpu_tflops is None:
            raise ValueError("machine.gpu_tflops must be given where there are GPUs: the stated peak of one")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A quantity that grows with the units of a stage: `start + fixed + per_unit * units`."""

    start: float = 0.0  # once a run: what is loaded the first time
    fixed: float = 0.0
    per_unit: float = 0.0

    def of(self, units: float) -> float:
        """At so many units."""
        return self.start + self.fixed + self.per_unit * units

    @classmethod
    def through(cls, first: float | None, small: tuple[float, float], large: tuple[float, float]) -> Self:
        """The line through two measurements (units, value), neither constant nor slope below 0.

        Args:
            first: what the small one took when it ran for the very first time; None where that is no matter.
            small: a few units.
            large: more of them.
        """
        (few, little), (many, much) = small, large
        slope = max(0.0, (much - little) / (many - few)) if many > few else much / max(many, 1)
        fixed = max(0.0, little - slope * few)
        return cls(start=max(0.0, (first or little) - little), fixed=fixed, per_unit=slope)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a calibration measured on this machine; seconds of wall time with the run's own number of workers."""

    cores: int  # that worked on it
    device: str  # that networks ran on
    devices: int
    #: stage -> seconds by its units (`laws.UNITS`)
    seconds: Mapping[str, Line]
    #: stage -> bytes on the disk by its images (`laws.ROWS`)
    disk: Mapping[str, Line]
    #: stage -> peak megabytes of the sample, this process and its children together
    memory_mb: Mapping[str, float]
    #: kind of evidence -> (images of a class, seconds of one class on one worker), ascending
    in_class: Mapping[str, tuple[tuple[int, float], ...]]
    products: float  # of two vectors of the features, a second, all workers together
    features: int  # numbers in a vector
    launch: float  # seconds from asking for a training to its first step, and from its last to the published model
    train_images: float  # a second
    forward_images: float  # a second, of the network that is trained
    feature_images: float  # a second, of the network that features come from
    forward_flops: float  # of one image, by the network that is trained
    feature_flops: float  # of one image, by the network that features come from

    def as_json(self) -> dict[str, Any]:
        """For a document of the store."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """What `as_json` told."""
        lines = {name: {stage: Line(**line) for stage, line in told[name].items()} for name in ("seconds", "disk")}
        steps = {kind: tuple((int(n), float(s)) for n, s in steps) for kind, steps in told["in_class"].items()}
        return cls(**{**told, **lines, "in_class": steps})
