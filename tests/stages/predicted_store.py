"""Made-up predictions, published as a model's are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.result_tables import predictions
from pipeline.storage.artifacts import Artifact, Store, identity
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table


def add_predictions(
    store: Store,
    partition: str,
    logits: NDArray[Any],
    split: Sequence[str],
    label: Sequence[int],
    *,
    image_id: Sequence[int] | None = None,
    stage: str = "predictions",
    part_rows: int = 1000,
) -> Artifact:
    """Logits (n, C) of n images, numbered from 0 where nothing else is said."""
    images, classes = logits.shape
    schema = predictions(classes)
    table = pa.table(
        {
            "image_id": pa.array(range(images) if image_id is None else image_id, pa.int64()),
            "seed": pa.array([int(partition.rpartition("@")[2])] * images, pa.int32()),
            "split": pa.array(split, pa.string()),
            "class_index": pa.array(label, pa.int32()),
            "logits": pa.FixedSizeListArray.from_arrays(pa.array(logits.astype(np.float16).ravel()), classes),
        },
        schema=schema,
    )

    def build(draft: Draft) -> Facts:
        for number, start in enumerate(range(0, images, part_rows)):
            path = part_path(draft.table("predictions"), number)
            draft.finish(number, {path: write_table(path, schema, [table.slice(start, part_rows)])})
        return {"images": images}

    wanted = identity(stage, "made up", [part_rows, logits.tolist()], map(str, table["image_id"].to_pylist()))
    return store.make(stage, partition, wanted, build)
