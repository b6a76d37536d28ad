"""Taking what is damaged out of a store, and nothing else, so that the next run makes exactly that again."""

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.storage.artifacts import ARTIFACT, Store
from pipeline.storage.atomic import atomic_file, publish_bytes, sync_folder
from pipeline.storage.documents import DOCUMENTS, document_paths
from pipeline.storage.locks import exclusive, in_turn
from pipeline.storage.sealed import publish_sealed, unsealed
from pipeline.storage.verify import Damage, file_damage, history_lines, unworked
from pipeline.storage.work import write_work


def drop_damaged(store: Store, found: Sequence[Damage]) -> None:
    """Mend what can be mended from copies, and drop the rest from its ledger.

    Of an artifact, the shards that hold a damaged file lose their place in the ledger, and the artifact its record:
    made again, it finds all other shards finished. The file goes last, so that a repair which is stopped finds it
    again. A file of which the same ledger holds a twin (what people told is kept twice) is copied from it.

    Args:
        store: which.
        found: by `verify`.

    Pointers to what is dropped stay: they tell what is to be made again (`verify.unmade`).

    Raises:
        BusyError: another process is making one of the artifacts.
        ValueError: a document and its copy are both damaged.
    """
    for folder in sorted({damage.folder for damage in found if damage.folder is not None}):
        stage, partition, _ = folder.parts[-3:]
        with exclusive(store.root / "locks" / f"{stage}.{partition}.lock"):
            left = [own for own in found if own.folder == folder and not _restored(own)]
            if left:
                _drop(folder, left)
    paths = {damage.path for damage in found}
    for name in DOCUMENTS:
        _mend_document(document_paths(store.root, name), paths)
    if store.history in paths:
        _mend_history(store)
    for pointer in (store.root / "current").glob("*/*.json"):
        if pointer in paths:
            _mend_pointer(store, pointer)


def _restored(damage: Damage) -> bool:
    """Copy a file from its twin, if the ledger holds a sound one."""
    if damage.folder is None or damage.ledger in (None, damage.path) or not damage.ledger.exists():
        return False
    files = (unsealed(damage.ledger.read_bytes(), 1) or {"files": {}})["files"]
    own = files[str(damage.path.relative_to(damage.folder))]
    for name, record in files.items():
        twin = damage.folder / name
        if twin != damage.path and record["sha256"] == own["sha256"] and twin.exists() and not file_damage(twin, own):
            with atomic_file(damage.path) as temporary:
                shutil.copyfile(twin, temporary)
            return True
    return False


def _drop(folder: Path, found: Iterable[Damage]) -> None:
    damaged = list(found)
    _remove({own.ledger for own in damaged if own.ledger is not None})
    _remove([folder / ARTIFACT])
    _remove({own.path for own in damaged})


def _remove(paths: Iterable[Path]) -> None:
    """Remove files, and return once the disk knows."""
    for path in paths:
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            sync_folder(path.parent)


def _mend_document(twins: tuple[Path, Path], damaged: set[Path]) -> None:
    hurt = [path for path in twins if path in damaged]
    if len(hurt) == len(twins):
        raise ValueError(f"{twins[0]} and its copy are both damaged: remove them, and give the crawls to `winnow run`")
    for path in hurt:
        (sound,) = (other for other in twins if other != path)
        publish_bytes(path, sound.read_bytes())


def _mend_history(store: Store) -> None:
    """Keep every sound line; of what a lost one told, only the time is known, from the artifact itself."""
    with in_turn(store.root / "locks" / "work.lock"):
        lines = [line for line in history_lines(store.history) if line is not None] if store.history.exists() else []
        for folder in unworked(store, lines):
            stage, partition, identity = folder.parts[-3:]
            told = {"stage": stage, "partition": partition, "identity": identity}
            made = round((folder / ARTIFACT).stat().st_mtime, 3)
            lines.append({**told, "started": made, "seconds": 0.0, "peak_mb": 0.0})
        write_work(store.history, sorted(lines, key=lambda line: float(line["started"])))


def _mend_pointer(store: Store, pointer: Path) -> None:
    """Point at what was computed last; the run that made it current may know better, and says so when it runs."""
    stage, partition = pointer.parent.name, pointer.stem
    computed = [line["identity"] for line in store.work() if (line["stage"], line["partition"]) == (stage, partition)]
    there = [one for one in computed if store.folder(stage, partition, one).is_dir()]
    if there:
        publish_sealed(pointer, {"identity": there[-1]})
    else:
        pointer.unlink()
