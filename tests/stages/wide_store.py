"""A made-up run of as many classes as one likes, a few tiny pictures each, published as the real stages publish it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.evidence_tables import EVIDENCE
from pipeline.records import CLASSES, IMAGES, LISTING, MANIFEST
from pipeline.result_tables import predictions
from pipeline.stages.summary import make_summary
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import WHOLE, Store, seeded
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

EACH = 3  # training images of a class; one more is for testing
RECIPES = ["baseline", "weighed"]
NAMES = ("wallet", "écharpe", "running shoe", "jersey", "belt", "cap", "kurta", "pump", "watch", "bag")


def class_name(k: int) -> str:
    """Distinct for each class: `wallet 0`, `écharpe 1` and so on."""
    return f"{NAMES[k % len(NAMES)]} {k}"


def wide_store(folder: Path, classes: int) -> Store:
    """One crawl, decoded, with evidence and two recipes' weights; below 100 classes with predictions, too."""
    store = Store(folder)
    label = np.repeat(np.arange(classes, dtype=np.int32), EACH)
    right = (np.arange(len(label)) * 7 % 11 / 10).astype(np.float32)
    store.make("listing", "wide", "l", partial(_listing, label, classes))
    store.make("images", "wide", "i", partial(_images, len(label) + classes))
    _evidence(store, "kmeans", {"cluster": np.arange(len(label)) % 2, "cluster_share": right, "distance": right})
    _evidence(store, "fused", {"right_probability": right}, **_shares(right[::EACH]))
    joint = {"joint_cluster": np.arange(len(label)) % 2, "owner_class": label, "owner_share": right, "own_share": right}
    _evidence(store, "confusion", joint | {"confused_group": label // 2}, **_confused(min(24, classes)))
    for name, weight in (("baseline", np.ones_like(right)), ("weighed", right)):
        _manifest(store, name, label, weight)
        if classes < 100:
            _predictions(store, name, classes)
    if classes < 100:
        make_summary(store, RECIPES, [0])
    return store


def _shares(right: np.ndarray) -> dict[str, pa.Table]:
    """How right each class is, and its only query, which nobody named."""
    told = {"class_index": np.arange(len(right), dtype=np.int32), "images": np.full(len(right), EACH)}
    classes = pa.table(told | {"right_share": right.astype(np.float64)})
    crawl, query = pa.array(["wide"] * len(right)), pa.nulls(len(right), pa.int32())
    return {"classes": classes, "queries": classes.append_column("crawl", crawl).append_column("query_id", query)}


def _confused(classes: int) -> dict[str, pa.Table]:
    """Pairs of neighbouring classes."""
    own = np.arange(classes)
    pairs = {"class_a": own[::2], "class_b": own[1::2], "rate": 0.5 - 0.01 * own[::2]}
    return {"pairs": pa.table(pairs), "groups": pa.table({"confused_group": own // 2, "class_index": own})}


def _manifest(store: Store, name: str, label: np.ndarray, weight: np.ndarray) -> None:
    rows = len(label)
    columns: dict[str, Any] = {
        "image_id": np.arange(rows),
        "class_index": label,
        "weight": weight,
        "repeats": np.ones(rows),
    }
    columns |= {"kept": weight > 0, "path": ["p"] * rows, "reason": ["so"] * rows}
    store.make("manifest", name, "m", partial(_one, "manifest", _table(MANIFEST, rows, columns)))


def _predictions(store: Store, name: str, classes: int) -> None:
    """Every third test image is taken for one of the next class."""
    own = np.arange(classes)
    logits = np.eye(classes, dtype=np.float16)[(own + (own % 3 == 0)) % classes]
    columns: dict[str, Any] = {"image_id": EACH * classes + own, "split": ["test"] * classes, "class_index": own}
    columns |= {"logits": pa.FixedSizeListArray.from_arrays(logits.ravel(), classes)}
    table = _table(predictions(classes), classes, columns)
    store.make("predictions", seeded(name, 0), "p", partial(_one, "predictions", table))


def _evidence(store: Store, source: str, columns: Mapping[str, Any], **beside: pa.Table) -> None:
    rows = len(next(iter(columns.values())))

    def build(draft: Draft) -> Facts:
        tables = {"evidence": _table(EVIDENCE[source], rows, {"image_id": np.arange(rows), **columns}), **beside}
        paths = {part_path(draft.table(name), 0): table for name, table in tables.items()}
        draft.finish(0, {path: write_table(path, table.schema, [table]) for path, table in paths.items()})
        return {"rounds": 1, "verified": 0}

    store.make(f"evidence-{source}", WHOLE, "e", build)


def _one(name: str, table: pa.Table, draft: Draft) -> Facts:
    path = part_path(draft.table(name), 0)
    draft.finish(0, {path: write_table(path, table.schema, [table])})
    return {}


def _table(schema: pa.Schema, rows: int, columns: Mapping[str, Any]) -> pa.Table:
    """The columns as the schema has them; null, or 0 where that may not be, where none is given."""
    made = []
    for field in schema:
        if field.name in columns:
            given = columns[field.name]
            made.append(pa.array(given).cast(field.type) if not isinstance(given, pa.Array) else given)
        else:
            made.append(pa.nulls(rows, field.type) if field.nullable else pa.array(np.zeros(rows)).cast(field.type))
    return pa.Table.from_arrays(made, schema=schema)


def _listing(label: np.ndarray, classes: int, draft: Draft) -> Facts:
    rows = len(label) + classes
    listed = {
        "image_id": np.arange(rows),
        "crawl": ["wide"] * rows,
        "path": [f"{k}.jpg" for k in range(rows)],
        "class_index": np.concatenate([label, np.arange(classes, dtype=np.int32)]),
        "rank": np.arange(rows) % EACH + 1,
        "title": [f"picture {k}" for k in range(rows)],
        "split": ["train"] * len(label) + ["test"] * classes,
    }
    catalogue = {
        "class_index": np.arange(classes),
        "wnid": [f"n{k:08d}" for k in range(classes)],
        "lemmas": [[class_name(k)] for k in range(classes)],
        "gloss": ["something to wear or to carry, as the catalogue puts it at some length"] * classes,
    }
    tables = {"listing": _table(LISTING, rows, listed), "classes": _table(CLASSES, classes, catalogue)}
    paths = {part_path(draft.table(name), 0): table for name, table in tables.items()}
    draft.finish(0, {path: write_table(path, table.schema, [table]) for path, table in paths.items()})
    return {"listed": rows, "classes": classes}


def _images(rows: int, draft: Draft) -> Facts:
    columns = {
        "image_id": np.arange(rows),
        "status": ["usable"] * rows,
        "shard": np.zeros(rows),
        "row": np.arange(rows),
    }
    table, pixels = _table(IMAGES, rows, columns), draft.table("pixels") / "part-00000.npy"
    path = part_path(draft.table("images"), 0)
    with write_array(pixels, (rows, 8, 8, 3), np.uint8) as out:
        out[:] = (np.arange(rows) % 251)[:, None, None, None]
    draft.finish(0, {path: write_table(path, table.schema, [table]), pixels: rows})
    return {}
