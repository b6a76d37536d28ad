"""Everything that decides a training's result, apart from its data and its seed. No torch here."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, get_args

from models.names import check_network
from models.saved import check

Schedule = Literal["cosine", "step"]
Optimizer = Literal["sgd", "lars"]
Weighting = Literal["loss", "sampling"]
TeacherView = Literal["same", "stored"]
Begin = Literal["anew", "last"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The settings of one training; what each does exactly is told in docs/training.md."""

    #: one of NETWORK_NAMES, or torchvision:NAME or timm:NAME
    network: str = "resnet18"
    #: times the manifest is gone through
    epochs: int = 15
    #: images of one optimiser step, over all processes together
    batch_size: int = 128
    #: peak learning rate for a batch of 256 images; it grows linearly with the batch (Goyal et al., 2017)
    base_learning_rate: float = 0.1
    #: epochs of linear warm-up before the schedule; may be a part of one
    warmup_epochs: float = 1.0
    #: Nesterov momentum of SGD, plain momentum of LARS, [0, 1)
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
    #: "cosine" to zero, or "step": a tenth after 30, 60 and 90 percent of the training
    schedule: Schedule = "cosine"
    #: "lars" for batches of many thousand images, whose base_learning_rate is another (You et al., 2017)
    optimizer: Optimizer = "sgd"
    #: what an image's weight is: a factor of its "loss", or of its chance of being drawn ("sampling")
    weighting: Weighting = "loss"
    #: shares of the epochs, ascending in (0, 1), after which stages 1, 2, ... of a curriculum open; () is evenly
    stage_starts: tuple[float, ...] = ()
    #: alpha of mixup's Beta distribution (Zhang et al., 2018); 0 mixes nothing, 0.2 is usual
    mixup: float = 0.0
    #: decay of the running mean of the weights, which is then what is evaluated and published, [0, 1); 0 keeps none
    ema_decay: float = 0.0
    #: parts that a process's images of a batch are cut into, one in memory at a time; the step is that of all together
    accumulate: int = 1
    #: compile the network (torch.compile), which takes minutes at the start and then less time a step
    compile: bool = False
    #: file of weights to begin with (safetensors, or a torch state dict); without one they are drawn from the seed
    weights: str | None = None
    #: "last" goes on from the weights of the recipe's last model of the same seed and network, where there is one
    begin: Begin = "anew"
    #: softens what teacher and student say before they are compared, > 0; only of distillation, as the next two
    temperature: float = 2.0
    #: share of the label in a student's loss, [0, 1]; the rest is the teacher's
    label_share: float = 0.5
    #: teachers are asked about the "same" augmented pictures, or once about each whole picture ("stored")
    teacher_view: TeacherView = "same"

    def __post_init__(self) -> None:
        """Raises ValueError naming the first field out of its range."""
        check_network(self.network)
        for name, holds, valid in (*self._ranges_of_steps(), *self._ranges_of_pictures()):
            check(holds, name, valid, getattr(self, name))
        for name, choices in (
            ("schedule", Schedule),
            ("optimizer", Optimizer),
            ("weighting", Weighting),
            ("begin", Begin),
            ("teacher_view", TeacherView),
        ):
            check(getattr(self, name) in get_args(choices), name, f"one of {get_args(choices)}", getattr(self, name))

    def _ranges_of_steps(self) -> Iterator[tuple[str, bool, str]]:
        yield "epochs", self.epochs >= 1, "at least 1"
        yield "batch_size", self.batch_size >= 1, "at least 1 image"
        yield "base_learning_rate", 0 < self.base_learning_rate < math.inf, "above 0"
        yield "warmup_epochs", 0 <= self.warmup_epochs <= self.epochs, "in [0, epochs]"
        yield "momentum", 0 <= self.momentum < 1, "in [0, 1)"
        yield "weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"
        yield "gradient_norm", 0 < self.gradient_norm < math.inf, "above 0"
        yield "ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)"
        yield "accumulate", self.accumulate >= 1, "at least 1 part"
        starts = (0.0, *self.stage_starts, 1.0)
        ascending = all(before < after for before, after in pairwise(starts))
        yield "stage_starts", ascending, "shares of the epochs, ascending in (0, 1)"

    def _ranges_of_pictures(self) -> Iterator[tuple[str, bool, str]]:
        yield "label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)"
        yield "crop_area", 0 < self.crop_area <= 1, "in (0, 1]"
        yield "crop_aspect", 1 <= self.crop_aspect < math.inf, "at least 1"
        yield "flip", 0 <= self.flip <= 1, "in [0, 1]"
        yield "mixup", 0 <= self.mixup < math.inf, "at least 0"
        yield "temperature", 0 < self.temperature < math.inf, "above 0"
        yield "label_share", 0 <= self.label_share <= 1, "in [0, 1]"

    def untaught(self) -> "TrainingSettings":
        """The same for a network without a teacher: what only distillation reads is as if nothing had been said."""
        return dataclasses.replace(self, **{name: _DEFAULTS[name] for name in _OF_TEACHING})

    def told(self, *, taught: bool) -> dict[str, Any]:
        """The settings as an identity tells them: what only distillation reads, only where there is a teacher.

        A setting that came later and is off is not told, so that it redoes nothing that was trained before it.
        """
        silent = {name for name in _LATER if getattr(self, name) == _DEFAULTS[name]}
        silent.update(() if taught else _OF_TEACHING)
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in silent}


_DEFAULTS: Final[dict[str, Any]] = {item.name: item.default for item in dataclasses.fields(TrainingSettings)}
_OF_TEACHING: Final = ("temperature", "label_share", "teacher_view")
_LATER: Final = (
    "schedule",
    "optimizer",
    "weighting",
    "stage_starts",
    "mixup",
    "ema_decay",
    "accumulate",
    "compile",
    "weights",
    "begin",
)
