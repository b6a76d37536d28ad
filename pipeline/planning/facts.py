"""What a run took in fact, stage by stage, from the store's own records of its work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.planning.plan import Row
from pipeline.storage.artifacts import Store


@dataclass(frozen=True)
class Fact:
    """What the stages of a row took; only partitions that have been made count."""

    seconds: float
    disk: int  # bytes
    memory_mb: float
    made: int  # partitions


def facts_of(store: Store, rows: Sequence[Row]) -> dict[str, Fact]:
    """Stage -> what its planned partitions took when they were computed last; stages without any are left out."""
    last: dict[tuple[str, str, str], Mapping[str, Any]] = {
        (line["stage"], line["partition"], line["identity"]): line for line in store.work()
    }
    found = {}
    for row in rows:
        made = [store.current(row.stage, name) for name in store.partitions(row.stage) if name in row.partitions]
        keys = [(one.stage, one.partition, one.identity) for one in made]
        lines = [last[key] for key in keys if key in last]
        if lines:
            found[row.stage] = Fact(
                seconds=sum(line["seconds"] for line in lines),
                disk=sum(path.stat().st_size for one in made for path in one.folder.rglob("*") if path.is_file()),
                memory_mb=max(line["peak_mb"] for line in lines),
                made=len(lines),
            )
    return found


def whole(row: Row, fact: Fact | None) -> bool:
    """Whether all that a row plans has been made, so that plan and fact speak of the same work."""
    return fact is not None and fact.made == len(row.partitions)
