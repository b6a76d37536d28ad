"""Stage `evidence-aum`: what the trainings of the baseline noted of each label while they went on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine import Workers, map_shards
from pipeline.evidence_tables import AUM
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, read_table, write_table

STAGE = "evidence-aum"
CODE_VERSION = "3"


def make_aum(
    store: Store,
    crawls: Sequence[str],
    models: Sequence[Artifact],
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """The mean margin of each usable training image over the sightings of all these trainings.

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read.
        models: the baseline, or the networks of a cross-fitted one, each of which saw most of the images.
        workers: threads, or a cluster; each holds a stretch of classes.
        on_progress: called with the number of images just done.

    Raises:
        ValueError: no model is given.
    """
    if not models:
        raise ValueError("models must be at least one: margins come from a training")
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        logs = [_read(model) for model in models]
        tasks = [(k, task) for k, task in enumerate(stretches(order.sizes)) if draft.finished(k) is None]
        for rows in map_shards(partial(_write, draft, order, logs), tasks, workers):
            on_progress(rows)
        told = {"models": [model.partition for model in models], "made_of": [model.identity for model in models]}
        return {"images": len(order), **told}

    wanted = identity(STAGE, CODE_VERSION, {}, inputs_of([*listings, *images, *models]))
    return store.make(STAGE, WHOLE, wanted, build)


@dataclass(frozen=True)
class _Log:
    """The margins of one training, sorted by image_id."""

    image_id: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]  # of the margins over all sightings; nan where there is none
    sightings: npt.NDArray[np.int32]

    def of(self, image_id: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Sums of margins and sightings of some images; 0 and 0 where the training never saw one."""
        at = np.searchsorted(self.image_id, image_id).clip(max=len(self.image_id) - 1)
        sightings = np.where(self.image_id[at] == image_id, self.sightings[at], 0).astype(np.int64)
        return np.where(sightings > 0, self.total[at], 0.0), sightings


def _read(model: Artifact) -> _Log:
    table = read_table(model.table("margins"))
    sightings = table["sightings"].to_numpy()
    return _Log(table["image_id"].to_numpy(), table["aum"].to_numpy().astype(np.float64) * sightings, sightings)


def _write(draft: Draft, order: ClassOrder, logs: Sequence[_Log], task: tuple[int, range]) -> int:
    number, classes = task
    rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
    found = [log.of(order.image_id[rows]) for log in logs]
    sightings = np.sum([seen for _, seen in found], axis=0)
    mean = np.sum([total for total, _ in found], axis=0) / np.maximum(sightings, 1)
    columns = {
        "image_id": order.image_id[rows],
        "aum": pa.array(mean.astype(np.float32), mask=(sightings == 0) | np.isnan(mean)),
        "sightings": sightings.astype(np.int32),
    }
    path = part_path(draft.table("evidence"), number)
    draft.finish(number, {path: write_table(path, AUM, [pa.table(columns, schema=AUM)])})
    return rows.stop - rows.start
