"""Small JSON records that tell of their own damage: each carries the sha256 of all else it says, byte for byte."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from pipeline.storage.atomic import publish_bytes

SEAL: Final = "sha256"


class DamagedError(ValueError):
    """A published file is not what was written; the message names it and the remedy."""

    def __init__(self, path: Path, what: str) -> None:
        """Tell which file, and what is wrong with it."""
        super().__init__(f"{path}: {what}; `winnow verify --repair` makes again what is damaged, and that alone")
        self.path = path
        self.what = what


def sealed(value: dict[str, Any], indent: int | None = None) -> bytes:
    """JSON of `value` and its seal, sorted: equal values give equal bytes.

    Args:
        value: what JSON can tell, without a field `sha256`.
        indent: spaces a level; None puts all on one line.
    """
    told = json.loads(json.dumps(value, allow_nan=False))  # keys that are numbers become words, which sort otherwise
    bare = json.dumps(told, sort_keys=True).encode()
    whole = told | {SEAL: hashlib.sha256(bare).hexdigest()}
    return (json.dumps(whole, indent=indent, sort_keys=True) + "\n").encode()


def unsealed(data: bytes, indent: int | None = None) -> dict[str, Any] | None:
    """The value behind exactly these bytes, or None where they are not what `sealed` gave."""
    try:
        told = json.loads(data)
        if not isinstance(told, dict) or told.pop(SEAL, None) is None or sealed(told, indent) != data:
            return None
    except (ValueError, RecursionError):  # no JSON; or numbers that JSON does not know
        return None
    return told


def publish_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write a record at `path`, whole or not at all."""
    publish_bytes(path, sealed(value, 1))


def read_sealed(path: Path) -> dict[str, Any]:
    """What `publish_sealed` wrote.

    Raises:
        DamagedError: the file holds anything else.
    """
    told = unsealed(path.read_bytes(), 1)
    if told is None:
        raise DamagedError(path, "not the bytes that were written: its checksum does not fit")
    return told
