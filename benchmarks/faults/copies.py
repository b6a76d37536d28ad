"""Copies of a store that cost no bytes: published files are never written to, so links to them do."""

import os
import shutil
from pathlib import Path

from pipeline.storage.artifacts import Store


def copied(store: Store, work: Path, without: str | None = None) -> Store:
    """A copy at `work`, `without` what one stage made (and what is made together with it)."""
    left_out = (
        {"evidence-kmeans", "evidence-density", "evidence-hdbscan"} if without == "evidence-kmeans" else {without}
    )

    def left(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder).name in {"artifacts", "current"} and name in left_out]

    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(store.root, work, copy_function=os.link, ignore=left)
    (work / "work.jsonl").unlink()
    shutil.copy(store.root / "work.jsonl", work)
    return Store(work)


def contents(store: Store) -> dict[str, bytes]:
    """Everything published, apart from the history, which tells of times; locks hold nothing."""
    kept = (path for name in ("artifacts", "current") for path in (store.root / name).rglob("*"))
    return {str(path.relative_to(store.root)): path.read_bytes() for path in kept if path.is_file()}
