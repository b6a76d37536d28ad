"""What happens beside a training's loop: lines for people, checkpoints for the next attempt."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from models.batches import TrainingBatches
from models.checkpoint import Checkpoints
from models.position import Position
from models.specification import TrainingJob

PROGRESS_SECONDS = 1.0  # between two lines of progress
Emit = Callable[[dict[str, Any]], None]


@dataclass
class Progress:
    """Lines of progress, a second apart at least."""

    emit: Emit
    told: float = -PROGRESS_SECONDS

    def report(self, done: int, total: int) -> None:
        """Tell how many images are done, unless the last line is too fresh."""
        now = time.monotonic()
        if now - self.told >= PROGRESS_SECONDS or done == total:
            self.told = now
            self.emit({"event": "progress", "done": done, "total": total, "unit": "images"})


@dataclass
class Watch:
    """Tells of every batch and epoch, and saves the state in time."""

    job: TrainingJob
    progress: Progress
    checkpoints: Checkpoints | None  # of rank 0
    batches: TrainingBatches
    total: int = field(init=False)  # images of the whole training
    saved: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Counts what there is to do."""
        self.total = sum(self.batches.images(epoch) for epoch in range(self.job.settings.epochs))

    def after_batch(self, position: Position, last: bool) -> None:
        """Tell of it, and save where it is time or the last chance."""
        self.progress.report(position.images, self.total)
        due = time.monotonic() - self.saved >= self.job.checkpoint_seconds
        if self.checkpoints is not None and (due or last):
            self.checkpoints.save(position)
            self.saved = time.monotonic()

    def after_epoch(self, position: Position) -> None:
        """Tell the epoch's row of the curve."""
        self.progress.emit({"event": "epoch", **position.curve[-1], "epochs": self.job.settings.epochs})
