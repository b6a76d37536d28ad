"""An artifact while it is made: finished shards in a ledger, which a killed run leaves to the next one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.storage.atomic import checksum
from pipeline.storage.sealed import publish_sealed, read_sealed

Facts = dict[str, Any]
Records = dict[str, Any]  # of files, by their path below the artifact's folder: rows, bytes and sha256


class Draft:
    """An artifact being made. Shards recorded here survive a kill; the next attempt finds them finished."""

    def __init__(self, folder: Path) -> None:
        """Take up the work in `folder`, where an earlier attempt may have left finished shards.

        Worker processes may each hold a Draft of the same folder, as long as no two finish the same shard.
        """
        self.folder = folder
        (folder / "ledger").mkdir(parents=True, exist_ok=True)

    def table(self, name: str) -> Path:
        """The folder to write one table's or array's parts to."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def finished(self, shard: int) -> Facts | None:
        """The facts of a shard that an earlier attempt finished, or None where it is still to do."""
        path = self._ledger(shard)
        if not path.exists():
            return None
        facts: Facts = read_sealed(path)["facts"]
        return facts

    def finish(self, shard: int, files: Mapping[Path, int], facts: Facts | None = None) -> None:
        """Record a shard as done. `files`: published path -> row count. Nothing of the shard may be written later."""
        records = {
            str(path.relative_to(self.folder)): {"rows": rows, "bytes": path.stat().st_size, "sha256": checksum(path)}
            for path, rows in files.items()
        }
        self.adopt(shard, records, facts or {})

    def adopt(self, shard: int, records: Records, facts: Facts) -> None:
        """Record a shard as done whose files are those of another artifact, and have not changed since it told them."""
        publish_sealed(self._ledger(shard), {"files": records, "facts": facts})

    def shards(self) -> Iterator[tuple[int, Records, Facts]]:
        """Number, records of its files and facts of every finished shard, in order."""
        for number in sorted(int(path.stem) for path in (self.folder / "ledger").glob("*.json")):
            told = read_sealed(self._ledger(number))
            yield number, told["files"], told["facts"]

    def files(self) -> Records:
        """Records of every file of every finished shard."""
        return {name: record for _, records, _ in self.shards() for name, record in records.items()}

    def _ledger(self, shard: int) -> Path:
        return self.folder / "ledger" / f"{shard:05d}.json"
