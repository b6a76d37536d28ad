"""Features of images that were encoded before by the same network, taken over part by part."""

import numpy as np

from pipeline.storage.arrays import open_array, write_array
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Draft
from pipeline.storage.pieces import latest
from pipeline.storage.tables import part_path, part_paths, read_part


def carry_features(store: Store, draft: Draft, stage: str, partition: str, network: str, images: Artifact) -> bool:
    """Finish the parts of `draft` whose images an earlier artifact has encoded; says whether none is left to do.

    Args:
        store: where the earlier artifact is looked for.
        draft: of the features.
        stage: of the features.
        partition: of the features.
        network: the identity of the model.
        images: whose features are made. An earlier artifact's images must be of the same listing, part beside part.
    """
    parts = range(len(part_paths(images.table("images"))))
    for found in latest(store, stage, partition):
        encoded = store.find("images", images.partition, found.facts.get("pixels", "none"))
        if encoded is not None and found.facts.get("networks") == [network]:
            for part in parts:
                if draft.finished(part) is None:
                    _carry(draft, part, found, (encoded, images))
    return all(draft.finished(part) is not None for part in parts)


def _carry(draft: Draft, part: int, features: Artifact, images: tuple[Artifact, Artifact]) -> None:
    """Take over a part, where all its images were there and had the same bytes."""
    paths = [part_path(artifact.table("images"), part) for artifact in images]
    if not paths[0].exists():
        return
    before, now = (read_part(path, ("image_id", "sha256", "row")) for path in paths)
    usable = now["row"].is_valid()
    if not now["image_id"].equals(before["image_id"]):
        return
    wanted, held = now.filter(usable), before.filter(usable)
    if held["row"].null_count or not held["sha256"].equals(wanted["sha256"]):
        return
    stored = open_array(features.table("features") / f"part-{part:05d}.npy")
    rows = np.empty(len(held), np.int64)
    rows[wanted["row"].to_numpy()] = held["row"].to_numpy()
    path = draft.table("features") / f"part-{part:05d}.npy"
    with write_array(path, (len(rows), *stored.shape[1:]), stored.dtype) as out:
        out[:] = stored[rows]
    draft.finish(part, {path: len(rows)})
