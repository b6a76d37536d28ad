"""What is left of withdrawn pictures in a store, removed: pixels, features, bytes copied out of tables, pages."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.stages.crossfit import FOLD_STAGE
from pipeline.stages.withdrawn import withdrawn_rows
from pipeline.storage.artifacts import ARTIFACT, Store
from pipeline.storage.draft import Draft
from pipeline.storage.pieces import latest
from pipeline.storage.rows import find_rows, take_rows
from pipeline.storage.sealed import publish_sealed, read_sealed
from pipeline.storage.shared import Shared

#: Stages whose pages show pictures; a run makes them anew.
PAGES: Final = ("report", "review")
EXPLAINED: Final = "explain"  # the folder of pages about single images


def purge(store: Store, crawls: Sequence[str]) -> list[str]:
    """Remove everything of some crawls that may hold withdrawn pictures, but what is current: that has to be without.

    Features of cross-fitted networks, pages, reports and review lists are removed whole: the next run makes them anew.

    Args:
        store: where the crawls' images (and features, if there are any) have been made without the withdrawn ones.
        crawls: those that held them.

    Returns:
        What was removed or overwritten, as paths in the store.
    """
    gone = []
    for crawl in crawls:
        for stage in ("images", "features"):
            gone += _others(store, stage, crawl)
        gone += [path for path in _folders(store, FOLD_STAGE) if path.name.startswith(f"{crawl}.fold-")]
    gone += [path for stage in PAGES for path in _folders(store, stage)]
    gone += [path for path in [store.root / EXPLAINED] if path.exists()]
    shared = Shared.of(store.root)
    for path in gone:
        if shared is not None and path != store.root / EXPLAINED:
            shared.drop(path)
        shutil.rmtree(path, ignore_errors=not path.exists())
    told = [str(path.relative_to(store.root)) for path in gone]
    return told + [place for crawl in crawls for place in _overwrite(store, crawl)]


def _folders(store: Store, stage: str) -> list[Path]:
    """The partitions of a stage, here or in the bucket that the store is shared in."""
    folder, shared = store.root / "artifacts" / stage, Shared.of(store.root)
    there = [] if shared is None else [path.parent for path in shared.folders(stage)]
    return sorted({*(folder.iterdir() if folder.exists() else []), *there})


def _made(store: Store, stage: str, crawl: str) -> list[Path]:
    """The artifacts of a stage and crawl, finished or not, here or in the bucket."""
    folder, shared = store.root / "artifacts" / stage / crawl, Shared.of(store.root)
    there = [] if shared is None else shared.folders(f"{stage}/{crawl}")
    return sorted({*(folder.iterdir() if folder.exists() else []), *there})


def _others(store: Store, stage: str, crawl: str) -> list[Path]:
    """Every artifact of a stage and crawl, finished or not, but the current one made without what is withdrawn."""
    images = store.current("images", crawl)
    kept = next(iter(latest(store, stage, crawl)), None)
    if kept is not None and stage != "images" and kept.facts.get("pixels") != images.identity:
        kept = None
    return [path for path in _made(store, stage, crawl) if kept is None or path != kept.folder]


def _overwrite(store: Store, crawl: str) -> list[str]:
    """Overwrite withdrawn pictures' bytes where the listing keeps a copy; its record tells the new checksums."""
    ids = np.array(sorted(row["image_id"] for row in withdrawn_rows(store) if row["crawl"] == crawl), np.int64)
    told = []
    for folder in _made(store, "listing", crawl):
        listing = store.find("listing", crawl, folder.name)
        if listing is None or not (folder / "spool").exists():
            continue
        locations = listing.table("locations")
        rows = find_rows(locations, ("image_id",), lambda batch: np.isin(batch["image_id"].to_numpy(), ids))
        for place in take_rows(locations, rows, ("container", "offset", "size")).to_pylist() if len(rows) else []:
            with (folder / "spool" / place["container"]).open("r+b") as stream:
                stream.seek(place["offset"])
                stream.write(bytes(place["size"]))
            told.append(f"{(folder / 'spool' / place['container']).relative_to(store.root)} at {place['offset']}")
        _restate(folder)
        shared = Shared.of(store.root)
        if shared is not None:
            shared.give_again(folder)
    return told


def _restate(folder: Path) -> None:
    """Record the files of an artifact of one shard as they are now."""
    draft = Draft(folder)
    facts = draft.finished(0)
    draft.finish(0, {folder / name: record["rows"] for name, record in draft.files().items()}, facts)
    record = read_sealed(folder / ARTIFACT)
    publish_sealed(folder / ARTIFACT, {**record, "files": draft.files()})
