"""Mutated pictures through the real decoding processes.

Half of the tries are blind: each mutates a sound picture. The other half is guided: what ended in a way not seen before
is mutated further. The libraries that decode are compiled, so what they execute cannot be seen; how they refuse can.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from benchmarks.faults.mutate import BYTES, Change, mutated
from benchmarks.faults.seeds import pictures
from benchmarks.faults.tally import Tally, hold
from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.worker import FIRST_DEFECT, USABLE
from pipeline.crawl.workers import DecodePool, Source
from pipeline.records import DEFECTS

SETTINGS: Final = DecodeSettings(image_size=32, timeout_s=2, memory_mb=512)
GENERATION: Final = 200  # tries between two looks at what is new
#: Ends of a try that are told of by their own name; all others are decoded or refused.
TOLD: Final = ("timeout", "crashed", "memory")

_VARYING: Final = re.compile(r"""\d+|b?'[^']*'?|b?"[^"]*"?|it has .*""")  # numbers, quoted words

Outcome = tuple[str, str]  # "usable" or "read", or why not, and what was said


def signature(outcome: Outcome) -> str:
    """What an outcome shares with others of its cause: numbers and quoted words left out."""
    reason, said = outcome
    return f"{reason}: {_VARYING.sub('#', said)[:120]}"


def breed(
    sound: Sequence[bytes], changes: Sequence[Change], tries: int, seed: Sequence[int]
) -> Iterator[tuple[str, list[bytes], Callable[[Sequence[Outcome]], None]]]:
    """Generations of mutated files: which half they are of, the files, and whom to tell what became of them."""
    for number, half in enumerate(("blind", "guided")):
        parents, known = list(sound), set[str]()
        share = (tries + number) // 2
        for start in range(0, share, GENERATION):
            rng = np.random.default_rng([*seed, number, start])
            chosen = rng.integers(len(parents), size=min(GENERATION, share - start))
            children = [mutated(parents[at], sound, rng, changes) for at in chosen]
            yield half, children, partial(_learn, children, parents if half == "guided" else [], known)


def _learn(children: Sequence[bytes], parents: list[bytes], known: set[str], outcomes: Sequence[Outcome]) -> None:
    for child, outcome in zip(children, outcomes, strict=True):
        if (own := signature(outcome)) not in known:
            known.add(own)
            parents.append(child)


def count_outcomes(tally: Tally, half: str, outcomes: Sequence[Outcome], seen: set[tuple[str, str]]) -> None:
    """A try for each outcome, which none may end as dead, and what the table tells of it."""
    for outcome in outcomes:
        with tally.attempt(half):
            hold(outcome[0] != "dead", f"the run ended: {outcome[1]}")
            count_outcome(tally, half, outcome, seen)


def count_outcome(tally: Tally, half: str, outcome: Outcome, seen: set[tuple[str, str]]) -> None:
    """Add one outcome to what the table tells."""
    good = outcome[0] in {"usable", "read"}
    kinds = ["taken" if good else "refused", *(name for name in TOLD if outcome[0] == name)]
    if not good and (half, signature(outcome)) not in seen:
        seen.add((half, signature(outcome)))
        kinds.append(f"signatures, {half}")
    for name in kinds:
        tally.found[name] += 1


def fuzz_pictures(work: Path, tries: int, seed: int, workers: int = 1) -> Iterator[Tally]:
    """Every picture must end as pixels or under a named defect, whatever it does to its decoder.

    Args:
        work: folder for the files.
        tries: pictures of all formats together.
        seed: of the mutations.
        workers: decoding processes.

    Yields:
        A tally of each format, and one of how often the processes were looked at and stayed within their memory.
    """
    work.mkdir(parents=True)
    limits = Tally("mutated pictures: each decoding process within its memory")
    sound = pictures()
    with DecodePool(CrawlFiles(str(work)), SETTINGS, workers) as pool:
        for number, (kind, files) in enumerate(sound.items()):
            tally, seen = Tally(f"mutated pictures ({kind}): pixels or a named defect"), set[tuple[str, str]]()
            for half, children, learn in breed(files, BYTES, tries // len(sound), [seed, number]):
                outcomes = _decoded(pool, work / "pack", children, limits)
                learn(outcomes)
                count_outcomes(tally, half, outcomes, seen)
            yield tally
    yield limits


def _decoded(pool: DecodePool, pack: Path, files: Sequence[bytes], limits: Tally) -> list[Outcome]:
    pack.write_bytes(b"".join(files))
    starts = np.cumsum([0, *map(len, files)]).tolist()
    sources = [Source(pack.name, start, len(data)) for start, data in zip(starts, files, strict=False)]
    try:
        rows = pool.decode(sources, lambda _: _look(limits)).rows
    except Exception as error:  # whatever it is, a real run would have ended
        return [("dead", f"{type(error).__name__}: {error}")] * len(files)
    return [_outcome(row) for row in rows]


def _outcome(row: Any) -> Outcome:
    state = int(row["state"])
    if state == USABLE:
        whole = row["width"] > 0 and row["height"] > 0 and row["width"] * row["height"] <= SETTINGS.max_pixels
        return ("usable", "") if whole else ("dead", "a picture of no size was taken")
    return (DEFECTS[state - FIRST_DEFECT], row["detail"].decode()) if state >= FIRST_DEFECT else ("dead", "no outcome")


def _look(limits: Tally) -> None:
    """Compare the address space each decoding process has ever had with its limit."""
    for worker in psutil.Process().children():
        try:
            most, _ = worker.rlimit(psutil.RLIMIT_AS)
            told = Path(f"/proc/{worker.pid}/status").read_text()
        except (psutil.NoSuchProcess, FileNotFoundError):
            continue
        peak = re.search(r"^VmPeak:\s+(\d+) kB", told, re.MULTILINE)
        if most != psutil.RLIM_INFINITY and peak:
            with limits.attempt(f"process {worker.pid}"):
                hold(int(peak[1]) * 1024 <= most, f"{peak[1]} kB of at most {most // 1024}")
