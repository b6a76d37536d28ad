"""The layout with a folder per class, below a folder per split or not."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.rows import SPLIT_NAMES, Contents, Row
from pipeline.records import Split

#: Files that go along with pictures. All else in a class's folder is listed, whatever its name: the decoder judges.
BESIDE_PICTURES: Final = frozenset(
    {
        ".csv",
        ".db",
        ".html",
        ".ini",
        ".json",
        ".jsonl",
        ".md",
        ".parquet",
        ".pdf",
        ".tsv",
        ".txt",
        ".xml",
        ".yaml",
        ".yml",
    }
)


def read(files: CrawlFiles) -> Contents:
    """A picture's class is the first folder on its path, or the second where the top level is of splits."""
    notes: list[str] = []
    return Contents(rows=_rows(files, notes), notes=notes)


def class_folders(files: CrawlFiles) -> list[tuple[Split, str]]:
    """(split, path) of each class's folder. The top level is of splits where `train` has folders and no pictures."""
    top = _subfolders(files, "")
    train = next((name for name in top if SPLIT_NAMES.get(name.lower()) == "train"), None)
    if train is None or any(_is_picture(entry.path) for entry in files.entries(train) if entry.size is not None):
        return [("train", name) for name in top]
    return [
        (SPLIT_NAMES[name.lower()], path)
        for name in top
        if name.lower() in SPLIT_NAMES
        for path in _subfolders(files, name)
    ]


def holds_pictures(files: CrawlFiles) -> bool:
    """Whether any class's folder has a picture directly in it."""
    return any(
        entry.size is not None and _is_picture(entry.path)
        for _, folder in class_folders(files)
        for entry in files.entries(folder)
    )


def _rows(files: CrawlFiles, notes: list[str]) -> Iterator[Row]:
    folders = class_folders(files)
    read_from = {PurePosixPath(path).parts[0] for _, path in folders}
    left_out = [name for name in _subfolders(files, "") if name not in read_from]
    if left_out:
        notes.append(f"folders that are no split: {', '.join(left_out)}: left out")
    for split, folder in folders:
        label = PurePosixPath(folder).name
        for entry in files.walk(folder):
            if _is_picture(entry.path):
                yield Row(entry.path, label, split, entry.path)


def _subfolders(files: CrawlFiles, folder: str) -> list[str]:
    # info/ may hold definitions of the classes; it is no class.
    return [entry.path for entry in files.entries(folder) if entry.size is None and entry.path != "info"]


def _is_picture(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() not in BESIDE_PICTURES
