"""Parts of tables under keys of what they were made from: what an earlier artifact holds is linked, not written again.

A key stands for all that the rows of a part depend on. When a crawl is added, the parts without an image of it have the
keys they had, and their files become files of the new artifact as well: names of the same bytes, which cost nothing.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.atomic import atomic_file
from pipeline.storage.draft import Draft, Facts, Records
from pipeline.storage.pieces import latest
from pipeline.storage.tables import part_path

_KEY: Final = "made_of"  # among a shard's facts


def keyed(key: str) -> Facts:
    """What to record of a shard of parts that are made of what `key` stands for."""
    return {_KEY: key}


class _Shard(NamedTuple):
    artifact: Artifact
    number: int
    records: Records
    facts: Facts


class EarlierParts:
    """The shards that the latest artifacts of a stage hold, by key; threads may ask at once."""

    def __init__(self, store: Store, stage: str, also: Sequence[Artifact] = ()) -> None:
        """Learn which there are, in `also` as well; shards without a key are none of them."""
        self._shards: dict[str, _Shard] = {}
        for artifact in (*latest(store, stage), *also):
            for number, records, facts in Draft(artifact.folder).shards():
                if _KEY in facts:
                    self._shards.setdefault(facts[_KEY], _Shard(artifact, number, records, facts))

    def left(self, draft: Draft, keys: Sequence[str]) -> list[int]:
        """Finish every shard of which an earlier artifact holds parts made of the same; the numbers of all others."""
        return [
            number
            for number, key in enumerate(keys)
            if draft.finished(number) is None and not self.link(draft, number, key)
        ]

    def link(self, draft: Draft, number: int, key: str) -> bool:
        """Finish shard `number` with the parts and facts of an earlier one of that key; False where there is none."""
        found = self._shards.get(key)
        if found is None:
            return False
        records = {str(Path(name).parent): record for name, record in found.records.items()}
        link_parts(draft, number, (found.artifact, found.number), records, found.facts)
        return True


def link_parts(
    draft: Draft, number: int, other: tuple[Artifact, int], records: Records, facts: Facts | None = None
) -> None:
    """Finish shard `number` with parts of another artifact of the same store, which then belong to both.

    Args:
        draft: of an artifact.
        number: of the shard, and of the parts in it.
        other: where the parts lie, and their number there.
        records: of their files, by the name of the table.
        facts: of the shard.
    """
    told, (artifact, there) = {}, other
    for table, record in records.items():
        path = part_path(draft.table(table), number)
        _link(part_path(artifact.table(table), there), path)
        told[str(path.relative_to(draft.folder))] = record
    draft.adopt(number, told, facts or {})


def part_records(artifact: Artifact, tables: Sequence[str]) -> list[Records]:
    """By the name of the table, the records of the files of each part of an artifact's tables, part after part."""
    every = Draft(artifact.folder).files()
    parts = sorted(Path(name).name for name in every if Path(name).parent == Path(tables[0]))
    return [{table: every[f"{table}/{part}"] for table in tables} for part in parts]


def _link(source: Path, path: Path) -> None:
    """A second name for a published file, which nothing writes to; where the disk knows no such names, a copy."""
    with atomic_file(path) as temporary:
        with contextlib.suppress(OSError):
            os.link(source, temporary)
        if not temporary.exists():
            shutil.copyfile(source, temporary)
