"""What an earlier artifact holds is found by what it was made from, and by nothing less."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.storage.artifacts import WHOLE, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.pieces import EarlierPieces, digest_of, named
from pipeline.storage.tables import part_path, write_table

SCHEMA = pa.schema([pa.field("x", pa.int64())])


def test_a_digest_depends_on_every_value_type_and_shape() -> None:
    ids, values = np.array([1, 2]), np.zeros((2, 3), np.float16)
    others = [
        digest_of(ids),
        digest_of(values, ids),
        digest_of(ids, values.reshape(3, 2)),  # the same bytes
        digest_of(ids, -values),
        digest_of(ids, values.view(np.int16)),
    ]
    assert len({digest_of(ids, values), *others}) == 6
    assert digest_of(ids, values) == digest_of(ids.copy(), np.asfortranarray(values))


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
