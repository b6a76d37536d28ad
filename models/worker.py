"""torchrun's entry: read a saved job, assemble its parts, run it.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m models.worker JOB.json

Rank 0 tells what happens on the standard output, one JSON object a line:

    {"event": "progress", "done": 512, "total": 11000, "unit": "images"}
    {"event": "epoch", "epochs": 30, ...a row of CURVE...}
    {"event": "message", "text": "..."}

A rank that fails tells {"event": "error", "text": "..."} before its traceback. With a second argument "watched" the
process ends when its standard input does, and so with whoever started it, however that one ended.
"""

import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import torch

from models.checkpoint import SPECIFICATION, WEIGHTS, Checkpoints, save_model
from models.data import TrainingBatches, TrainingSet, load_splits, load_training_set
from models.encode import encode, load_encoder
from models.evaluate import top1
from models.gang import Gang, has_bfloat16, join_gang, leave_gang
from models.margins import Margins
from models.networks import Classifier, build_network
from models.sampler import batches_in
from models.specification import EncodingJob, ModelSpecification, TrainingJob, read_job
from models.tasks import Classification
from models.train import NonFiniteLossError, Position, StoppedError, Training, make_optimizer, train
from pipeline.records import CURVE, MARGINS
from pipeline.storage.artifacts import Draft
from pipeline.storage.atomic import publish_json
from pipeline.storage.tables import write_table

PROGRESS_SECONDS = 1.0  # between two lines of progress
WATCH_SECONDS = 1.0  # between two looks for the parent process
GRACE_SECONDS = 15.0  # from losing the launcher to a hard exit: time to write a checkpoint
STOPPED = 128 + signal.SIGTERM  # exit status of a training that saved its state and stopped
Emit = Callable[[dict[str, Any]], None]


def main() -> None:
    """Run the job named on the command line."""
    sys.excepthook = _tell_error
    if sys.argv[2:] == ["watched"]:
        threading.Thread(target=_end_with_launcher, args=(os.getppid(),), daemon=True).start()
    job = read_job(Path(sys.argv[1]))
    gang = join_gang()
    emit = _print if gang.rank == 0 else _drop
    try:
        if isinstance(job, TrainingJob):
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            run_training(job, gang, emit, stop.is_set)
        else:
            run_encoding(job, gang, emit)
    except StoppedError:
        sys.exit(STOPPED)
    finally:
        leave_gang()


def run_encoding(job: EncodingJob, gang: Gang, emit: Emit) -> None:
    """Make the features or predictions of `job` that no earlier attempt finished."""
    encode(job, load_encoder(job.model, gang), Progress(emit).report)


def run_training(job: TrainingJob, gang: Gang, emit: Emit, stop_asked: Callable[[], bool]) -> None:
    """Train as `job` says, from its last checkpoint if there is one, and publish the model in its folder.

    Raises:
        ValueError: the job's data do not allow it.
        NonFiniteLossError: the batch's image ids have been saved.
        StoppedError: `stop_asked` said so in some process; a checkpoint has been written.
    """
    draft = Draft(job.out)
    if draft.finished(0) is None:
        _train(job, draft, gang, emit, stop_asked)
    if gang.rank == 0:
        shutil.rmtree(job.out / "checkpoint", ignore_errors=True)


def _train(job: TrainingJob, draft: Draft, gang: Gang, emit: Emit, stop_asked: Callable[[], bool]) -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs 9% of a step
    batches = _batches(job, gang)
    network = build_network(job.settings.network, job.classes, job.seed).to(gang.device)
    margins = Margins.unseen(len(batches.source))
    checkpoints = Checkpoints(job.out / "checkpoint", network, make_optimizer(network, job.settings), margins)
    position = checkpoints.restore(gang.device, lambda text: emit({"event": "message", "text": text}))
    val = load_splits(job.crawls, ("val",))
    watch = Watch(job, Progress(emit), checkpoints if gang.rank == 0 else None, batches)
    training = Training(
        network=gang.wrap(network),
        optimizer=checkpoints.optimizer,
        task=Classification(settings=job.settings, device=gang.device, autocast=has_bfloat16(gang.device)),
        batches=batches,
        settings=job.settings,
        gang=gang,
        margins=margins,
        evaluate=lambda: top1(network, val, gang),
        stop_asked=stop_asked,
        after_batch=watch.after_batch,
        after_epoch=watch.after_epoch,
    )
    try:
        train(training, position)
    except NonFiniteLossError as error:
        path = job.out / "checkpoint" / f"non-finite-{gang.rank}.json"
        publish_json(path, {"error": str(error), "image_id": error.image_id.tolist()})
        error.add_note(f"the ids of its images are in {path}")
        raise
    if gang.rank == 0:
        _publish(job, draft, network, batches.source, margins, position)


def _batches(job: TrainingJob, gang: Gang) -> TrainingBatches:
    batches = TrainingBatches(
        source=load_training_set(job.manifest, job.crawls, job.classes),
        batch_size=job.settings.batch_size,
        epochs=job.settings.epochs,
        seed=job.seed,
        rank=gang.rank,
        processes=gang.processes,
    )
    smallest = batches.images(0) // batches_in(batches.images(0), job.settings.batch_size)
    if smallest < gang.processes:
        raise ValueError(f"batches of {smallest} images cannot be shared by {gang.processes} processes")
    return batches


def _publish(
    job: TrainingJob, draft: Draft, network: Classifier, source: TrainingSet, margins: Margins, position: Position
) -> None:
    specification = ModelSpecification(
        settings=job.settings,
        seed=job.seed,
        classes=job.classes,
        image_size=source.pixels.row_shape[0],
        features=network.head.in_features,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )
    save_model(job.out, network, specification)
    curve = draft.table("curve") / "part-00000.parquet"
    rows = write_table(curve, CURVE, [pa.Table.from_pylist(position.curve, CURVE)])
    seen = draft.table("margins") / "part-00000.parquet"
    seen_rows = write_table(seen, MARGINS, [margins.table(source.image_id)])
    facts = {
        "network": job.settings.network,
        "parameters": specification.parameters,
        "epochs": job.settings.epochs,
        "images": position.images,
        "top1_val": position.curve[-1]["val_top1"],
    }
    draft.finish(0, {job.out / WEIGHTS: 1, job.out / SPECIFICATION: 1, curve: rows, seen: seen_rows}, facts)


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
    """What happens beside the loop: lines for people, checkpoints for the next attempt."""

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


def _print(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")  # one write: the ranks' lines do not mix
    sys.stdout.flush()


def _drop(event: dict[str, Any]) -> None:
    """What the other ranks tell of their progress: rank 0 tells it for all."""


def _tell_error(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    text = "; ".join([f"{kind.__name__}: {error}", *getattr(error, "__notes__", [])])
    _print({"event": "error", "text": text[:2000]})
    sys.__excepthook__(kind, error, at)


def _end_with_launcher(parent: int) -> None:
    """Stop this process once torchrun is gone, or whoever holds the other end of the standard input.

    Nothing is ever sent there: it becomes readable when it ends.
    """
    while os.getppid() == parent and not select.select([sys.stdin], [], [], WATCH_SECONDS)[0]:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
