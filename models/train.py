"""The training loop: a task, batches and an optimiser. It knows no goal and no storage."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.batches import Batch, TrainingBatches
from models.ema import Average
from models.gang import Gang
from models.margins import Margins
from models.position import Position
from models.room import GangRoomError, Room
from models.sampler import batches_in
from models.schedule import learning_rate, peak_rate
from models.settings import TrainingSettings
from models.tasks import Loss, Task


class NonFiniteLossError(FloatingPointError):
    """The loss of a batch is not a number or infinite: weights would be lost by going on."""

    def __init__(self, epoch: int, batch: int, step: int, image_id: npt.NDArray[np.int64]) -> None:
        """`image_id` are the images of the batch that this process held."""
        super().__init__(f"the loss is not finite at step {step} (epoch {epoch + 1}, batch {batch + 1})")
        self.image_id = image_id


class StoppedError(Exception):
    """Training was asked to stop, and has saved where it stands."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """All that the loop works with; assembled by the worker."""

    network: nn.Module  # as `Gang.wrap` gave it
    optimizer: torch.optim.Optimizer
    task: Task
    batches: TrainingBatches
    settings: TrainingSettings
    gang: Gang
    margins: Margins  # of the batches' source
    average: Average | None  # of the weights, where one is kept
    #: top-1 share on the val split, or None without one; every process calls it
    evaluate: Callable[[], float | None]
    #: whether this process was asked to stop
    stop_asked: Callable[[], bool]
    #: told the new position after every batch, and whether it is the last because a process was asked to stop
    after_batch: Callable[[Position, bool], None]
    #: told the position after every epoch; its curve ends with the epoch's row
    after_epoch: Callable[[Position], None]
    room: Room = field(default_factory=Room)


@dataclass(frozen=True)
class Plan:
    """How many steps each epoch takes, and the learning rate of each."""

    settings: TrainingSettings
    batches: list[int]  # of each epoch

    @classmethod
    def of(cls, settings: TrainingSettings, batches: TrainingBatches) -> Self:
        """The plan of a whole training."""
        images = [batches.images(epoch) for epoch in range(settings.epochs)]
        return cls(settings, [batches_in(count, settings.batch_size) for count in images])

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted over all epochs."""
        steps = sum(self.batches)
        return learning_rate(
            step,
            steps=steps,
            warmup_steps=round(steps * self.settings.warmup_epochs / self.settings.epochs),
            peak=peak_rate(self.settings.base_learning_rate, self.settings.batch_size),
            schedule=self.settings.schedule,
        )


def train(training: Training, position: Position) -> None:
    """Go on from `position` to the end of the last epoch, keeping `position` up to date.

    Raises:
        NonFiniteLossError: the loss of this process's part of a batch is not finite.
        StoppedError: a process was asked to stop; all have stopped after the same batch.
        OutOfMemoryError: the device has no room for one image.
        GangRoomError: it has no room for a piece, and other processes train as well.
    """
    plan = Plan.of(training.settings, training.batches)
    training.network.train()
    while position.epoch < training.settings.epochs:
        started = time.perf_counter() - position.seconds
        for batch in training.batches.read(position.epoch, range(position.batch, plan.batches[position.epoch])):
            share, margins = optimise(training, batch, position, plan.rate(position.step))
            loss, asked, everyones = combined(training, batch, share, margins)
            training.margins.record(batch.whole, everyones)
            position.batch += 1
            position.step += 1
            position.images += batch.images
            position.loss += loss * batch.images
            position.seconds = time.perf_counter() - started
            training.after_batch(position, asked)
            if asked:
                raise StoppedError
        _finish_epoch(training, position, plan.rate(position.step - 1), started)


