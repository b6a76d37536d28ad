"""Mutated documents through the real layout readers: each is read, or refused with file and remedy; no run ends."""

import contextlib
import json
import os
import resource
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import psutil

from benchmarks.faults.fuzz import Outcome, breed, count_outcomes
from benchmarks.faults.mutate import BYTES, DOCUMENTS
from benchmarks.faults.seeds import documents
from benchmarks.faults.tally import Tally
from pipeline.crawl.catalogue import class_table, named_by_labels, read_names
from pipeline.crawl.detect import contents, detect
from pipeline.crawl.rows import CrawlError, record_batches, text_batches
from pipeline.crawl.settings import CrawlSettings
from pipeline.crawl.spool import Spool

MEMORY: Final = 2**30  # bytes beyond what the process has when it begins to read
SECONDS: Final = 10  # of processor time, for one document of at most 256 KiB
LONGEST: Final = 4_000  # characters of a refusal, which may quote the crawl

_PLACES: Final = {
    "texts of a query (JSON)": "google/q0001.json",
    "tables (JSONL)": "t.jsonl",
    "tables (CSV)": "t.csv",
    "shards (tar with JSON)": "train-0000.tar",
    "tables (Parquet)": "t.parquet",
}
_WEBVISION: Final = {
    "info/synsets.txt": "n01 boat\n",
    "info/train_filelist_google.txt": "google/q0001/a.jpg 0\n",
    "info/train_meta_list_google.txt": "google/q0001.json 1\n",
    "google/q0001/a.jpg": "picture",
}


def fuzz_documents(work: Path, tries: int, seed: int) -> Iterator[Tally]:
    """A tally of each layout.

    Args:
        work: folder for the crawls.
        tries: documents of all layouts together.
        seed: of the mutations.
    """
    sound = documents()
    for number, (kind, files) in enumerate(sound.items()):
        folder = _crawl(work / f"{number}", kind)
        tally, seen = Tally(f"mutated {kind}: read, or refused with a remedy"), set[tuple[str, str]]()
        changes = BYTES if kind.endswith(("(Parquet)", "(tar with JSON)")) else DOCUMENTS
        for half, children, learn in breed(files, changes, tries // len(sound), [seed, 100 + number]):
            outcomes = read_all(folder, folder / _PLACES[kind], children)
            learn(outcomes)
            count_outcomes(tally, half, outcomes, seen)
        yield tally


def _crawl(folder: Path, kind: str) -> Path:
    for name, text in _WEBVISION.items() if kind.startswith("texts") else ():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def read_all(crawl: Path, place: Path, files: Sequence[bytes]) -> list[Outcome]:
    """What becomes of each file in its place, read in a child: where one ends the child, another goes on."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(files):
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            _child(crawl, place, files[len(outcomes) :], theirs)
        os.close(theirs)
        with os.fdopen(ours, "rb") as stream:
            told = [json.loads(line) for line in stream if line.endswith(b"\n")]
        _, status = os.waitpid(child, 0)
        outcomes += [(one[0], one[1]) for one in told]
        if len(outcomes) < len(files):
            outcomes.append(("dead", f"exit status {os.waitstatus_to_exitcode(status)}"))
    return outcomes


def _child(crawl: Path, place: Path, files: Sequence[bytes], pipe: int) -> NoReturn:
    most = psutil.Process().memory_info().vms + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(BaseException):
        for data in files:
            place.write_bytes(data)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            os.write(pipe, json.dumps(_outcome(crawl)).encode() + b"\n")
    os._exit(0)


def _outcome(crawl: Path) -> Outcome:
    settings = CrawlSettings()
    try:
        found = detect(str(crawl), settings)
        with Spool(crawl / "spool") as spool:
            held = contents(found, settings, spool)
            read = sum(batch.num_rows for batch in text_batches(held.texts))
            labels: set[str] = set()
            for batch in record_batches(held.rows, "fuzz"):
                labels |= set(batch.column("label").to_pylist())
                read += batch.num_rows
            class_table(held.synsets or named_by_labels(sorted(labels)), read_names(found.files, settings))
    except CrawlError as error:
        said = str(error)
        fit = len(said) <= LONGEST and said.isprintable()
        return ("refused", said[:300]) if fit else ("dead", f"a refusal that cannot be shown, {len(said)} characters")
    except Exception as error:  # whatever it is, a real run would have ended without a remedy
        return "dead", f"{type(error).__name__}: {error}"[:300]
    return "read", ""
