"""Starting a job under torchrun and ending it: no process outlives the call. No torch here."""

import contextlib
import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

RESTARTS = 3  # in a row after which a job that gets no further is given up
TAIL_LINES = 40  # of the error output that an error quotes
ANEW = "all start anew, from what was saved last"
GRACE_SECONDS = 20.0  # from SIGTERM to SIGKILL: time to write a checkpoint
Event = dict[str, Any]


class TrainingError(RuntimeError):
    """A job's processes failed; the message holds the cause, the exit status and the last lines they wrote."""


def launch(job_file: Path, processes: int, on_event: Callable[[Event], None]) -> None:
    """Run a saved job on this machine and return when it is done.

    Where a process is killed or lost, all are started anew and go on from the last checkpoint or finished part, with a
    rendezvous of their own: torchrun's restarts share one, in which the next attempt may meet the last one's traces.
    So it is where several train and the device of one has no room for its piece of a batch, with pieces half as large.

    Args:
        job_file: what `TrainingJob.save` or `EncodingJob.save` wrote.
        processes: of the job, at least 1; one per device where there are several.
        on_event: told each event of rank 0 as it happens (see `models.worker`), in the calling thread.

    Raises:
        ValueError: `processes` is below 1.
        TrainingError: a process failed by itself, or was lost RESTARTS times without the job getting any further. What
            was finished or saved as a checkpoint stays, and the next call goes on.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    furthest, restarts = 0, 0
    most: list[str] = []  # images at once, once it is known that there is no room for more
    while True:
        attempt = _attempt([str(job_file.resolve()), "watched", *most], processes, on_event)
        if attempt.status == 0:
            return
        if attempt.too_many > 1:
            most = [str(attempt.too_many // 2)]
            text = f"the device has no room for {attempt.too_many} images at once: {ANEW}, with at most {most[0]}"
            on_event({"event": "message", "text": text})
            continue
        restarts = 0 if attempt.reached > furthest else restarts + 1
        furthest = max(furthest, attempt.reached)
        # A negative status is a signal to torchrun itself, from somebody who wants all of it to end.
        if attempt.cause is not None or attempt.status < 0 or restarts > RESTARTS:
            cause = attempt.cause or "a process was lost and told no cause; was it killed, for want of memory perhaps?"
            raise TrainingError(f"{job_file.name} failed with exit status {attempt.status}: {cause}\n{attempt.tail}")
        on_event({"event": "message", "text": f"a process was lost: {ANEW}"})


@dataclass(frozen=True)
class _Attempt:
    """How one gang ended."""

    status: int  # of torchrun
    reached: int  # images done, as its last line of progress told
    cause: str | None  # what a process failed of by itself; None where it merely lost another
    too_many: int  # images for which a device had no room; 0 where it had
    tail: str  # of the error output


def _attempt(job: list[str], processes: int, on_event: Callable[[Event], None]) -> _Attempt:
    cause, reached, too_many = None, 0, 0
    with _started(job, processes) as (gang, tail):
        for event in _events(gang.stdout):
            if event["event"] == "error":
                cause = cause if event["lost"] else event["text"]
                too_many = event.get("images", too_many)
                continue
            if event["event"] == "progress":
                reached = event["done"]
            on_event(event)
        status = gang.wait()
    return _Attempt(status, reached, cause, too_many, "".join(tail))


@contextlib.contextmanager
def _started(job: list[str], processes: int) -> Iterator[tuple[subprocess.Popen[str], deque[str]]]:
    """The running gang and the latest lines of its error output; all of it has ended when the block is left."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with subprocess.Popen(
        [*command, "-m", "models.worker", *job],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # a Ctrl-C at the terminal reaches this process alone, which then ends the others
    ) as gang:
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        reader = threading.Thread(target=tail.extend, args=(gang.stderr,), daemon=True)
        reader.start()
        try:
            yield gang, tail
        finally:
            _end(gang)
            reader.join()


def _end(gang: subprocess.Popen[str]) -> None:
    """End torchrun and its workers: asked first, so that a training saves a checkpoint, then by force.

    torchrun puts every worker in a session of its own, where no signal to its group arrives. Should torchrun or this
    very process be killed, the workers end by themselves: their standard input closes, or their parent is gone.
    """
    if gang.poll() is not None:
        return
    torchrun = psutil.Process(gang.pid)
    members = [torchrun, *torchrun.children(recursive=True)]
    gang.terminate()
    _, alive = psutil.wait_procs(members, timeout=GRACE_SECONDS)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()


def _events(stream: IO[str] | None) -> Iterator[Event]:
    """The lines of a gang's output as events; what is no event is a message of some library."""
    for line in stream or ():
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        yield event if isinstance(event, dict) and "event" in event else {"event": "message", "text": line.rstrip()}