def optimise(
    training: Training, batch: Batch, position: Position, rate: float
) -> tuple[float, npt.NDArray[np.float64]]:
    """One optimiser step; returns this process's share of the batch's loss, and the margins (b,) of its part.

    The processes' gradients are averaged where the whole batch's gradient is the sum of their shares, so each scales
    its loss by their number: the step is that of one process with the whole batch.
    """
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    told = _gradients(training, batch, position.step).double().cpu().numpy()
    share = float(told[0])
    if not math.isfinite(share):
        raise NonFiniteLossError(position.epoch, position.batch, position.step, batch.image_id)
    nn.utils.clip_grad_norm_(training.network.parameters(), training.settings.gradient_norm)
    training.optimizer.step()
    if training.average is not None:
        training.average.follow(position.step)
    return share, told[1:]


def _gradients(training: Training, batch: Batch, step: int) -> Tensor:
    """Leave the gradients of the global batch's loss with the parameters; returns [1 + b], loss share and margins.

    A process's part is cut into `accumulate` pieces, or into as many more as the device has room for. Where its memory
    runs out, all that the step has done is undone and done in smaller pieces: the step is the one that `accumulate`
    would have asked for. Only a process alone can do so: others would wait for its gradients of the first attempt, and
    all have to begin anew.
    """
    alone = training.gang.processes == 1
    buffers = list(training.network.buffers()) if alone else []
    before = [buffer.clone() for buffer in buffers]
    own = len(batch.image_id)
    while True:
        pieces = max(training.settings.accumulate, training.room.pieces(own))
        training.optimizer.zero_grad(set_to_none=True)
        # Whatever the network itself draws (dropout) depends on the step alone, so that no generator's state need be
        # saved.
        sequence = np.random.SeedSequence([training.batches.seed, step, training.gang.rank])
        torch.manual_seed(int(sequence.generate_state(1)[0]))
        try:
            return _of_pieces(training, list(batch.cut(pieces)))
        except torch.OutOfMemoryError as error:
            if not alone:
                raise GangRoomError(-(-own // pieces), error) from None
            training.room.halve(-(-own // pieces), error)
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)


def _of_pieces(training: Training, pieces: list[Batch]) -> Tensor:
    """As `_gradients`, of pieces that are in memory one at a time and whose gradients add up.

    The processes exchange them with the last. What is returned makes one transfer: each waits until the device has done
    all before.
    """
    losses = []
    for number, piece in enumerate(pieces, start=1):
        with training.gang.exchange(training.network, number == len(pieces)):
            loss = training.task.loss(training.network, piece)
            (loss.share * training.gang.processes).backward()  # type: ignore[no-untyped-call]
        losses.append(Loss(loss.share.detach(), loss.margins))
    share = torch.stack([loss.share for loss in losses]).sum() if len(losses) > 1 else losses[0].share
    return torch.cat([share.reshape(1), *(loss.margins for loss in losses)])


def combined(
    training: Training, batch: Batch, share: float, margins: npt.NDArray[np.float64]
) -> tuple[float, bool, npt.NDArray[np.float64]]:
    """The global batch's loss, whether any process was asked to stop, and the margins of the whole batch.

    One sum for all: each process leaves the places of the others' margins 0, so that theirs arrive unchanged.
    """
    told = np.zeros(2 + batch.images)
    told[0], told[1] = share, training.stop_asked()
    told[2 + batch.first :][: len(margins)] = margins
    told = training.gang.total(told)
    return float(told[0]), bool(told[1]), told[2:]


def _finish_epoch(training: Training, position: Position, rate: float, started: float) -> None:
    # Each process has normalised its own parts of the batches; one set of running statistics goes on.
    training.gang.share(training.network.buffers())
    if training.average is not None:
        training.gang.share(training.average.network.buffers())
    val_top1 = training.evaluate()
    row = {
        "seed": training.batches.seed,
        "epoch": position.epoch + 1,
        "images": position.images,
        "loss": position.loss / training.batches.images(position.epoch),
        "learning_rate": rate,
        "val_top1": val_top1,
        "seconds": time.perf_counter() - started,
    }
    position.curve.append(row)
    position.epoch += 1
    position.batch, position.loss, position.seconds = 0, 0.0, 0.0
    training.after_epoch(position)
