"""Stage `evidence-kmeans`: cluster every class on the baseline's features, a stretch of classes at a time."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine import map_shards
from pipeline.evidence.kmeans import KMeansSettings, cluster_class
from pipeline.records import EVIDENCE_KMEANS
from pipeline.stages.population import Population, read_population
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import WHOLE, Artifact, Draft, Facts, Store, identity, inputs_of
from pipeline.storage.tables import write_table

STAGE = "evidence-kmeans"
CODE_VERSION = "1"
SHARD_IMAGES = 50_000  # classes are gathered until a shard has about so many images; a larger class is a shard alone


def make_kmeans(
    store: Store,
    crawls: Sequence[str],
    settings: KMeansSettings,
    *,
    workers: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Cluster the usable training images of each class, over all crawls together.

    Args:
        store: where listing, images and features of the crawls are current.
        crawls: the crawls to read.
        settings: of the clustering.
        workers: threads; each holds one class's features.
        on_progress: called with the number of images just done.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    features = [store.current("features", crawl) for crawl in crawls]

    def build(draft: Draft) -> Facts:
        population = read_population(listings, images)
        shards = ArrayShards([artifact.table("features") for artifact in features])
        members, starts = by_class(population)
        tasks = [(k, task) for k, task in enumerate(stretches(np.diff(starts))) if draft.finished(k) is None]
        work = partial(_cluster_stretch, draft, population, shards, (members, starts), settings)
        for done in map_shards(work, tasks, workers):
            on_progress(done)
        return {"images": len(members), "classes": int((np.diff(starts) > 0).sum()), "clusters": settings.clusters}

    wanted = identity(STAGE, CODE_VERSION, settings, inputs_of([*listings, *images, *features]))
    return store.make(STAGE, WHOLE, wanted, build)


def by_class(population: Population) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of the usable training images grouped by class, and where each class starts in them (classes + 1)."""
    members = population.trainable
    classes = population.class_index[members]
    order = np.argsort(classes, kind="stable")
    counts = np.bincount(classes, minlength=int(population.class_index.max()) + 1 if len(population.class_index) else 0)
    return members[order], np.concatenate([[0], np.cumsum(counts)])


def stretches(sizes: npt.NDArray[np.integer[Any]]) -> list[range]:
    """Cut the classes, given their sizes, into runs of about SHARD_IMAGES images; no class is cut."""
    shard = (np.cumsum(sizes) - sizes) // SHARD_IMAGES
    edges = [0, *(np.flatnonzero(np.diff(shard)) + 1).tolist(), len(sizes)]
    return [range(first, last) for first, last in itertools.pairwise(edges) if last > first]


def _cluster_stretch(
    draft: Draft,
    population: Population,
    shards: ArrayShards,
    groups: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    settings: KMeansSettings,
    task: tuple[int, range],
) -> int:
    number, classes = task
    members, starts = groups
    path = draft.table("evidence") / f"part-{number:05d}.parquet"

    def batches() -> list[pa.RecordBatch]:
        found = []
        for index in classes:
            own = members[starts[index] : starts[index + 1]]
            clusters = cluster_class(shards.gather(population.shard[own], population.row[own]), settings)
            columns = [population.image_id[own], clusters.cluster, clusters.share, clusters.distance]
            found.append(pa.record_batch(columns, schema=EVIDENCE_KMEANS))
        return found

    rows = write_table(path, EVIDENCE_KMEANS, [pa.Table.from_batches(batches(), EVIDENCE_KMEANS)])
    draft.finish(number, {path: rows})
    return rows
