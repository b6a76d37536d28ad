"""Stage `features` of a cross-fitted baseline: each image's vector comes from a network that never saw its label.

What a network was trained on, it has learned by heart to some degree, wrong labels too: its vectors place an image
among those of its label. Here K networks are each trained without one fold, all images are encoded by each of them
(`features-fold`), the spaces are laid over network 0's (`features-alignment`), and each image takes one vector.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence.alignment import Alignment, Moments, align, network_for
from pipeline.stages.crawl_order import read_population
from pipeline.stages.population import Population
from pipeline.storage.arrays import Array, ArrayShards, open_array, write_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import read_table

FOLD_STAGE = "features-fold"
ALIGNMENT_STAGE = "features-alignment"
STAGE = "features"
CODE_VERSION = "crossfit-1"  # told apart from the features of a single network, which are of the same stage
STRETCH_PARTS = 8  # whose sums are held at once


def fold_partition(crawl: str, network: int) -> str:
    """The partition of a crawl's features by one of the networks, in stage `features-fold`."""
    return f"{crawl}.fold-{network}"


def make_crossfit_features(
    store: Store,
    crawl: str,
    crawls: Sequence[str],
    models: Sequence[Artifact],
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """One vector for every usable image of a crawl, part by part beside its pixels, in the space of network 0.

    Args:
        store: where listing, images and the features of every network are current for all crawls.
        crawl: whose features are made.
        crawls: all crawls; the spaces are compared on the images of all.
        models: the networks, in the order of their `features-fold` partitions; their `margins` tell what each saw.
        workers: threads, or a cluster; each holds one part.
        on_progress: called with the number of images just done.

    Raises:
        ValueError: every network was trained on some image.
    """
    listing, images = store.current("listing", crawl), store.current("images", crawl)
    own = [store.current(FOLD_STAGE, fold_partition(crawl, number)) for number in range(len(models))]
    alignment = _make_alignment(store, crawls, len(models), workers)

    def build(draft: Draft) -> Facts:
        population = read_population([listing], [images])
        chosen = network_for(population.image_id, np.stack([_seen(model, population.image_id) for model in models]))
        spaces = [ArrayShards([artifact.table("features")]).shards for artifact in own]
        maps = [_read_map(alignment, number) for number in range(1, len(models))]
        parts = [part for part in range(len(spaces[0])) if draft.finished(part) is None]
        with threadpool_limits(1):  # one part a thread
            for done in map_shards(partial(_write, draft, population, chosen, spaces, maps), parts, workers):
                on_progress(done)
        return {
            "images": images.facts["usable"],
            "models": [model.partition for model in models],
            "networks": [model.identity for model in models],
            "agreement": alignment.facts["agreement"],
        }

    wanted = identity(STAGE, CODE_VERSION, {}, inputs_of([listing, images, alignment, *own, *models]))
    return store.make(STAGE, crawl, wanted, build)


def _make_alignment(store: Store, crawls: Sequence[str], networks: int, workers: Workers) -> Artifact:
    """The maps of networks 1, 2, ... into the space of network 0, fitted on all usable images of all crawls."""
    encoded = [
        [store.current(FOLD_STAGE, fold_partition(crawl, number)) for crawl in crawls] for number in range(networks)
    ]

    def build(draft: Draft) -> Facts:
        target, *sources = [ArrayShards([artifact.table("features") for artifact in own]).shards for own in encoded]
        for number, source in enumerate(sources, start=1):
            if draft.finished(number) is not None:
                continue
            found = align(_moments(source, target, workers))
            path = draft.table("maps") / f"part-{number:05d}.npy"
            with write_array(path, (len(found.offset) + 1, len(found.offset)), np.float64) as stored:
                stored[:-1], stored[-1] = found.matrix, found.offset
            draft.finish(number, {path: len(found.offset) + 1}, {"agreement": round(found.agreement, 4)})
        return {"agreement": [(draft.finished(number) or {})["agreement"] for number in range(1, networks)]}

    inputs = inputs_of([artifact for own in encoded for artifact in own])
    return store.make(ALIGNMENT_STAGE, WHOLE, identity(ALIGNMENT_STAGE, CODE_VERSION, {}, inputs), build)


def _moments(source: Sequence[Array], target: Sequence[Array], workers: Workers) -> Moments:
    """Sums over all parts, added up in their order, so that no number of workers changes a bit."""
    total = Moments.none(target[0].shape[1])
    with threadpool_limits(1):
        for start in range(0, len(target), STRETCH_PARTS):
            parts = range(start, min(start + STRETCH_PARTS, len(target)))
            for found in map_shards(lambda part: Moments.of(source[part], target[part]), parts, workers):
                total = total + found
    return total


def _read_map(alignment: Artifact, number: int) -> Alignment:
    stored = open_array(alignment.table("maps") / f"part-{number:05d}.npy")
    return Alignment(np.asarray(stored[:-1]), np.asarray(stored[-1]), alignment.facts["agreement"][number - 1])


def _seen(model: Artifact, image_id: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(n,) which images the model's training saw."""
    margins = read_table(model.table("margins"), ("image_id", "sightings"))
    seen = margins["image_id"].to_numpy()[margins["sightings"].to_numpy() > 0]
    return np.isin(image_id, seen)


def _write(
    draft: Draft,
    population: Population,
    chosen: npt.NDArray[np.int64],
    spaces: Sequence[Sequence[Array]],
    maps: Sequence[Alignment],
    part: int,
) -> int:
    """One part of a crawl: its rows from the networks chosen for them."""
    members = np.flatnonzero(population.shard == part)
    network = np.empty(len(members), np.int64)
    network[population.row[members]] = chosen[members]
    path = draft.table("features") / f"part-{part:05d}.npy"
    with write_array(path, spaces[0][part].shape, np.float16) as stored:
        for number, space in enumerate(spaces):
            rows = np.flatnonzero(network == number)
            vectors = space[part][rows]
            stored[rows] = vectors if number == 0 else maps[number - 1].apply(vectors)
    draft.finish(part, {path: len(network)})
    return len(network)
