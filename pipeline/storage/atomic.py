"""Files that are there whole or not at all: write beside, flush, fsync, rename."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.storage.room import explained

TEMPORARY_SUFFIX = ".partial"


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit its bytes are on the disk under the name `path`.

    On an exception the temporary file is removed and whatever stood at `path` stays as it was.

    Raises:
        NoRoomError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Its own name on every machine: one that was given up for lost may still be writing the same.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise explained(error, temporary) from error
    finally:
        temporary.unlink(missing_ok=True)


def publish_bytes(path: Path, data: bytes) -> None:
    """Write `data` at `path`, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def publish_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    publish_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """What `publish_json` wrote."""
    return json.loads(path.read_bytes())


def sync_file(path: Path) -> None:
    """Return once the file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Return once the folder's names are on the disk: a rename is durable only after this."""
    sync_file(path)


def checksum(path: Path) -> str:
    """The file's sha256, hexadecimal, as `sha256sum` prints it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_temporaries(folder: Path) -> None:
    """Clear what a killed writer left beside its goal; call only while holding the folder's lock."""
    for path in folder.rglob(f"*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


def remove_beside(path: Path) -> None:
    """Clear what killed writers of this one file left; call only while holding its lock."""
    for stray in path.parent.glob(f"{path.name}.*{TEMPORARY_SUFFIX}"):
        stray.unlink(missing_ok=True)
