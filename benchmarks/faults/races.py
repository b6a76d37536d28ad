"""Races: two writers of one artifact, two of one document, and a crawl that changes while it is read."""

import multiprocessing
import operator
import threading
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.chain import NAME, reading, write_crawl
from benchmarks.faults.stops import check_identity
from benchmarks.faults.tally import Tally, hold
from pipeline.storage.artifacts import Store
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.documents import change_document, read_document
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import BusyError
from pipeline.storage.tables import read_table
from pipeline.storage.verify import verify


def publishing(work: Path, tries: int) -> Tally:
    """Two processes make the same artifact at the same moment, again and again."""
    tally = Tally("two writers of one artifact: one winner, the loser says so")
    told = _together(_publish, work, tries)
    store = Store(work)
    for number, ends in enumerate(zip(*told, strict=True)):
        with tally.attempt(f"artifact {number}: {ends}"):
            hold(ends.count("made") == 1, "not one winner")
            hold(all(end in {"made", "found"} or "is being written by" in end for end in ends), "no clear word")
            hold(store.find("race", "all", f"id{number}") is not None, "nothing published")
    damage = verify(store, workers=1)
    with tally.attempt("the store afterwards"):
        hold(not damage, f"damaged: {damage[:1]}")
    return tally


def _publish(work: Path, tries: int, barrier: Barrier) -> list[str]:
    def build(draft: Draft) -> Facts:
        path = draft.table("t") / "part-00000.bin"
        publish_bytes(path, b"whole" * 1000)
        draft.finish(0, {path: 1})
        return {}

    ends = []
    for number in range(tries):
        barrier.wait()
        try:
            ends.append("made" if Store(work).make("race", "all", f"id{number}", build).made else "found")
        except BusyError as error:
            ends.append(str(error))
    return ends


def documents(work: Path, tries: int) -> Tally:
    """Two processes add crawls to one store: none loses the other's."""
    tally = Tally("two runs that add crawls to one store: both are known")
    _together(_add, work, tries)
    known = read_document(work, "crawls", {})
    for number in range(tries):
        with tally.attempt(f"crawl {number}"):
            hold(sum(name.startswith(f"{number}-") for name in known) == 2, "one of two was lost")
    return tally


def _add(work: Path, tries: int, barrier: Barrier) -> list[str]:
    own = multiprocessing.current_process().name
    for number in range(tries):
        barrier.wait()
        change_document(work, "crawls", {}, partial(operator.or_, {f"{number}-{own}": {}}))
    return []


def _together(task: Any, work: Path, tries: int) -> list[list[str]]:
    """Two processes at one task; what each of them tells."""
    context = multiprocessing.get_context("fork")
    barrier, pipes = context.Barrier(2), [context.Pipe(duplex=False) for _ in range(2)]

    def run(pipe: Any) -> None:
        pipe.send(task(work, tries, barrier))

    racers = [context.Process(target=run, args=(theirs,)) for _, theirs in pipes]
    for racer in racers:
        racer.start()
    told = [ours.recv() for ours, _ in pipes]
    for racer in racers:
        racer.join()
    return told


def changing_crawl(work: Path, tries: int, seed: int) -> Tally:
    """Pictures come and go while a crawl is read: the listing is frozen, what is gone is quarantined as missing."""
    tally = Tally("a crawl grows and shrinks while it is read: the listing is frozen")
    rng = np.random.default_rng([seed, 7])
    for number in range(tries):
        folder, store = work / f"crawl-{number}", Store(work / f"store-{number}")
        crawl = write_crawl(folder)
        gone = rng.choice(np.arange(10, 60), 3, replace=False).tolist()
        change = threading.Timer(float(rng.uniform(0, 1)), _change, (folder, gone))
        change.start()
        reading(store, crawl)
        change.join()
        with tally.attempt(f"crawl {number}"):
            check_identity(store, complete=True)
            first = set(read_table(store.current("listing", NAME).table("listing"), ["path"])["path"].to_pylist())
            tally.timed(partial(reading, store, crawl))
            check_identity(store, complete=True)
            later = set(read_table(store.current("listing", NAME).table("listing"), ["path"])["path"].to_pylist())
            hold(first <= later, "what was listed is listed no more")
            hold("late.png" in later, "the late file is not in the next delivery")
    return tally


def _change(folder: Path, gone: list[int]) -> None:
    """Take some pictures away and deliver another one."""
    for number in gone:
        (folder / f"{number}.png").unlink()
    (folder / "late.png").write_bytes((folder / "00.png").read_bytes())
    with (folder / "list.jsonl").open("a") as stream:
        stream.write('{"path": "late.png", "label": "boat", "split": "train", "rank": 99}\n')
