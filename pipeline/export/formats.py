"""The formats by name, and an export from beginning to end."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipeline.export.folder import Export, publish_folder
from pipeline.export.huggingface import write_huggingface
from pipeline.export.lists import write_list, write_weights
from pipeline.export.source import ExportSource, Progress
from pipeline.export.spreadsheet import write_csv
from pipeline.export.webdataset import write_webdataset
from pipeline.storage.artifacts import Store, identity
from pipeline.storage.draft import Draft, Facts

CODE_VERSION: Final = "1"

Write = Callable[[Draft, ExportSource, Progress], Facts]

FORMATS: Final[dict[str, Write]] = {
    "list": write_list,
    "weights": write_weights,
    "webdataset": write_webdataset,
    "huggingface": write_huggingface,
    "csv": write_csv,
}
WITH_PICTURES: Final = frozenset({"webdataset", "huggingface"})


def check_format(name: str) -> None:
    """Raises ValueError where no format is called so; the message gives the nearest."""
    if name not in FORMATS:
        near = difflib.get_close_matches(name, FORMATS, 1)
        raise ValueError(
            f"unknown format {name!r}; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(FORMATS)}")
        )


def make_export(
    store: Store, source: ExportSource, name: str, folder: Path, on_progress: Progress = lambda _: None
) -> Export:
    """Write a recipe's manifest in a format, or find that it stands at `folder` already.

    Facts: images exported, left_out, and notes, which are sentences for the user.

    Args:
        store: holds the lock.
        source: what is exported.
        name: of the format.
        folder: which comes to be whole or not at all; a killed export is taken up again.
        on_progress: told how many of `steps` are done since it was last called.

    Raises:
        ValueError: there is no such format, something else stands at `folder`, or nothing can be exported that way.
        BusyError: another process is writing this export.
    """
    check_format(name)
    wanted = identity(f"export-{name}", CODE_VERSION, None, source.inputs)
    locks = store.root / "locks"
    return publish_folder(folder, wanted, locks, lambda draft: FORMATS[name](draft, source, on_progress))


def steps(source: ExportSource, name: str) -> int:
    """What the whole of an export is, as its progress counts."""
    facts = source.manifest.facts
    return int(facts["kept"] if name in WITH_PICTURES else facts["rows"])
