"""Everything a store has published against what was recorded of it: which file is damaged, and what is wrong with it.

What is looked at: every table, array and other file that a ledger holds, of finished artifacts, of those that a killed
run began, and of what is derived of either; the ledgers; the artifacts' records; the pointers to what is current; the
history; the documents and their copies. Of a store that is shared, what is here of it: what is fetched is looked at as
it comes. Not looked at: Dagster's own databases, and locks, which hold nothing worth keeping.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.engine import map_shards
from pipeline.storage.arrays import array_rows
from pipeline.storage.artifacts import ARTIFACT, Store
from pipeline.storage.atomic import checksum
from pipeline.storage.documents import DOCUMENTS, document_paths
from pipeline.storage.sealed import DamagedError, read_sealed, unsealed
from pipeline.storage.shared import ABSENT, SHARED
from pipeline.storage.tables import read_footer
from pipeline.storage.work import Work

UNSEALED = "its checksum does not fit, or it carries none"


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written."""

    path: Path
    what: str  # is wrong
    folder: Path | None = None  # of the artifact it belongs to, where it does to one
    ledger: Path | None = None  # the finished shard it belongs to, where it does to one


@dataclass(frozen=True)
class Check:
    """One file to look at; `look` gives what is wrong, or None."""

    path: Path
    look: Callable[[Path], str | None]
    folder: Path | None = None
    ledger: Path | None = None

    def damage(self) -> Damage | None:
        """What the look finds."""
        if not self.path.is_file():
            return Damage(self.path, "it is not there", self.folder, self.ledger)
        what = self.look(self.path)
        return None if what is None else Damage(self.path, what, self.folder, self.ledger)


def verify(store: Store, *, workers: int, on_progress: Callable[[int], None] = lambda _: None) -> list[Damage]:
    """Read every byte that was ever published and compare it with its record.

    Args:
        store: which.
        workers: threads that read.
        on_progress: learns the number of files looked at since it was last called.
    """
    found = []
    for damage in map_shards(Check.damage, checks(store), workers):
        on_progress(1)
        if damage is not None:
            found.append(damage)
    return found


def checks(store: Store) -> Iterator[Check]:
    """Everything there is to look at, records before what they tell of."""
    if (store.root / SHARED).exists():
        yield Check(store.root / SHARED, _sealed)
    yield from _document_checks(store.root)
    if store.history.exists() or any(store.folders()):
        yield Check(store.history, lambda path: _history(path, store))
    for pointer in sorted((store.root / "current").glob("*/*.json")):
        yield Check(pointer, lambda path: _pointer(path, store))
    for folder in store.folders():
        yield from folder_checks(folder)


def folder_checks(folder: Path) -> Iterator[Check]:
    """What there is of one artifact, finished or begun."""
    ledgers = sorted((folder / "ledger").glob("*.json"))
    if (folder / ARTIFACT).exists():
        yield Check(folder / ARTIFACT, lambda path: _record(path, ledgers), folder)
    for path in filter(Path.exists, (folder / SHARED, folder / ABSENT)):
        yield Check(path, _sealed, folder)
    elsewhere = (_told(folder / ABSENT) or {"files": {}})["files"] if (folder / ABSENT).exists() else {}
    for ledger in ledgers:
        yield Check(ledger, _sealed, folder, ledger)
        for name, record in (_told(ledger) or {"files": {}})["files"].items():
            if name not in elsewhere:
                yield Check(folder / name, partial(file_damage, record=record), folder, ledger)
    for within in sorted(folder.glob("*/ledger")):  # see `pipeline.storage.derived`
        yield from folder_checks(within.parent)


def file_damage(path: Path, record: dict[str, Any]) -> str | None:
    """What is wrong with a published file, by its record: bytes, sha256 and, where its format tells them, rows."""
    size = path.stat().st_size
    if size != record["bytes"]:
        return f"{size} bytes, not {record['bytes']}"
    if checksum(path) != record["sha256"]:
        return "its sha256 is not what was recorded"
    rows = _rows(path)
    return None if rows in (None, record["rows"]) else f"{rows} rows, not {record['rows']}"


def require_sound(path: Path) -> None:
    """Look at one file before it is used; one that belongs to no published artifact has nothing to be compared with.

    Raises:
        DamagedError: it is not what the artifact it lies in recorded.
    """
    record = path.parent / ARTIFACT
    told = read_sealed(record)["files"].get(path.name) if record.exists() else None
    what = None if told is None else file_damage(path, told)
    if what is not None:
        raise DamagedError(path, what)


def _rows(path: Path) -> int | None:
    if path.suffix == ".parquet":
        return int(read_footer(path).num_rows)
    return array_rows(path) if path.suffix == ".npy" else None


def _document_checks(root: Path) -> Iterator[Check]:
    for name in DOCUMENTS:
        paths = document_paths(root, name)
        if any(path.exists() for path in paths):
            yield from (Check(path, _sealed) for path in paths)


def _told(path: Path) -> dict[str, Any] | None:
    return unsealed(path.read_bytes(), 1)


def _sealed(path: Path) -> str | None:
    return UNSEALED if _told(path) is None else None


def _pointer(path: Path, store: Store) -> str | None:
    told = _told(path)
    if told is None:
        return UNSEALED
    made = store.folder(path.parent.name, path.stem, told["identity"]) / ARTIFACT
    return None if made.exists() else f"it names {told['identity']}, which is not there"


def _record(path: Path, ledgers: list[Path]) -> str | None:
    told = _told(path)
    if told is None:
        return UNSEALED
    held = {name: record for ledger in ledgers for name, record in (_told(ledger) or {"files": {}})["files"].items()}
    lost = sorted(set(told["files"]) - set(held))
    return f"no sound ledger holds {_counted(lost)}" if lost else None


def _history(path: Path, store: Store) -> str | None:
    lines = history_lines(path)
    damaged = [number for number, line in enumerate(lines, 1) if line is None]
    if damaged:
        return f"line {_counted(damaged)}: {UNSEALED}"
    lost = unworked(store, [line for line in lines if line is not None])
    return f"it does not tell of {_counted(lost)}" if lost else None


def _counted(found: Sequence[object]) -> str:
    """The first of them, and how many more there are."""
    return f"{found[0]}" + (f" and {len(found) - 1} more" if len(found) > 1 else "")


def unmade(store: Store) -> list[tuple[str, str]]:
    """Stage and partition of every pointer to an artifact that is not there any more: these are to be made again."""
    pointers = sorted((store.root / "current").glob("*/*.json"))
    return [(path.parent.name, path.stem) for path in pointers if _pointer(path, store) is not None]


def history_lines(path: Path) -> list[Work | None]:
    """What each line of a history tells, None for one that is not as it was written."""
    return [unsealed(line) for line in path.read_bytes().splitlines(keepends=True)]


def unworked(store: Store, lines: list[Work]) -> list[Path]:
    """The published artifacts of which a history tells nothing."""
    told = {(line["stage"], line["partition"], line["identity"]) for line in lines}
    made = [folder for folder in store.folders() if (folder / ARTIFACT).exists()]
    return [folder for folder in made if folder.parts[-3:] not in told]
