"""What follows from a published artifact and is asked for again and again: kept in its folder, and gone with it.

It is no artifact of its own. No run makes it, but whoever first asks for it; no history tells of it, nothing points at
it, and a bucket does not get it, because every machine can make it of what it has. Its files lie in a folder within the
artifact's, recorded in a ledger of its own, so that `pipeline.storage.verify` finds what is damaged; what is dropped is
made anew by whoever asks next.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.storage.artifacts import Artifact
from pipeline.storage.atomic import remove_temporaries
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.locks import in_turn

Built = tuple[Mapping[Path, int], Facts]


def derived(artifact: Artifact, name: str, origin: Facts, build: Callable[[Draft], Built]) -> tuple[Path, Facts]:
    """The folder of something derived and the facts recorded of it, made first where it is not there.

    Who is making it now is waited for.

    Args:
        artifact: in whose folder it lies.
        name: of its folder, which no table of the artifact's has.
        origin: what else it follows from, and a version of the code: where these were others, it is made anew.
        build: writes its files below the draft's folder, atomically; returns path -> row count, and further facts.
    """
    draft = Draft(artifact.folder / name)
    found = draft.finished(0)
    if not _follows(found, origin):
        # The lock that `pipeline.storage.repair` takes to drop what lies in this folder.
        with in_turn(artifact.root / "locks" / f"{artifact.partition}.{artifact.identity}.lock"):
            found = draft.finished(0)
            if not _follows(found, origin):
                remove_temporaries(draft.folder)
                files, facts = build(draft)
                found = origin | facts
                draft.finish(0, files, found)
    return draft.folder, found or {}


def _follows(found: Facts | None, origin: Facts) -> bool:
    return found is not None and origin.items() <= found.items()
