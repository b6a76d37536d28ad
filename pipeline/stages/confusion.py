"""Stage `evidence-confusion`: the images of classes that are taken for each other, clustered together.

Groups of classes are gathered into batches of about one shard's images; the clusters of a batch are kept as soon as
they are found. Then the table is written in the order of all evidence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence.confusion import (
    ConfusedPairs,
    ConfusionSettings,
    class_shares,
    cluster_jointly,
    confused_groups,
    confused_pairs,
)
from pipeline.evidence_tables import CONFUSED_GROUPS, CONFUSION, PAIRS
from pipeline.stages.classes import ClassOrder, current_features, read_column, stretches
from pipeline.storage.arrays import ArrayShards, open_array, scratch_array, write_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.parts import EarlierParts, keyed
from pipeline.storage.pieces import digest_of
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-confusion"
CODE_VERSION = "2"


def make_confusion(
    store: Store,
    crawls: Sequence[str],
    settings: ConfusionSettings,
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Find the confused classes by the opinions, cluster each group's images, tell whose each cluster is.

    Args:
        store: where listing, images, features and `evidence-opinion` are current.
        crawls: the crawls to read.
        settings: what counts as confused, and of the clustering.
        workers: threads, or a cluster; each holds the features of one group.
        on_progress: called with the number of images just done.

    Returns:
        Beside `evidence/` (CONFUSION): `pairs/` (PAIRS), `groups/` (CONFUSED_GROUPS), and `joint/part-k.npy`, int32,
        the joint clusters of batch k of groups: group after group, its classes ascending, in the order of evidence.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    features = current_features(store, crawls)
    opinion = store.current("evidence-opinion")

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        predicted = read_column(opinion, order, "predicted_class")
        pairs = confused_pairs(order.class_index, predicted, len(order.sizes), settings.least_images)
        groups = confused_groups(pairs, order.sizes, settings)
        pools = _Pools(order, groups)
        shards = ArrayShards([artifact.table("features") for artifact in features])
        tasks = list(enumerate(stretches(order.sizes)))
        _write_graph(draft, len(tasks), pairs, groups, settings)
        with threadpool_limits(1):  # one group a thread
            joint = _cluster(draft, len(tasks) + 1, pools, shards, settings, (workers, on_progress))
        owned = _Owned(pools, joint)
        keys = [owned.key(classes) for _, classes in tasks]
        EarlierParts(store, STAGE).left(draft, keys)  # what is linked now counts as finished below
        for alone in map_shards(partial(_write_evidence, draft, owned, keys), tasks, workers):
            on_progress(alone)
        return {"images": len(order), **owned.facts}

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images, *features, opinion]))
    return store.make(STAGE, WHOLE, wanted, build)


@dataclass(frozen=True)
class _Pools:
    """The images of each group of classes."""

    order: ClassOrder
    groups: Sequence[tuple[int, ...]]

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(g,) images of each group."""
        return np.array([self.order.sizes[list(classes)].sum() for classes in self.groups], np.int64)

    def rows(self, group: int) -> npt.NDArray[np.int64]:
        """The group's images in the order of evidence."""
        starts = self.order.starts
        return np.concatenate([np.arange(starts[c], starts[c + 1]) for c in self.groups[group]])


def _write_graph(
    draft: Draft, shard: int, pairs: ConfusedPairs, groups: Sequence[tuple[int, ...]], settings: ConfusionSettings
) -> None:
    if draft.finished(shard) is not None:
        return
    told = {name: values[: settings.pairs] for name, values in vars(pairs).items()}
    listed = [{"confused_group": g, "class_index": c} for g, classes in enumerate(groups) for c in classes]
    tables = {
        "pairs": (PAIRS, pa.table(told, schema=PAIRS)),
        "groups": (CONFUSED_GROUPS, pa.Table.from_pylist(listed, schema=CONFUSED_GROUPS)),
    }
    files = {}
    for folder, (schema, table) in tables.items():
        path = part_path(draft.table(folder), 0)
        files[path] = write_table(path, schema, [table])
    draft.finish(shard, files)


def _cluster(
    draft: Draft,
    first: int,
    pools: _Pools,
    shards: ArrayShards,
    settings: ConfusionSettings,
    run: tuple[Workers, Callable[[int], None]],
) -> npt.NDArray[np.int32]:
    """The joint cluster of every image, -1 without one; batches of groups are shards from number `first` on."""
    workers, on_progress = run
    joint = scratch_array((len(pools.order),), np.int32)
    joint[:] = -1
    for number, batch in enumerate(stretches(pools.sizes)):
        path = _joint_path(draft, number)
        if draft.finished(first + number) is None:
            found = list(map_shards(partial(_cluster_group, pools, shards, settings), batch, workers))
            with write_array(path, (int(pools.sizes[batch.start : batch.stop].sum()),), np.int32) as out:
                out[:] = np.concatenate(found)
            draft.finish(first + number, {path: len(out)})
        joint[np.concatenate([pools.rows(group) for group in batch])] = open_array(path)
        on_progress(int(pools.sizes[batch.start : batch.stop].sum()))
    return joint


