"""What an earlier artifact holds is found by what it was made from, and by nothing less."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.storage.artifacts import WHOLE, Draft, Facts, Store
from pipeline.storage.pieces import EarlierPieces, key_of, named
from pipeline.storage.tables import part_path, write_table

SCHEMA = pa.schema([pa.field("x", pa.int64())])


@dataclass(frozen=True)
class Knobs:
    k: int = 8


def test_a_key_depends_on_code_settings_and_every_value() -> None:
    ids, values = np.array([1, 2]), np.zeros((2, 3), np.float16)
    base = key_of("stage", "1", Knobs(), [ids, values])
    others = [
        key_of("other", "1", Knobs(), [ids, values]),
        key_of("stage", "2", Knobs(), [ids, values]),
        key_of("stage", "1", Knobs(9), [ids, values]),
        key_of("stage", "1", Knobs(), [ids]),
        key_of("stage", "1", Knobs(), [values, ids]),
        key_of("stage", "1", Knobs(), [ids, values.reshape(3, 2)]),  # the same bytes
        key_of("stage", "1", Knobs(), [ids, -values]),
    ]
    assert len({base, *others}) == 8
    assert base == key_of("stage", "1", Knobs(), [ids.copy(), np.asfortranarray(values)])


def publish(store: Store, identity: str, shards: list[dict[str, list[int]]]) -> None:
    def build(draft: Draft) -> Facts:
        for number, told in enumerate(shards):
            pieces = [(key, pa.table({"x": values}, schema=SCHEMA)) for key, values in told.items()]
            path = part_path(draft.table("t"), number)
            tables = [SCHEMA.empty_table(), *(table for _, table in pieces)]
            draft.finish(number, {path: write_table(path, SCHEMA, tables)}, named(pieces))
        return {}

    store.make("stage", WHOLE, identity, build)


def taken(store: Store, key: str) -> list[int] | None:
    piece = EarlierPieces(store, "stage", "t", SCHEMA).take(key)
    return None if piece is None else piece["x"].to_pylist()


def test_pieces_of_several_shards_and_artifacts_are_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert taken(store, "a") is None
    publish(store, "one", [{"a": [1, 2], "b": [3]}, {"c": [], "d": [4, 5]}])
    publish(store, "two", [{"d": [4, 5], "e": [6]}])
    found = {key: taken(store, key) for key in "abcdef"}
    assert found == {"a": [1, 2], "b": [3], "c": [], "d": [4, 5], "e": [6], "f": None}


def test_a_shard_without_names_holds_nothing_to_take(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def build(draft: Draft) -> Facts:
        draft.finish(0, {}, {"rows": 3})
        return {}

    store.make("stage", WHOLE, "one", build)
    assert taken(store, "rows") is None
