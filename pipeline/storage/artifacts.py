"""Cached artifacts: a stage's output lies under its identity, resumes by shard, and counts once its record stands.

Layout below the store's root (every name is ours, none is a crawl's):

    artifacts/STAGE/PARTITION/IDENTITY/TABLE/part-00000.parquet   tables and arrays, whatever the stage makes
    artifacts/STAGE/PARTITION/IDENTITY/ledger/00000.json          finished shards: their files, rows and checksums
    artifacts/STAGE/PARTITION/IDENTITY/artifact.json              written last: the artifact exists from here on
    current/STAGE/PARTITION.json                                  which identity is the latest
    work.jsonl                                                    what was computed, when, how long, peak memory
    scratch/                                                      arrays for a cluster's machines, while a run lasts
    crawls.json, settings.json                                    see `pipeline.storage.documents`

All these JSON files are sealed (`pipeline.storage.sealed`); `pipeline.storage.verify` finds what is damaged.
"""

import contextlib
import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.measure import MemorySampler
from pipeline.storage.atomic import remove_temporaries
from pipeline.storage.documents import DOCUMENTS, change_document
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import exclusive, in_turn
from pipeline.storage.room import explained
from pipeline.storage.sealed import publish_sealed, read_sealed
from pipeline.storage.shared import Shared, fetched
from pipeline.storage.work import Work, add_work, merged_work, read_work, write_work

FORMAT = 1
ARTIFACT = "artifact.json"
WHOLE = "all"  # the partition of a stage that has no partitions
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,127}")


class NotMadeError(LookupError):
    """A table was asked for that no run has made yet."""