def _joint_path(draft: Draft, number: int) -> Path:
    return draft.table("joint") / f"part-{number:05d}.npy"


def _cluster_group(
    pools: _Pools, shards: ArrayShards, settings: ConfusionSettings, group: int
) -> npt.NDArray[np.int32]:
    rows = pools.rows(group)

    def read(chosen: npt.NDArray[np.intp]) -> Any:
        return pools.order.gather(shards, rows[chosen])

    return cluster_jointly(read, pools.order.image_id[rows], len(pools.groups[group]), settings)


@dataclass(frozen=True)
class _Owned:
    """Whose each joint cluster is."""

    pools: _Pools
    joint: npt.NDArray[np.int32]  # (t,) joint cluster of each image

    @cached_property
    def shares(self) -> list[npt.NDArray[np.float64]]:
        """(clusters, classes) of each group."""
        found = []
        for group, classes in enumerate(self.pools.groups):
            rows = self.pools.rows(group)
            member = np.searchsorted(classes, self.pools.order.class_index[rows])
            found.append(class_shares(self.joint[rows], member, len(classes)))
        return found

    @cached_property
    def group_of(self) -> dict[int, int]:
        """Class -> its group, for the classes that have one."""
        return {c: group for group, classes in enumerate(self.pools.groups) for c in classes}

    @property
    def facts(self) -> Facts:
        """What there is to tell of all groups."""
        return {
            "groups": len(self.pools.groups),
            "confused_classes": len(self.group_of),
            "joint_clusters": sum(len(share) for share in self.shares),
        }

    def key(self, classes: range) -> str:
        """What the rows of a stretch are made of: images, their joint clusters, and whose those are."""
        starts = self.pools.order.starts
        rows = slice(int(starts[classes.start]), int(starts[classes.stop]))
        grouped = [(c, self.group_of[c]) for c in classes if c in self.group_of]
        told = [[c, group, self.pools.groups[group]] for c, group in grouped]
        images = digest_of(self.pools.order.image_id[rows], self.pools.order.class_index[rows], self.joint[rows])
        return identity(STAGE, CODE_VERSION, told, [images, *(digest_of(self.shares[group]) for _, group in grouped)])

    def columns(self, class_index: int) -> dict[str, npt.NDArray[Any]]:
        """Owner and shares of the images of a class in a group; -1 and NaN for those without a joint cluster."""
        group = self.group_of[class_index]
        classes = np.array(self.pools.groups[group])
        cluster = self.joint[self.pools.order.rows(class_index)]
        share = np.vstack([self.shares[group], np.full(len(classes), np.nan)])  # the last row is for cluster -1
        owner = np.append(classes[self.shares[group].argmax(axis=1)], -1)
        return {
            "confused_group": np.full(len(cluster), group, np.int32),
            "owner_class": owner[cluster].astype(np.int32),
            "owner_share": share.max(axis=1)[cluster].astype(np.float32),
            "own_share": share[:, np.searchsorted(classes, class_index)][cluster].astype(np.float32),
        }


def _write_evidence(draft: Draft, owned: _Owned, keys: Sequence[str], task: tuple[int, range]) -> int:
    """Returns how many of the images are of classes that are confused with none."""
    number, classes = task
    order = owned.pools.order
    rows = slice(int(order.starts[classes.start]), int(order.starts[classes.stop]))
    grouped = [c for c in classes if c in owned.group_of]
    alone: int = rows.stop - rows.start - int(order.sizes[grouped].sum())
    if draft.finished(number) is not None:
        return alone
    n = rows.stop - rows.start
    columns: dict[str, npt.NDArray[Any]] = {
        "confused_group": np.full(n, -1, np.int32),
        "owner_class": np.full(n, -1, np.int32),
        "owner_share": np.full(n, np.nan, np.float32),
        "own_share": np.full(n, np.nan, np.float32),
    }
    for c in grouped:
        at = slice(int(order.starts[c]) - rows.start, int(order.starts[c + 1]) - rows.start)
        for name, values in owned.columns(c).items():
            columns[name][at] = values
    cluster = owned.joint[rows]
    told = {name: pa.array(values, mask=cluster < 0) for name, values in columns.items() if name != "confused_group"}
    first = {"image_id": order.image_id[rows], "confused_group": columns["confused_group"], "joint_cluster": cluster}
    path = part_path(draft.table("evidence"), number)
    draft.finish(
        number, {path: write_table(path, CONFUSION, [pa.table(first | told, schema=CONFUSION)])}, keyed(keys[number])
    )
    return alone
