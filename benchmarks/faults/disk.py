"""A full disk, a limit on files, a disk that cannot be written to, a run that cannot fit; and the order of flushes."""

import contextlib
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.faults.chain import stages
from benchmarks.faults.copies import contents, copied
from benchmarks.faults.stops import check_bytes, forked
from benchmarks.faults.tally import Tally, hold
from pipeline.storage.artifacts import Store
from pipeline.storage.room import NoRoomError
from pipeline.storage.verify import verify

BLOCK: Final = 4096
TOLD: Final = re.compile(r"needs more than the [\d,]+ bytes|needs (about )?[\d,]+ bytes")


def full_disk(template: Store, work: Path, tries: int, seed: int) -> Iterator[Tally]:
    """Every stage on a disk of its own that is full after a random number of blocks; then there is room again."""
    whole = contents(template)
    for number, (name, make) in enumerate(stages().items()):
        tally, rng = Tally(f"full disk in {name}"), np.random.default_rng([seed, 31, number])
        needed = blocks_of(template, name)
        for _ in range(tries):
            with tmpfs(work) as folder:
                store = copied_whole(copied(template, work.with_name("links"), name), folder / "store")
                free = int(rng.integers(0, max(1, needed)))
                with tally.attempt(f"{free} blocks free"):
                    _fill(folder, free)
                    said = refused(make, store)
                    hold(said is not None, "it went through: the disk was not full")
                    hold(TOLD.search(said or "") and "free" in (said or ""), f"no clear word: {said}")
                    hold(not verify(store, workers=1), "what stood before is damaged")
                    (folder / "filler").unlink()
                    tally.timed(partial(make, store))
                    check_bytes(contents(store), whole)
        yield tally


def blocks_of(template: Store, stage: str) -> int:
    """The blocks that a stage writes, a little less: records and names are not counted."""
    made = (path for path in (template.root / "artifacts" / stage).rglob("*") if path.is_file())
    return sum(-(-path.stat().st_size // BLOCK) for path in made)


@contextlib.contextmanager
def tmpfs(folder: Path, size: str = "16m") -> Iterator[Path]:
    """A small disk in memory, mounted at the folder; only root may."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "winnow-faults", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def copied_whole(store: Store, root: Path) -> Store:
    """A copy of its own bytes, on another disk."""
    shutil.copytree(store.root, root)
    return Store(root)


def _fill(folder: Path, blocks: int) -> None:
    free = os.statvfs(folder).f_bavail - blocks
    with (folder / "filler").open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, max(free, 1) * BLOCK)


def refused(make: Callable[[Store], object], store: Store) -> str | None:
    """What a stage says that finds no room, or None."""
    try:
        make(store)
    except NoRoomError as error:
        return str(error)
    return None


def limited_files(template: Store, work: Path) -> Tally:
    """Every stage where no file may grow beyond a few bytes, as a quota ends it: the same word, the same afterwards."""
    tally, whole = Tally("a limit on file sizes (as a quota) in every stage"), contents(template)
    for name, make in stages().items():
        store = copied(template, work, name)

        def limited(store: Store = store, make: Callable[[Store], object] = make) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
            said = refused(make, store) or ""
            if not (TOLD.search(said) and "free" in said):
                raise SystemExit(3)

        with tally.attempt(name):
            status, _ = forked(limited)
            hold(status == 0, f"no clear word: it ended with {status}")
            hold(not verify(store, workers=1), "what stood before is damaged")
            tally.timed(partial(make, store))
            check_bytes(contents(store), whole)
    return tally


def read_only(template: Store, work: Path) -> Tally:
    """Every stage on a disk that cannot be written to: refused by name, all that stands can be read."""
    tally = Tally("read-only store in every stage")
    for name, make in stages().items():
        with tmpfs(work) as folder, tally.attempt(name):
            store = copied_whole(copied(template, work.with_name("links"), name), folder / "store")
            subprocess.run(["/bin/mount", "-o", "remount,ro", str(folder)], check=True)
            try:
                make(store)
                said = ""
            except OSError as error:
                said = str(error)
            hold("Read-only file system" in said and str(folder) in said, f"no clear word: {said}")
            hold(not verify(store, workers=1), "what stands cannot be read")
    return tally


def flush_order(work: Path) -> Iterator[Tally]:
    """What the system is asked for when a file is published: data flushed, renamed, folder flushed, in this order.

    Without strace there is nothing to tell; a test looks at the same order as Python asks for it.
    """
    tally = Tally("power loss: data flushed, then renamed, then the folder flushed (strace)")
    strace = shutil.which("strace")
    if strace is None:
        return
    work.mkdir(parents=True, exist_ok=True)
    for kind in ("publish_bytes(path, b'x')", "publish_json(path, {})", "publish_sealed(path, {})", *_WRITERS):
        goal = work / "goal"
        code = f"{_IMPORTS}\npath = Path({str(goal)!r})\n{kind}"
        command = [strace, "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", sys.executable, "-c", code]
        traced = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        with tally.attempt(kind):
            hold(ordered(traced, goal), f"another order: {traced[-500:]}")
    yield tally


_IMPORTS: Final = """
from pathlib import Path
import numpy as np, pyarrow as pa
from pipeline.storage.arrays import write_array
from pipeline.storage.atomic import publish_bytes, publish_json
from pipeline.storage.sealed import publish_sealed
from pipeline.storage.tables import write_table
schema = pa.schema([pa.field('a', pa.int64())])
"""
_WRITERS: Final = (
    "write_table(path, schema, [pa.table({'a': [1]}, schema=schema)])",
    "with write_array(path, (3, 2), np.float32) as out: out[:] = 1",
)


def ordered(traced: str, goal: Path) -> bool:
    """Whether the calls that concern a goal are fsync of its temporary file, rename to it, fsync of its folder."""
    calls = [line for line in traced.splitlines() if str(goal.parent) in line]
    kinds = [
        "data"
        if re.search(rf"fsync\(\d+<{re.escape(str(goal))}\.[0-9a-f]+\.partial>", line)
        else "folder"
        if re.search(rf"fsync\(\d+<{re.escape(str(goal.parent))}>", line)
        else "rename"
        for line in calls
    ]
    return kinds == ["data", "rename", "folder"]
