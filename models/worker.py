"""torchrun's entry: read a saved job, assemble its parts, run it.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m models.worker JOB.json

Rank 0 tells what happens on the standard output, one JSON object a line:

    {"event": "progress", "done": 512, "total": 11000, "unit": "images"}
    {"event": "epoch", "epochs": 30, ...a row of CURVE...}
    {"event": "message", "text": "..."}

A rank that fails tells {"event": "error", "text": "...", "lost": false} before its traceback; "lost" says that it only
failed because another has gone, and that the job may well succeed if it is started again; "images", if it is there,
that so many at once were too many for its device. With a second argument "watched" the process ends when its standard
input does, and so with whoever started it, however that one ended; a third is the most images that it puts on its
device at once in a training.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import torch

from models.batches import TrainingBatches
from models.checkpoint import SPECIFICATION, WEIGHTS, Checkpoints, save_model
from models.data import TrainingSet, load_splits, load_training_set
from models.ema import Average
from models.encode import encode, load_encoder
from models.evaluate import top1
from models.gang import Gang, has_bfloat16, join_gang, leave_gang, lost_another
from models.initial import take_weights
from models.margins import Margins
from models.networks import Classifier, build_network
from models.optimizers import make_optimizer
from models.position import Position
from models.room import GangRoomError, Room
from models.sampler import batches_in
from models.specification import EncodingJob, ModelSpecification, TrainingJob, read_job
from models.tasks import Classification, Distillation, Task
from models.teachers import load_teachers
from models.train import NonFiniteLossError, StoppedError, Training, train
from models.watch import Emit, Progress, Watch
from pipeline.result_tables import CURVE, MARGINS
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.atomic import publish_json
from pipeline.storage.draft import Draft
from pipeline.storage.tables import write_table

WATCH_SECONDS = 1.0  # between two looks for the parent process
GRACE_SECONDS = 15.0  # from losing the launcher to a hard exit: time to write a checkpoint
STOPPED = 128 + signal.SIGTERM  # exit status of a training that saved its state and stopped


def main() -> None:
    """Run the job named on the command line."""
    sys.excepthook = _tell_error
    if sys.argv[2:3] == ["watched"]:
        threading.Thread(target=_end_with_launcher, args=(os.getppid(),), daemon=True).start()
    job = read_job(Path(sys.argv[1]))
    gang = join_gang()
    emit = _print if gang.rank == 0 else _drop
    try:
        if isinstance(job, TrainingJob):
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            run_training(job, gang, emit, stop.is_set, most=next(map(int, sys.argv[3:]), None))
        else:
            run_encoding(job, gang, emit)
    except StoppedError:
        _print({"event": "error", "text": "it was asked to stop, and saved a checkpoint", "lost": False})
        sys.exit(STOPPED)
    finally:
        leave_gang()


def run_encoding(job: EncodingJob, gang: Gang, emit: Emit) -> None:
    """Make the features or predictions of `job` that no earlier attempt finished."""
    encode(job, load_encoder(job.model, gang, Room(_teller(emit))), Progress(emit).report)


def run_training(
    job: TrainingJob, gang: Gang, emit: Emit, stop_asked: Callable[[], bool], *, most: int | None = None
) -> None:
    """Train as `job` says, from its last checkpoint if there is one, and publish the model in its folder.

    Args:
        job: what to train.
        gang: this process's place.
        emit: told what happens.
        stop_asked: whether this process was asked to stop.
        most: images to put on the device at once; None: as many as it has room for.

    Raises:
        ValueError: the job's data do not allow it.
        NonFiniteLossError: the batch's image ids have been saved.
        StoppedError: `stop_asked` said so in some process; a checkpoint has been written.
    """
    draft = Draft(job.out)
    if draft.finished(0) is None:
        _train(job, draft, gang, emit, stop_asked, Room(_teller(emit), most))
    if gang.rank == 0:
        shutil.rmtree(job.out / "checkpoint", ignore_errors=True)


def _train(job: TrainingJob, draft: Draft, gang: Gang, emit: Emit, stop_asked: Callable[[], bool], room: Room) -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs 9% of a step
    settings = job.settings
    source = load_training_set(job.manifest, job.crawls, job.classes)
    task, taught = _task(job, gang, source)
    batches = TrainingBatches(
        source=source, settings=settings, seed=job.seed, rank=gang.rank, processes=gang.processes, taught=taught
    )
    _check_batches(batches)
    network = build_network(settings.network, job.classes, job.seed)
    if job.weights is not None:
        for sentence in take_weights(network, job.weights):
            emit({"event": "message", "text": sentence})
    network = network.to(gang.device)
    margins, average = Margins.unseen(len(source)), Average.kept(network, settings.ema_decay)
    checkpoints = Checkpoints(job.out / "checkpoint", network, make_optimizer(network, settings), margins, average)
    position = checkpoints.restore(gang.device, _teller(emit))
    best = network if average is None else average.network
    val = load_splits(job.crawls, ("val",))
    watch = Watch(job, Progress(emit), checkpoints if gang.rank == 0 else None, batches)
    if settings.compile:
        network.compile()
    training = Training(
        network=gang.wrap(network),
        optimizer=checkpoints.optimizer,
        task=task,
        batches=batches,
        settings=settings,
        gang=gang,
        margins=margins,
        average=average,
        evaluate=lambda: top1(best, val, gang),
        stop_asked=stop_asked,
        after_batch=watch.after_batch,
        after_epoch=watch.after_epoch,
        room=room,
    )
    try:
        train(training, position)
    except NonFiniteLossError as error:
        path = job.out / "checkpoint" / f"non-finite-{gang.rank}.json"
        publish_json(path, {"error": str(error), "image_id": error.image_id.tolist()})
        error.add_note(f"the ids of its images are in {path}")
        raise
    if gang.rank == 0:
        _publish(job, draft, best, source, margins, position)


def _teller(emit: Emit) -> Callable[[str], None]:
    return lambda text: emit({"event": "message", "text": text})


def _task(job: TrainingJob, gang: Gang, source: TrainingSet) -> tuple[Task, tuple[ArrayShards, ...]]:
    """What the job trains for, and what teachers have said beforehand."""
    labels = Classification(settings=job.settings, device=gang.device, autocast=has_bfloat16(gang.device))
    if not job.teachers:
        return labels, ()
    teachers, taught = load_teachers(job.teachers, gang.device, job.classes, source.pixels.row_shape[0])
    return Distillation(labels=labels, teachers=teachers), taught


def _check_batches(batches: TrainingBatches) -> None:
    images = batches.images(0)
    smallest = images // batches_in(images, batches.settings.batch_size)
    if smallest < batches.processes:
        raise ValueError(f"batches of {smallest} images cannot be shared by {batches.processes} processes")


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


def _print(event: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever listened has gone: the job ends as it does when he stays
        sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")  # one write: the ranks' lines do not mix
        sys.stdout.flush()


def _drop(event: dict[str, Any]) -> None:
    """What the other ranks tell of their progress: rank 0 tells it for all."""


def _tell_error(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    text = "; ".join([f"{kind.__name__}: {error}", *getattr(error, "__notes__", [])])
    images = {"images": error.images} if isinstance(error, GangRoomError) else {}
    _print({"event": "error", "text": text[:2000], "lost": lost_another(error), **images})
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
