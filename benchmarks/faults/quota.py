"""A quota that is used up: from one of a stage's writes on, the system answers EDQUOT, which strace has it say."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.faults.chain import stages
from benchmarks.faults.copies import contents, copied
from benchmarks.faults.disk import TOLD
from benchmarks.faults.stops import check_bytes
from benchmarks.faults.tally import Tally, hold
from pipeline.storage.artifacts import Store
from pipeline.storage.verify import verify

_CALLS: Final = ("write", "pwrite64", "fallocate")  # what takes room; arrays are mapped once fallocate has taken theirs


def quotas(template: Store, work: Path, names: Sequence[str], tries: int, seed: int) -> Iterator[Tally]:
    """Some stages with a quota that is used up at a random write; then there is none, and it goes on."""
    strace = shutil.which("strace")
    if strace is None:
        return
    whole = contents(template)
    work.mkdir(parents=True)
    for number, name in enumerate(names):
        tally, rng = Tally(f"a quota used up in {name}"), np.random.default_rng([seed, 32, number])
        store = copied(template, work / "store", name)
        calls = work / "calls"
        _traced([strace, "-o", str(calls), "-e", f"trace={','.join(_CALLS)}"], name, store)
        writes = [line.partition("(")[0] for line in calls.read_text().splitlines() if not line.startswith("+++")]
        for _ in range(tries):
            at = int(rng.integers(len(writes)))
            with tally.attempt(f"write {at + 1} of {len(writes)}"):
                store = copied(template, work / "store", name)
                _one_quota([strace, "-o", "/dev/null", *_from(writes[:at])], name, store)
                tally.timed(partial(stages()[name], store))
                check_bytes(contents(store), whole)
        yield tally


def _from(before: list[str]) -> list[str]:
    """That every write after these is refused; strace counts each call by itself."""
    words = (f"inject={call}:error=EDQUOT:when={1 + before.count(call)}+" for call in _CALLS)
    return [word for inject in words for word in ("-e", inject)]


def _one_quota(strace: list[str], name: str, store: Store) -> None:
    said = _traced(strace, name, store)
    hold(said, "it went through: there was no quota")
    refused = "Disk quota exceeded" in said or "No usable temporary directory" in said  # by Python, of each it tried
    hold(refused and TOLD.search(said) and "free" in said, f"no clear word: {said}")
    hold(not verify(store, workers=1), "what stood before is damaged")


def _traced(strace: list[str], name: str, store: Store) -> str:
    """What a stage says that fails, or nothing."""
    code = f"from benchmarks.faults.quota import run; run({name!r}, {str(store.root)!r})"
    # What Python compiles it would write, too.
    done = subprocess.run([*strace, sys.executable, "-B", "-c", code], check=False, capture_output=True, text=True)
    return done.stdout


def run(name: str, root: str) -> None:
    """Make one stage and say what it says."""
    try:
        stages()[name](Store(Path(root)))
    except OSError as error:
        os.writev(1, [f"{type(error).__name__}: {error}".encode()])  # which is not refused
