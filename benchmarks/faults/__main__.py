"""All faults, tried and counted.

    python -m benchmarks.faults [SECTION ...] [--tries 1.0] [--seed 0] [--folder DIR] [--json FILE]

Prints a table: fault, tries, survived, lost, recovery time; exit status 1 where anything was lost. What is drawn
depends on the seed alone. With a file, what it holds of other sections stays in the table. A full disk and a read-only
one need root, for they are mounted; power loss and a quota need strace.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy: children are forked, and must not miss the threads of their parent

from benchmarks.faults import damage, determinism, disk, fuzz, fuzz_documents, quota, races, runs, services, stops
from benchmarks.faults.chain import make_everything, stages, write_crawl
from benchmarks.faults.copies import copied
from benchmarks.faults.tally import Row, Tally, table
from pipeline.storage.artifacts import Store


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Faults, tried and counted.")
    parser.add_argument(
        "sections",
        nargs="*",
        help="damage, repair, kills, reading, races, disk, quota, fuzz, again, trainings, processes, runs, services",
    )
    parser.add_argument("--tries", type=float, default=1.0, help="share of the usual number of tries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if not given")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = [tally.row() for tally in told(Path(folder), options.sections, options.tries, options.seed)]
    if options.json is not None:
        fresh = {row["fault"] for row in rows}
        held = json.loads(options.json.read_text()) if options.json.exists() else []
        rows = [row for row in held if row["fault"] not in fresh] + rows
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    sys.exit(any(row["lost"] for row in rows))


def told(folder: Path, chosen: Sequence[str], share: float, seed: int) -> Iterator[Tally]:
    """The tallies of some sections, or of all, each told as it is done."""
    every = sections(folder, share, seed)
    unknown = sorted(set(chosen) - set(every))
    if unknown:
        raise SystemExit(f"no section {unknown[0]}: there are {', '.join(every)}")
    for name in chosen or every:
        for tally in every[name]():
            row: Row = tally.row()
            print(f"{tally.fault}: {row['survived']} of {row['tries']}", *tally.lost[:3], sep="\n  ", file=sys.stderr)
            yield tally


def sections(folder: Path, share: float, seed: int) -> dict[str, Callable[[], Iterator[Tally]]]:
    """What can be tried, over one tiny store; `share` scales the number of tries."""

    def times(usual: int) -> int:
        return max(1, round(share * usual))

    crawl = write_crawl(folder / "crawl")
    template, work = Store(folder / "template"), folder / "work"
    make_everything(template, crawl)

    def kills() -> Iterator[Tally]:
        for name, make in stages().items():
            make(copied(template, work, name))  # so that no child spends its time on imports
        yield from stops.stage_kills(template, work, times(16), seed)

    def races_of_all() -> Iterator[Tally]:
        yield races.publishing(folder / "race", times(1000))
        yield races.documents(folder / "documents", times(1000))
        yield races.changing_crawl(folder / "changing", times(10), seed)

    def disks() -> Iterator[Tally]:
        yield from disk.flush_order(folder / "order")
        yield disk.limited_files(template, work)
        if os.geteuid() == 0:
            yield from disk.full_disk(template, folder / "disk", times(4), seed)
            yield disk.read_only(template, folder / "disk")

    def mutations() -> Iterator[Tally]:
        yield from fuzz.fuzz_pictures(folder / "fuzz", times(18_000), seed)
        yield from fuzz_documents.fuzz_documents(folder / "fuzz", times(9_000), seed)

    return {
        "damage": lambda: damage.detection(template, times(1000), seed),
        "repair": lambda: iter([damage.repair(template, work, times(50), seed)]),
        "kills": kills,
        "reading": lambda: iter([stops.reading_kills(crawl, folder / "reading", times(10), seed)]),
        "races": races_of_all,
        "disk": disks,
        "quota": lambda: quota.quotas(template, folder / "quota", list(stages()), times(4), seed),
        "processes": lambda: iter(runs.gang_kills()),
        "fuzz": mutations,
        "again": lambda: iter([determinism.evidence_again(template, crawl, folder / "again", times(10))]),
        "trainings": lambda: determinism.trainings_again(template, folder / "trainings"),
        "runs": lambda: iter(runs.whole_runs(folder / "runs", times(4), seed)),
        "services": lambda: services.service_kills(folder / "services", times(2), seed),
    }


if __name__ == "__main__":
    main()
