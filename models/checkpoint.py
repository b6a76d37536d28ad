"""Whole training state <-> published files: a killed training goes on from the last one that is whole."""

import dataclasses
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from models.ema import Average
from models.margins import Margins
from models.networks import Classifier, build_network
from models.position import Position
from models.specification import ModelSpecification, read_model_specification
from pipeline.storage.atomic import atomic_file, publish_bytes
from pipeline.storage.verify import require_sound

KEPT = 2  # checkpoints: the newest, and the one before in case the disk spoils the newest
_DIGEST_BYTES = hashlib.sha256().digest_size
WEIGHTS = "model.safetensors"
SPECIFICATION = "specification.json"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training in a folder of their own: a sha256 digest, then what torch saved.

    Holds weights and their mean, momentum, margins and position. No generator's state: every draw depends on seed and
    position.
    """

    folder: Path
    network: Classifier
    optimizer: torch.optim.Optimizer
    margins: Margins
    average: Average | None = None  # of the weights, where one is kept

    def save(self, position: Position) -> None:
        """Publish the state of now, and drop what is older than the last two."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.network.state_dict(),
            "margins": self.margins.state(),
            "position": dataclasses.asdict(position),
        }
        stream = io.BytesIO()
        torch.save(state, stream)
        data = stream.getvalue()
        publish_bytes(self.folder / f"step-{position.step:09d}.pt", hashlib.sha256(data).digest() + data)
        for old in self._newest_first()[KEPT:]:
            old.unlink()

    def restore(self, device: torch.device, tell: Callable[[str], None]) -> Position:
        """Load the newest whole checkpoint into network, optimiser and margins; a fresh position where there is none.

        Args:
            device: where network and optimiser lie.
            tell: receives a sentence for each damaged checkpoint and for the one gone on from.
        """
        for path in self._newest_first():
            data = path.read_bytes()
            if hashlib.sha256(data[_DIGEST_BYTES:]).digest() != data[:_DIGEST_BYTES]:
                tell(f"checkpoint {path.name} is damaged and is passed over")
                continue
            state: dict[str, Any] = torch.load(io.BytesIO(data[_DIGEST_BYTES:]), map_location=device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.network.load_state_dict(state["average"])
            self.margins.restore(state["margins"])
            position = Position(**state["position"])
            tell(f"going on after step {position.step} (epoch {position.epoch + 1}, batch {position.batch})")
            return position
        return Position()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def save_model(folder: Path, network: nn.Module, specification: ModelSpecification) -> None:
    """Publish `model.safetensors` and `specification.json`; equal weights give equal bytes."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_file(folder / WEIGHTS) as temporary:
        # Not `save_file`, which hides a full disk in an error of its own.
        temporary.write_bytes(safetensors.torch.save(weights))
    specification.save(folder / SPECIFICATION)


def load_model(folder: Path) -> tuple[Classifier, ModelSpecification]:
    """A published model, ready to be applied.

    Raises:
        DamagedError: the weights are not those that were published.
        ValueError: the specification is broken, or the weights are of another network.
    """
    require_sound(folder / WEIGHTS)
    specification = read_model_specification(folder / SPECIFICATION)
    network = build_network(specification.settings.network, specification.classes, specification.seed)
    try:
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{folder / WEIGHTS} does not fit its specification: {error}") from None
    return network.eval(), specification
