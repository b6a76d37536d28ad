"""A store in which things are made before it is decided whether they count."""

from pathlib import Path

from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Draft, Facts


class Aside(Store):
    """The same artifacts with pointers of their own: what is made here is found by all, and current only here."""

    def _pointer(self, stage: str, partition: str) -> Path:
        whole = super()._pointer(stage, partition)
        return self.root / "aside" / whole.relative_to(self.root / "current")

    def _tell_current(self, stage: str, partition: str, identity: str) -> None:
        """Nobody else learns it."""


def accept(store: Store, artifact: Artifact) -> Artifact:
    """Make what was made aside the current one of its stage and partition."""
    return store.make(artifact.stage, artifact.partition, artifact.identity, _gone)


def _gone(draft: Draft) -> Facts:
    raise RuntimeError(f"{draft.folder} was there and is gone: make it again")
