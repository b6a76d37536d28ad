"""What an artifact took, beside what it took before and what was planned: why a run was late."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.planning.kept import kept_plan
from pipeline.storage.artifacts import Artifact, Store


@dataclass(frozen=True)
class Times:
    """Seconds of several artifacts together; None where nothing is known of one of them."""

    seconds: float | None  # when they were computed, however long ago that is
    before: float | None  # the earlier version of each
    planned: float | None
    peak_mb: float | None


def times_of(store: Store, artifacts: Sequence[Artifact]) -> Times:
    """What some artifacts of one stage took, from the store's own records of its work."""
    own, before = [], []
    lines = store.work()
    for artifact in artifacts:
        same = [one for one in lines if (one["stage"], one["partition"]) == (artifact.stage, artifact.partition)]
        made = [number for number, one in enumerate(same) if one["identity"] == artifact.identity]
        if made:
            own.append(same[made[-1]])
            before += same[max(made[-1] - 1, 0) : made[-1]]
    known, known_before = len(own) == len(artifacts), len(before) == len(artifacts)
    return Times(
        seconds=sum(line["seconds"] for line in own) if known else None,
        before=sum(line["seconds"] for line in before) if known_before else None,
        planned=_planned(store, artifacts),
        peak_mb=max(line["peak_mb"] for line in own) if known else None,
    )


def _planned(store: Store, artifacts: Sequence[Artifact]) -> float | None:
    """Of a stage that is planned as a whole, each partition's even share."""
    kept = kept_plan(store)
    shares = {} if kept is None else {row.stage: row.seconds / max(len(row.partitions), 1) for row in kept[1]}
    if any(artifact.stage not in shares for artifact in artifacts):
        return None
    return sum(shares[artifact.stage] for artifact in artifacts)
