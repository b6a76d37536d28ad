"""Small documents that no run can make again: the crawls a store knows, the settings of its last run. Kept twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pipeline.storage.atomic import remove_beside
from pipeline.storage.locks import in_turn
from pipeline.storage.sealed import publish_sealed, read_sealed
from pipeline.storage.shared import Shared

DOCUMENTS: Final = ("crawls", "settings")


def document_paths(root: Path, name: str) -> tuple[Path, Path]:
    """Where a store's document lies, and the copy it is restored from."""
    if name not in DOCUMENTS:
        raise ValueError(f"{name!r} is none of a store's documents: {', '.join(DOCUMENTS)}")
    return root / f"{name}.json", root / "copies" / f"{name}.json"


def read_document(root: Path, name: str, otherwise: Any) -> Any:
    """A document, or `otherwise` where none has been kept.

    Raises:
        DamagedError: it is not what was written.
    """
    path, _ = document_paths(root, name)
    if not path.exists():
        return otherwise
    told = read_sealed(path)
    return told[name]


def change_document(root: Path, name: str, otherwise: Any, change: Callable[[Any], Any]) -> None:
    """Replace a document by `change(document)`, in turn with all others who do.

    Args:
        root: of the store.
        name: of DOCUMENTS.
        otherwise: the document where none has been kept.
        change: gives a value that JSON can tell.

    Raises:
        DamagedError: the document that stands there is not what was written.
    """
    shared = Shared.of(root)
    with in_turn(root / "locks" / f"{name}.lock"):
        own = read_document(root, name, otherwise)
        if shared is None:
            value = change(own)
        else:  # that of all machines counts, and this one is a copy
            value = shared.change_document(name, lambda told: change(own if told is None else told))
        for path in document_paths(root, name):
            remove_beside(path)
            publish_sealed(path, {name: value})