def identity(stage: str, code_version: str, settings: object, inputs: Iterable[str]) -> str:
    """What a stage's output depends on, as 32 hexadecimal digits: its code, its settings and its inputs' identities.

    Args:
        stage: the stage's name.
        code_version: raised by hand when the stage's code gives other results.
        settings: a dataclass, or anything JSON can tell.
        inputs: identities of the artifacts read, in a fixed order.
    """
    told = dataclasses.asdict(settings) if dataclasses.is_dataclass(settings) else settings  # type: ignore[arg-type]
    text = json.dumps([stage, code_version, told, list(inputs)], sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A published output. `folder / TABLE` holds its parts; `facts` are the stage's own figures (rows and so on)."""

    stage: str
    partition: str
    identity: str
    folder: Path
    facts: Facts
    made: bool  # True: computed by this call. False: found

    @property
    def root(self) -> Path:
        """The folder of the store it lies in."""
        return self.folder.parents[3]

    def table(self, name: str) -> Path:
        """The folder of one of its tables or arrays, fetched first where the store is shared and it is not here."""
        return fetched(self.folder, name)


@dataclass(frozen=True)
class Store:
    """A folder that holds everything Winnow knows about a set of crawls."""

    root: Path
    points: bool = True  # whether what is made through it becomes current

    def find(self, stage: str, partition: str, wanted: str) -> Artifact | None:
        """The artifact of exactly that identity, if it has been published."""
        folder = self.folder(stage, partition, wanted)
        record = folder / ARTIFACT
        if not record.exists() and not ((shared := Shared.of(self.root)) and shared.take(folder)):
            return None
        return Artifact(stage, partition, wanted, folder, read_sealed(record)["facts"], made=False)

    def current(self, stage: str, partition: str = WHOLE) -> Artifact:
        """The latest artifact of a stage and partition.

        Raises:
            NotMadeError: there is none yet.
        """
        found = self._current(stage, partition)
        if found is None:
            what = stage if partition == WHOLE else f"{stage} of {partition}"
            raise NotMadeError(f"{self.root} holds no {what} yet: run `winnow run` (or materialise it in the UI) first")
        return found

    def _current(self, stage: str, partition: str) -> Artifact | None:
        pointer = self._pointer(stage, partition)
        return self.find(stage, partition, read_sealed(pointer)["identity"]) if pointer.exists() else None

    def versions(self, stage: str, partition: str = WHOLE) -> list[Artifact]:
        """The current artifact, then every other one that was published and is still there, latest computed first.

        Raises:
            NotMadeError: there is none.
        """
        current = self.current(stage, partition)
        computed = [
            line["identity"] for line in self.work() if (line["stage"], line["partition"]) == (stage, partition)
        ]
        others = [one for one in dict.fromkeys(reversed(computed)) if one != current.identity]
        return [current, *filter(None, (self.find(stage, partition, one) for one in others))]

    def partitions(self, stage: str) -> list[str]:
        """The partitions of a stage that have a current artifact, sorted."""
        named = (path.name.removesuffix(".json") for path in (self.root / "current" / _name(stage)).glob("*.json"))
        return sorted(partition for partition in named if self._current(stage, partition) is not None)

    def make(self, stage: str, partition: str, wanted: str, build: Callable[[Draft], Facts]) -> Artifact:
        """The artifact of that identity: found, or built by `build(draft) -> facts` and published.

        Raises:
            BusyError: another process is making this stage and partition.
            NoRoomError: the disk is full.
        """
        (made,) = self.make_together(partition, {stage: wanted}, lambda drafts: {stage: build(drafts[stage])})
        return made

    def make_together(
        self, partition: str, wanted: Mapping[str, str], build: Callable[[dict[str, Draft]], dict[str, Facts]]
    ) -> list[Artifact]:
        """Artifacts of several stages that are built in one go, because they read the same input.

        Args:
            partition: of all of them.
            wanted: stage -> identity.
            build: given a draft of each that is not there yet, returns the facts of each.

        Raises:
            BusyError: another process is making one of these stages and this partition.
        """
        missing = [stage for stage, own in wanted.items() if self.find(stage, partition, own) is None]
        made: list[str] = []
        if missing:
            with contextlib.ExitStack() as locks:
                for stage in sorted(missing):  # one order for everybody
                    locks.enter_context(exclusive(self.root / "locks" / f"{_name(stage)}.{_name(partition)}.lock"))
                made = [stage for stage in missing if self.find(stage, partition, wanted[stage]) is None]
                if made:
                    self._build(partition, {stage: wanted[stage] for stage in made}, build)
        shared = Shared.of(self.root)
        if shared is not None:
            given = [stage for stage, own in wanted.items() if shared.give(self.folder(stage, partition, own))]
            made = [stage for stage in made if stage in given]
            if made:
                shared.tell_work(self.work())
        for stage, own in wanted.items() if self.points else ():
            pointer = self._pointer(stage, partition)
            if not pointer.exists() or read_sealed(pointer)["identity"] != own:
                with in_turn(self.root / "locks" / "current.lock"):
                    remove_temporaries(pointer.parent)
                    publish_sealed(pointer, {"identity": own})
                self._tell_current(stage, partition, own)
        found = [self._found(stage, partition, own) for stage, own in wanted.items()]
        return [dataclasses.replace(artifact, made=artifact.stage in made) for artifact in found]

    def _found(self, stage: str, partition: str, wanted: str) -> Artifact:
        artifact = self.find(stage, partition, wanted)
        if artifact is None:
            raise NotMadeError(f"{stage} of {partition} has vanished from {self.root} while it was made")
        return artifact

    def _build(
        self, partition: str, wanted: Mapping[str, str], build: Callable[[dict[str, Draft]], dict[str, Facts]]
    ) -> None:
        started = time.time()
        drafts = {stage: Draft(self.folder(stage, partition, own)) for stage, own in wanted.items()}
        for draft in drafts.values():
            remove_temporaries(draft.folder)
        with MemorySampler() as memory:
            try:
                facts = build(drafts)
            except OSError as error:
                raise explained(error, self.root) from error
        shared = {
            "partition": partition,
            "started": round(started, 3),
            # What was built in one go shares its time; the parts add up to the whole.
            "seconds": round((time.time() - started) / len(drafts), 3),
            "peak_mb": round(memory.peak_bytes / 1e6, 1),
        }
        for draft in drafts.values():
            remove_temporaries(draft.folder)  # of processes that were lost on the way, and whose work others did
        # First the history: it then holds whatever is published, and a line that is lost is noticed.
        lines = [{"stage": stage, "identity": own, **shared} for stage, own in wanted.items()]
        add_work(self.history, self.root / "locks" / "work.lock", lines)
        for stage, draft in drafts.items():
            record = {"format": FORMAT, "facts": facts[stage], "files": draft.files()}
            publish_sealed(draft.folder / ARTIFACT, record)

    def pull(self) -> None:
        """Learn what other machines have published since, of a store that is shared."""
        shared = Shared.of(self.root)
        if shared is None:
            return
        current, lines = shared.pull()
        with in_turn(self.root / "locks" / "current.lock"):
            for name, own in current.items():
                pointer = self._pointer(*name.split("/"))
                if not pointer.exists() or read_sealed(pointer)["identity"] != own:
                    publish_sealed(pointer, {"identity": own})
        for document in DOCUMENTS:
            change_document(self.root, document, {}, lambda told: told)
        with in_turn(self.root / "locks" / "work.lock"):
            write_work(self.history, merged_work(read_work(self.history), lines))

    def pointers(self) -> dict[str, str]:
        """What is current: `STAGE/PARTITION` -> identity."""
        paths = sorted((self.root / "current").glob("*/*.json"))
        return {f"{path.parent.name}/{path.stem}": read_sealed(path)["identity"] for path in paths}

    def work(self) -> list[Work]:
        """Every computation so far, oldest first: stage, partition, identity, started, seconds, peak_mb."""
        return read_work(self.history)

    @property
    def history(self) -> Path:
        """The file of all work."""
        return self.root / "work.jsonl"

    def folder(self, stage: str, partition: str, wanted: str) -> Path:
        """Where the artifact of that identity lies, or will."""
        return self.root / "artifacts" / _name(stage) / _name(partition) / _name(wanted)

    def folders(self) -> list[Path]:
        """The folders of all artifacts, finished or begun, sorted."""
        return sorted(path for path in (self.root / "artifacts").glob("*/*/*") if path.is_dir())

    def _tell_current(self, stage: str, partition: str, identity: str) -> None:
        shared = Shared.of(self.root)
        if shared is not None:
            shared.point(stage, partition, identity)

    def _pointer(self, stage: str, partition: str) -> Path:
        return self.root / "current" / _name(stage) / f"{_name(partition)}.json"


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} cannot name a stage or partition: use a-z, 0-9, '.', '_', '@', '-'")
    return text


def seeded(recipe: str, seed: int) -> str:
    """The partition of what a recipe gives for one seed: its model, its predictions."""
    return f"{recipe}@{seed}"


def inputs_of(artifacts: Sequence[Artifact]) -> list[str]:
    """The identities of several artifacts, for the identity of what is made from them."""
    return [f"{artifact.stage}/{artifact.partition}/{artifact.identity}" for artifact in artifacts]
