"""The last plan and the last calibration, kept with the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from pipeline.planning.figures import Machine
from pipeline.planning.plan import Row
from pipeline.storage.artifacts import Store
from pipeline.storage.atomic import publish_json, read_json

PLAN: Final = "plan.json"
CALIBRATION: Final = "calibration.json"


def keep_plan(store: Store, machine: Machine, rows: Sequence[Row]) -> None:
    """Remember what was foretold, to be held against what comes."""
    publish_json(store.root / PLAN, {"machine": asdict(machine), "rows": [asdict(row) for row in rows]})


def kept_plan(store: Store) -> tuple[Machine, list[Row]] | None:
    """The last plan of this machine, or None where none was made."""
    path = store.root / PLAN
    if not path.exists():
        return None
    told = read_json(path)
    rows = [Row(**{**row, "partitions": tuple(row["partitions"])}) for row in told["rows"]]
    return Machine(**told["machine"]), rows


def keep_calibration(store: Store, key: str, told: Mapping[str, Any]) -> None:
    """Remember the rates measured under a key that tells machine, settings and crawl."""
    publish_json(store.root / CALIBRATION, {"key": key, "told": told})


def kept_calibration(store: Store, key: str) -> Mapping[str, Any] | None:
    """The rates measured under that very key, if they were the last."""
    path = store.root / CALIBRATION
    if not path.exists():
        return None
    told = read_json(path)
    return told["told"] if told["key"] == key else None
