"""A folder that is there whole or not at all: built beside under another name, taken up again after a kill."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.storage.atomic import checksum, publish_json, read_json, remove_temporaries, sync_folder
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import exclusive

RECORD: Final = "export.json"  # written last: identity, figures, every file with rows and checksum
_BUILDING: Final = "building.json"  # which export a folder that is not finished belongs to


@dataclass(frozen=True)
class Export:
    """A finished export."""

    folder: Path
    facts: Facts
    made: bool  # False: it stood there already


def publish_folder(folder: Path, wanted: str, locks: Path, build: Callable[[Draft], Facts]) -> Export:
    """Build `FOLDER.partial` and rename it, or find what stands at `folder`.

    Args:
        folder: the goal; nothing that stands there is ever touched.
        wanted: identity of what is to stand there.
        locks: a folder for the lock.
        build: given a draft with whatever an earlier attempt at the same identity finished; returns the facts.

    Raises:
        ValueError: something else stands at the goal, or in its way.
        BusyError: another process is building it.
    """
    folder = folder.resolve()
    name = hashlib.blake2b(str(folder).encode(), digest_size=8).hexdigest()
    partial = folder.with_name(f"{folder.name}.partial")
    with exclusive(locks / f"export-{name}.lock"):
        if (found := _find(folder, wanted)) is not None:
            return Export(folder, found, made=False)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} stands there already: name another folder, or remove it")
        if _find(partial, wanted) is None:
            _build(partial, wanted, build)
        shutil.rmtree(partial / "ledger", ignore_errors=True)
        (partial / _BUILDING).unlink(missing_ok=True)
        partial.rename(folder)
        sync_folder(folder.parent)
        return Export(folder, read_json(folder / RECORD)["facts"], made=True)


def _find(folder: Path, wanted: str) -> Facts | None:
    record = folder / RECORD
    if not record.is_file():
        return None
    told = read_json(record)
    facts: Facts = told["facts"]
    return facts if told["identity"] == wanted else None


def _build(partial: Path, wanted: str, build: Callable[[Draft], Facts]) -> None:
    mark = partial / _BUILDING
    if partial.exists() and any(partial.iterdir()) and not mark.exists():
        raise ValueError(f"{partial} is in the way, and no export left it there: remove it")
    if mark.exists() and read_json(mark)["identity"] != wanted:
        shutil.rmtree(partial)  # the beginning of an export of something else
    publish_json(mark, {"identity": wanted})
    remove_temporaries(partial)
    draft = Draft(partial)
    facts = build(draft)
    files = draft.files()
    for path in sorted(partial.rglob("*")):  # the small ones beside the shards
        name = str(path.relative_to(partial))
        if path.is_file() and name not in files and not name.startswith("ledger/") and path != mark:
            files[name] = {"bytes": path.stat().st_size, "sha256": checksum(path)}
    publish_json(partial / RECORD, {"identity": wanted, "facts": facts, "files": files})
