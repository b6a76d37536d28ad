"""Kills in the middle of work: every writing stage, the reading of the crawl, the whole command, a decoding process."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from benchmarks.faults.chain import NAME, reading, stages
from benchmarks.faults.copies import contents, copied
from benchmarks.faults.tally import Tally, hold
from pipeline.stages.listing import Crawl
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.atomic import TEMPORARY_SUFFIX
from pipeline.storage.tables import read_table
from pipeline.storage.verify import verify

#: What Python tells its audit hooks of the disk; a child ends itself at one of these.
_EVENTS: Final = {"open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir", "shutil.rmtree"}


def forked(work: Callable[[], object], kill_at: int | None = None) -> tuple[int, int]:
    """Do some work in a child; returns its exit status (minus the signal) and the disk events it told of.

    Args:
        work: what the child does.
        kill_at: the event at which it is killed, as it begins; None: never.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _child(work, kill_at, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), int.from_bytes(told or b"\0", "big")


def _child(work: Callable[[], object], kill_at: int | None, pipe: int) -> NoReturn:
    seen = 0

    def hook(event: str, of: tuple[object, ...]) -> None:
        nonlocal seen
        # What measures the memory asks the system again and again, on a slow machine more often.
        if event in _EVENTS and not str(of[0]).startswith("/proc/"):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        sys.addaudithook(hook)
        work()
        os.write(pipe, seen.to_bytes(4, "big"))
        status = 0
    finally:
        os._exit(status)


def stage_kills(template: Store, work: Path, tries: int, seed: int) -> list[Tally]:
    """Each stage in turn killed at a random event of its own, taken up again, and compared with the undisturbed."""
    tallies = []
    whole = contents(template)
    for number, (name, make) in enumerate(stages().items()):
        rng = np.random.default_rng([seed, number])
        tally = Tally(f"kill -9 in {name}")
        store = copied(template, work, name)
        status, events = forked(partial(make, store))
        if status or contents(store) != whole:
            raise RuntimeError(f"{name} does not give the same bytes undisturbed: nothing can be told of kills")
        for _ in range(tries):
            at = int(rng.integers(1, events + 1))
            with tally.attempt(f"event {at} of {events}"):
                _one_kill(tally, copied(template, work, name), make, at, whole)
        tallies.append(tally)
    return tallies


def _one_kill(tally: Tally, store: Store, make: Callable[[Store], object], at: int, whole: dict[str, bytes]) -> None:
    status, _ = forked(lambda: make(store), at)
    hold(status == -signal.SIGKILL, f"it ended with {status} before it was killed")
    damage = verify(store, workers=1)
    hold(not damage, f"what stands after the kill is damaged: {damage[:1]}")
    started = time.perf_counter()
    status, _ = forked(lambda: make(store))
    tally.seconds.append(time.perf_counter() - started)
    hold(status == 0, f"the next run ended with {status}")
    check_bytes(contents(store), whole)
    strays = list(store.root.rglob(f"*{TEMPORARY_SUFFIX}"))
    hold(not strays, f"left behind: {strays}")


def check_bytes(found: dict[str, bytes], whole: dict[str, bytes]) -> None:
    """Raises Lost naming a file that differs."""
    other = sorted(name for name in found.keys() | whole.keys() if found.get(name) != whole.get(name))
    hold(not other, f"{len(other)} files differ from the undisturbed run: {other[:1]}")


def reading_kills(crawl: Crawl, work: Path, tries: int, seed: int) -> Tally:
    """Listing and decoding killed at any time; whatever is published then, and at the end, adds up."""
    tally = Tally("kill -9 in listing and images")
    rng = np.random.default_rng([seed, 99])
    whole_store = Store(work / "whole")
    started = time.perf_counter()
    forked(lambda: reading(whole_store, crawl))
    length, whole = time.perf_counter() - started, contents(whole_store)
    store = Store(work / "killed")
    for _ in range(tries):
        shutil.rmtree(store.root, ignore_errors=True)
        after = float(rng.uniform(0, 0.9 * length))
        with tally.attempt(f"{after:.3f} s"):
            killed_after(lambda: reading(store, crawl), after)
            check_identity(store)
            started = time.perf_counter()
            status, _ = forked(lambda: reading(store, crawl))
            tally.seconds.append(time.perf_counter() - started)
            hold(status == 0, f"the next run ended with {status}")
            check_identity(store, complete=True)
            check_bytes(contents(store), whole)
    return tally


def killed_after(work: Callable[[], object], seconds: float) -> None:
    """Do some work in a child and kill it after so many seconds."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def check_identity(store: Store, *, complete: bool = False) -> None:
    """Listed = usable + quarantined(reason), ids unique, counted from what was published.

    Raises:
        Lost: it does not hold, or `complete` is asked for and something is not there.
    """
    try:
        listed = read_table(store.current("listing", NAME).table("listing"), ["image_id"])["image_id"].to_pylist()
        images = read_table(store.current("images", NAME).table("images"), ["image_id", "status", "reason"])
    except NotMadeError:
        hold(not complete, "listing or images are not there")
        return
    hold(len(set(listed)) == len(listed), "ids are not unique")
    hold(images["image_id"].to_pylist() == listed, "listed images have gone astray")
    status, reason = images["status"].to_pylist(), images["reason"].to_pylist()
    usable, quarantined = status.count("usable"), sum(each is not None for each in reason)
    hold(len(listed) == usable + quarantined, f"{len(listed)} listed, {usable} usable, {quarantined} quarantined")
