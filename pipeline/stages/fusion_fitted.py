"""The scale and the mixture of `evidence-fused`: fitted to all images, kept, and lent to those of later crawls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from pipeline.engine import Workers, map_shards
from pipeline.evidence.fusion import Floats, FusionSettings, Mixture, Seen, fit_mixture
from pipeline.evidence.fusion_later import later_shares
from pipeline.evidence.fusion_views import VIEWS, Scale, first_guess
from pipeline.evidence.sampling import hashed_sample
from pipeline.stages.fusion_queries import Queries
from pipeline.stages.fusion_tables import Tables, Task
from pipeline.storage.arrays import blocks, finished, open_array, scratch_array, write_array
from pipeline.storage.artifacts import Artifact
from pipeline.storage.draft import Draft
from pipeline.storage.pieces import digest_of

SAMPLE_IMAGES = 200_000  # that settle the scale
SAMPLE_SEED = 0
FOLDER: Final = "mixture"
_ARRAYS: Final = ("knots", "edges", "ratio", "query_share", "class_share", "common")


@dataclass(frozen=True)
class Fitted:
    """What was learnt of some images."""

    scale: Scale
    mixture: Mixture  # its queries are those of `Queries`

    @classmethod
    def fit(cls, evidence: Tables, queries: Queries, settings: FusionSettings, workers: Workers) -> Self:
        """Learn it of all images of the tables, which are read once; of each image some 40 bytes lie on the disk."""
        t, sources = len(evidence.order), evidence.sources
        margin = scratch_array((t, len(sources)), np.float32)
        weight = scratch_array((t,), np.float32)
        read = map_shards(partial(_read, evidence), evidence.tasks, workers)
        for (_, rows), found in zip(evidence.tasks, read, strict=True):
            margin[rows], weight[rows] = found
        chosen = hashed_sample(evidence.order.image_id, SAMPLE_IMAGES, SAMPLE_SEED)
        scale = Scale.fit(margin[chosen], sources, settings.bins)
        bins, guess = scratch_array((t, len(VIEWS)), np.uint8), scratch_array((t,), np.float32)
        own = list(blocks(t))
        seen_as = map_shards(partial(_seen_as, finished(margin), scale), own, workers)
        for rows, (binned, first) in zip(own, seen_as, strict=True):
            bins[rows], guess[rows] = binned, first
        seen = Seen(bins, queries.of, weight, queries.class_of, len(evidence.order.sizes))
        return cls(scale, fit_mixture(seen, guess, settings))

    @classmethod
    def read(cls, artifact: Artifact) -> Self:
        """What an `evidence-fused` keeps."""
        folder, facts = artifact.table(FOLDER), artifact.facts
        knots, edges, ratio, query, label, common = (np.array(open_array(folder / f"{name}.npy")) for name in _ARRAYS)
        moved = facts["moved"] if facts["moved"] is not None else np.inf
        share, strength = common.tolist()
        mixture = Mixture(ratio, query, label, share, strength, facts["rounds"], moved)
        return cls(Scale(tuple(facts["sources"]), knots, edges), mixture)

    def keep(self, draft: Draft) -> dict[Path, int]:
        """Write it into a folder of the draft; the rows of each file."""
        scale, mixture = self.scale, self.mixture
        common = np.array([mixture.share, mixture.strength])
        told = (scale.knots, scale.edges, mixture.ratio, mixture.query_share, mixture.class_share, common)
        files = {}
        for name, values in zip(_ARRAYS, told, strict=True):
            path = draft.table(FOLDER) / f"{name}.npy"
            with write_array(path, values.shape, np.float64) as out:
                out[:] = values
            files[path] = len(values)
        return files

    @property
    def digest(self) -> str:
        """What it is, but for the shares of its queries."""
        return digest_of(self.scale.knots, self.scale.edges, self.mixture.ratio)

    def lent(
        self, evidence: Tables, queries: Queries, fitted: Sequence[int], settings: FusionSettings, workers: Workers
    ) -> Self:
        """The same for the images of more crawls, each of whose queries gets its share from its own images.

        Args:
            evidence: of all crawls.
            queries: of all crawls.
            fitted: positions of the crawls that it was fitted to.
            settings: of the fit.
            workers: threads, or a cluster; only stretches of classes that other crawls have images of are read.
        """
        later = ~np.isin(queries.crawl, fitted)
        share = np.empty(len(later))
        share[~later] = self.mixture.query_share
        label = evidence.order.class_index
        within = [(task, queries.within(label[task[1]])) for task in evidence.tasks]
        tasks = [(task, own) for task, own in within if later[own].any()]
        found = map_shards(partial(_later_shares, self, evidence, queries, later, settings), tasks, workers)
        for (_, own), of_stretch in zip(tasks, found, strict=True):
            share[own][later[own]] = of_stretch[later[own]]
        return replace(self, mixture=replace(self.mixture, query_share=share))


def _read(evidence: Tables, task: Task) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Margins and weights of the images of a stretch."""
    return evidence.margins(task), evidence.counts(task)


def _seen_as(
    margin: npt.NDArray[np.float32], scale: Scale, rows: slice
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Bins and first guess of some images."""
    return scale.bins(scale.scores(margin[rows])), first_guess(margin[rows], scale.sources)


def _later_shares(
    fitted: Fitted,
    evidence: Tables,
    queries: Queries,
    later: npt.NDArray[np.bool_],
    settings: FusionSettings,
    task: tuple[Task, slice],
) -> Floats:
    """Shares of the queries of a stretch; only those of the later ones mean anything."""
    stretch, own = task
    query = queries.of[stretch[1]]
    chosen = np.flatnonzero(later[query])
    bins = fitted.scale.bins(fitted.scale.scores(evidence.margins(stretch)[chosen]))
    weight, class_of = evidence.counts(stretch)[chosen], queries.class_of[own]
    seen = Seen(bins, query[chosen] - own.start, weight, class_of, len(evidence.order.sizes))
    return later_shares(fitted.mixture, seen, settings)
