"""A store that several machines share through a bucket: what is published here goes there, and comes from there.

The store stays a folder on a fast disk, because pixels and features are mapped into memory. `shared.json` in it names
the bucket, which holds, below its address:

    records/STAGE/PARTITION/IDENTITY.json             an artifact's record and ledgers, put last and once
    artifacts/STAGE/PARTITION/IDENTITY/CONTENT/...    its files; CONTENT is a hash of their checksums
    current.json, work.jsonl                          as in a store, for all machines together
    crawls.json, settings.json                        the documents (`pipeline.storage.documents`)

Two machines that make the same artifact at once write below different CONTENT, unless they wrote the same bytes. The
one whose record is there first has made it; the other drops its own and takes that one.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.storage.atomic import atomic_file, checksum
from pipeline.storage.bucket import AT_ONCE, Bucket
from pipeline.storage.locks import in_turn
from pipeline.storage.sealed import publish_sealed, read_sealed, sealed, unsealed
from pipeline.storage.work import Work, merged_work

SHARED: Final = "shared.json"  # of a store: which bucket. Of an artifact: which record in the bucket is its own
ABSENT: Final = "absent.json"  # of an artifact: its files that are still to be fetched
RECORD: Final = "artifact.json"
#: Files that are fetched when they are first asked for: those of tables and arrays. All others come with the record.
_LATE: Final = {".parquet", ".npy"}


@dataclass(frozen=True)
class Shared:
    """One machine's side of a shared store."""

    root: Path  # of the store here
    bucket: Bucket

    @classmethod
    def of(cls, root: Path) -> "Shared | None":
        """How the store in `root` is shared; None for one that is not."""
        path = root / SHARED
        return cls(root, Bucket(read_sealed(path)["address"])) if path.exists() else None

    def give(self, folder: Path) -> bool:
        """Publish an artifact that is finished here. False where another machine's stands there, which is then here."""
        if (folder / SHARED).exists():
            return True
        record = read_sealed(folder / RECORD)
        content, at = _content(record), self._at(folder)
        told = {"content": content, "record": record, "ledger": _ledgers(folder)}
        if self.bucket.read(f"records/{at}.json") is None:
            self.bucket.upload({f"artifacts/{at}/{content}/{name}": folder / name for name in record["files"]})
            self.bucket.create(f"records/{at}.json", sealed(told, 1))
        stored = self.bucket.read(f"records/{at}.json")
        if stored is None or self._told(f"records/{at}.json", stored.data)["content"] != content:
            shutil.rmtree(folder)
            self.take(folder)
            return False
        publish_sealed(folder / SHARED, {"content": content, "etag": stored.etag})
        return True

    def give_again(self, folder: Path) -> None:
        """Publish an artifact whose files were changed where they lie, and remove those that were there."""
        at, record = self._at(folder), read_sealed(folder / RECORD)
        stored, content = self.bucket.read(f"records/{at}.json"), _content(record)
        self.bucket.upload({f"artifacts/{at}/{content}/{name}": folder / name for name in record["files"]})
        told = {"content": content, "record": record, "ledger": _ledgers(folder)}
        self.bucket.write(f"records/{at}.json", sealed(told, 1))
        (folder / SHARED).unlink(missing_ok=True)
        self.give(folder)
        if stored is not None and (before := self._told(f"records/{at}.json", stored.data)["content"]) != content:
            self.bucket.remove(f"artifacts/{at}/{before}")

    def ungiven(self) -> list[Path]:
        """The artifacts that are finished here and have not been published."""
        made = sorted((self.root / "artifacts").glob(f"*/*/*/{RECORD}"))
        return [path.parent for path in made if not (path.parent / SHARED).exists()]

    def take(self, folder: Path) -> bool:
        """Fetch an artifact's record and ledgers, and all files but those of tables. False where nobody has made it."""
        at = self._at(folder)
        stored = self.bucket.read(f"records/{at}.json")
        if stored is None:
            return False
        told = self._told(f"records/{at}.json", stored.data)
        files = told["record"]["files"]
        late = {name: record for name, record in files.items() if Path(name).suffix in _LATE}
        publish_sealed(folder / SHARED, {"content": told["content"], "etag": stored.etag})
        publish_sealed(folder / ABSENT, {"content": told["content"], "files": late})
        self._fetch(folder, told["content"], {name: record for name, record in files.items() if name not in late})
        for name, ledger in told["ledger"].items():
            publish_sealed(folder / "ledger" / name, ledger)
        publish_sealed(folder / RECORD, told["record"])
        return True

    def drop(self, folder: Path) -> None:
        """Remove an artifact, or all of a stage or partition, from the bucket; other machines learn it as they pull."""
        at = self._at(folder)
        for prefix in (f"records/{at}", f"records/{at}.json", f"artifacts/{at}"):
            self.bucket.remove(prefix)

    def folders(self, prefix: str) -> list[Path]:
        """Where the artifacts of all machines below `STAGE` or `STAGE/PARTITION` lie here, or would."""
        keys = self.bucket.list(f"records/{prefix}")
        return [self.root / "artifacts" / key.removeprefix("records/").removesuffix(".json") for key in keys]

    def point(self, stage: str, partition: str, identity: str) -> None:
        """Make an artifact the current one for all."""
        self._change_current(lambda told: told | {f"{stage}/{partition}": identity})

    def offer(self, current: dict[str, str]) -> None:
        """Make artifacts current for all, of stages and partitions (`STAGE/PARTITION`) of which no other one is."""
        self._change_current(lambda told: current | told)

    def _change_current(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        def changed(data: bytes | None) -> bytes:
            return sealed(change({} if data is None else self._told("current.json", data)), 1)

        self.bucket.change("current.json", changed)

    def change_document(self, name: str, change: Callable[[Any | None], Any]) -> Any:
        """Replace a document of all by `change(what it is, or None)`; what it is then."""

        def changed(data: bytes | None) -> bytes:
            before = None if data is None else self._told(f"{name}.json", data)[name]
            return sealed({name: change(before)}, 1)

        return self._told(f"{name}.json", self.bucket.change(f"{name}.json", changed))[name]

    def tell_work(self, lines: Iterable[Work]) -> None:
        """Put lines into the history of all."""
        own = list(lines)
        self.bucket.change("work.jsonl", lambda data: _written(merged_work(self._worked(data), own)))

    def pull(self) -> tuple[dict[str, str], list[Work]]:
        """Drop what others removed or changed.

        Returns:
            What is current for all, as `STAGE/PARTITION` -> identity, and the history of all.
        """
        standing = self.bucket.list("records")
        for path in sorted((self.root / "artifacts").glob(f"*/*/*/{SHARED}")):
            there = standing.get(f"records/{self._at(path.parent)}.json")
            if there is None or there.etag != read_sealed(path)["etag"]:
                shutil.rmtree(path.parent)
        stored = self.bucket.read("current.json")
        current = {} if stored is None else self._told("current.json", stored.data)
        history = self.bucket.read("work.jsonl")
        return current, self._worked(None if history is None else history.data)

    def fetch(self, folder: Path, table: str) -> None:
        """Fetch the files of one table that are not here."""
        with in_turn(self.root / "locks" / "fetch.lock"):
            told = read_sealed(folder / ABSENT) if (folder / ABSENT).exists() else {"files": {}}
            own = {name: record for name, record in told["files"].items() if name.startswith(f"{table}/")}
            if own:
                self._fetch(folder, told["content"], own)
                left = {name: record for name, record in told["files"].items() if name not in own}
                publish_sealed(folder / ABSENT, told | {"files": left})

    def _fetch(self, folder: Path, content: str, files: dict[str, Any]) -> None:
        at = self._at(folder)
        left = [name for name, record in files.items() if not _is(folder / name, record)]
        for start in range(0, len(left), AT_ONCE):
            names = left[start : start + AT_ONCE]
            with contextlib.ExitStack() as stack:
                beside = {name: stack.enter_context(atomic_file(folder / name)) for name in names}
                self.bucket.download({f"artifacts/{at}/{content}/{name}": path for name, path in beside.items()})
                for name, path in beside.items():
                    if not _is(path, files[name]):
                        raise self._damaged(f"artifacts/{at}/{content}/{name}")

    def _at(self, folder: Path) -> str:
        return folder.relative_to(self.root / "artifacts").as_posix()

    def _told(self, key: str, data: bytes) -> dict[str, Any]:
        told = unsealed(data, 1)
        if told is None:
            raise self._damaged(key)
        return told

    def _damaged(self, key: str) -> ValueError:
        return ValueError(f"{self.bucket.address}/{key} is not what was written: remove it, and run again")

    def _worked(self, data: bytes | None) -> list[Work]:
        lines = [unsealed(line) for line in (data or b"").splitlines(keepends=True)]
        return [line for line in lines if line is not None]


def fetched(folder: Path, table: str) -> Path:
    """The folder of an artifact's table, every file of it here."""
    if (folder / ABSENT).exists():
        shared = Shared.of(folder.parents[3])
        if shared is not None:
            shared.fetch(folder, table)
    return folder / table


def absent(folder: Path) -> set[str]:
    """The files of an artifact that have not been fetched."""
    return set(read_sealed(folder / ABSENT)["files"]) if (folder / ABSENT).exists() else set()


def _content(record: dict[str, Any]) -> str:
    return hashlib.sha256(sealed(record["files"])).hexdigest()[:32]


def _ledgers(folder: Path) -> dict[str, Any]:
    return {path.name: read_sealed(path) for path in sorted((folder / "ledger").glob("*.json"))}


def _is(path: Path, record: dict[str, Any]) -> bool:
    return path.exists() and checksum(path) == record["sha256"]


def _written(lines: Iterable[Work]) -> bytes:
    return b"".join(sealed(line) for line in lines)
