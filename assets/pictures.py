"""The pictures beside an asset's figures in the Dagster UI: a look at what came out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.report.sheets import SheetSettings, contact_sheet
from pipeline.stages.population import align, read_population
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table

ACROSS = 12


def decoded_sample(images: Artifact, count: int = 4 * ACROSS) -> bytes | None:
    """A JPEG of pictures evenly spread over a decoded crawl; None where nothing is usable."""
    table = read_table(images.table("images"), ("shard", "row")).drop_null()
    at = _spread(len(table), count)
    return _sheet([images], table["shard"].to_numpy()[at], table["row"].to_numpy()[at])


def cluster_sample(store: Store, crawls: Sequence[str], evidence: Artifact) -> bytes | None:
    """A JPEG of the largest class, a row of pictures for each of its clusters, the largest cluster first."""
    images = [store.current("images", crawl) for crawl in crawls]
    population = read_population([store.current("listing", crawl) for crawl in crawls], images)
    trainable = population.trainable
    table = read_table(evidence.table("evidence"), ("image_id", "cluster"))
    cluster = align(table, population.image_id[trainable], ("cluster",))["cluster"]
    largest = np.bincount(population.class_index[trainable]).argmax() if len(trainable) else 0
    own = population.class_index[trainable] == largest
    rows = [trainable[own & (cluster == number)] for number in range(int(cluster[own].max(initial=-1)) + 1)]
    shown = np.concatenate([row[_spread(len(row), ACROSS)] for row in rows if len(row) >= ACROSS] or [trainable[:0]])
    return _sheet(images, population.shard[shown], population.row[shown])


def weight_sample(store: Store, crawls: Sequence[str], manifest: Artifact) -> bytes | None:
    """A JPEG of two rows of the heaviest training images, then two rows of the lightest."""
    images = [store.current("images", crawl) for crawl in crawls]
    population = read_population([store.current("listing", crawl) for crawl in crawls], images)
    trainable = population.trainable
    table = read_table(manifest.table("manifest"), ("image_id", "weight"))
    weight = align(table, population.image_id[trainable], ("weight",))["weight"]
    order = trainable[np.argsort(-weight, kind="stable")]
    shown = np.concatenate([order[: 2 * ACROSS], order[-2 * ACROSS :]]) if len(order) >= 4 * ACROSS else order
    return _sheet(images, population.shard[shown], population.row[shown])


def _spread(length: int, count: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, length - 1, min(count, length)).astype(np.int64)) if length else np.array([], int)


def _sheet(images: Sequence[Artifact], shard: npt.NDArray[np.int32], row: npt.NDArray[np.int32]) -> bytes | None:
    if not len(shard):
        return None
    pixels = ArrayShards([artifact.table("pixels") for artifact in images])
    return contact_sheet(pixels.gather(shard, row), ACROSS, SheetSettings())
