"""The pictures beside an asset's figures in the Dagster UI: a look at what came out.

Pictures of evidence are rows of ACROSS, and every row tells one thing; what it is, each function says. Those of one
class show the largest, where there is most to see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.report.choice import ChoiceGroup, lowest
from pipeline.report.class_groups import clusters, levels, outliers, texts
from pipeline.report.class_view import ClassView
from pipeline.report.sheets import SheetSettings, contact_sheet
from pipeline.stages.classes import ClassOrder
from pipeline.stages.population import Population
from pipeline.stages.report_confused import confused_classes, joint_clusters
from pipeline.stages.report_doubles import double_choices, read_groups
from pipeline.stages.report_evidence import Evidence, Training, beside
from pipeline.stages.report_gallery import usable_positions
from pipeline.stages.report_inputs import catalogue_of
from pipeline.stages.report_pictures import class_views, read_nearest
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table

ACROSS = 12
DOUBTED = 6  # images shown beside their neighbours
SETTINGS = SheetSettings(per_cluster=ACROSS, texts=2 * ACROSS, doubles=3)

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Look:
    """Some crawls' images, and one kind of evidence of them."""

    images: list[Artifact]
    evidence: Evidence
    names: list[str]

    @classmethod
    def at(cls, store: Store, crawls: Sequence[str], artifact: Artifact | None) -> "_Look":
        """The crawls' current images beside an `evidence-NAME`."""
        listings = [store.current("listing", crawl) for crawl in crawls]
        images = [store.current("images", crawl) for crawl in crawls]
        names = [one.name for one in catalogue_of(listings)]
        found = {artifact.stage.removeprefix("evidence-"): artifact} if artifact else {}
        return cls(images, Evidence(found, ClassOrder.read(listings, images)), names)

    @property
    def order(self) -> ClassOrder:
        """The usable training images."""
        return self.evidence.order

    @property
    def population(self) -> Population:
        """All images."""
        return self.order.population

    def largest_class(self) -> ClassView | None:
        """The class with most usable training images, or None without any."""
        if not len(self.order):
            return None
        largest = int(self.order.sizes.argmax())
        own = range(largest, largest + 1)
        (view,) = class_views(own, Training(self.order, None), self.evidence, self.names)
        return view

    def doubtful(self, score: str, rival: str, count: int) -> Positions:
        """Rows of the images of lowest `score` for which another class than their own is named."""
        other = self.evidence.column(rival)
        doubted = np.flatnonzero((other >= 0) & (other != self.order.class_index))
        return doubted[lowest(self.evidence.column(score)[doubted], self.order.image_id[doubted], count)]

    def sheet(self, rows: Sequence[Positions]) -> bytes | None:
        """A JPEG of rows of pictures, given their positions in the population; what a row lacks is grey."""
        rows = [row[:ACROSS] for row in rows if len(row)]
        if not rows:
            return None
        at = np.concatenate(rows)
        places = np.concatenate([k * ACROSS + np.arange(len(row)) for k, row in enumerate(rows)])
        pixels = ArrayShards([artifact.table("pixels") for artifact in self.images])
        tiles = np.full((len(rows) * ACROSS, *pixels.row_shape), 127, np.uint8)
        tiles[places] = pixels.gather(self.population.shard[at], self.population.row[at])
        return contact_sheet(tiles, ACROSS, SETTINGS)


def decoded_sample(images: Artifact, count: int = 4 * ACROSS) -> bytes | None:
    """A JPEG of pictures evenly spread over a decoded crawl; None where nothing is usable."""
    table = read_table(images.table("images"), ("shard", "row")).drop_null()
    if not len(table):
        return None
    at = np.unique(np.linspace(0, len(table) - 1, min(count, len(table))).astype(np.int64))
    pixels = ArrayShards([images.table("pixels")])
    return contact_sheet(pixels.gather(table["shard"].to_numpy()[at], table["row"].to_numpy()[at]), ACROSS, SETTINGS)


def weight_sample(store: Store, crawls: Sequence[str], manifest: Artifact) -> bytes | None:
    """Two rows of the heaviest training images, then two rows of the lightest."""
    look = _Look.at(store, crawls, None)
    order = look.order
    weight = beside(read_table(manifest.table("manifest"), ("image_id", "weight")), order.image_id, "weight")
    rows = order.members[np.lexsort((order.image_id, -weight))]
    return look.sheet(_wrapped(rows[: 2 * ACROSS]) + _wrapped(rows[2 * ACROSS :][-2 * ACROSS :]))


def cluster_sample(store: Store, crawls: Sequence[str], artifact: Artifact) -> bytes | None:
    """The largest class, a row for each of its clusters, the largest cluster first."""
    return _of_class(store, crawls, artifact, clusters)


def density_sample(store: Store, crawls: Sequence[str], artifact: Artifact) -> bytes | None:
    """The largest class, a row for each density level, clean first."""
    return _of_class(store, crawls, artifact, levels)


def hdbscan_sample(store: Store, crawls: Sequence[str], artifact: Artifact) -> bytes | None:
    """The largest class: a row of its surest members, one of noise if there is any, one of the strongest outliers."""
    return _of_class(store, crawls, artifact, outliers)


def text_sample(store: Store, crawls: Sequence[str], artifact: Artifact) -> bytes | None:
    """The largest class: two rows of the pictures whose texts match it best, then two rows of the worst."""
    return _of_class(store, crawls, artifact, texts)


def neighbour_sample(store: Store, crawls: Sequence[str], artifact: Artifact) -> bytes | None:
    """The pictures that their neighbours doubt most, a row for each: the picture first, then its neighbours."""
    look = _Look.at(store, crawls, artifact)
    doubted = look.doubtful("agreement", "neighbour_class", DOUBTED)
    nearest = read_nearest(artifact, look.order.image_id[doubted])
    rows = []
    for row in doubted.tolist():
        near = usable_positions(look.population, np.array(nearest.get(int(look.order.image_id[row]), []), np.int64))
        rows.append(np.concatenate([look.order.members[[row]], near[near >= 0]]))
    return look.sheet(rows)


def opinion_sample(store: Store, crawls: Sequence[str], artifact: Artifact) -> bytes | None:
    """Four rows of the pictures that the out-of-fold model is surest to be of another class, the surest first."""
    look = _Look.at(store, crawls, artifact)
    return look.sheet(_wrapped(look.order.members[look.doubtful("margin", "predicted_class", 4 * ACROSS)]))


def duplicate_sample(store: Store, crawls: Sequence[str], artifact: Artifact) -> bytes | None:
    """A row for each group of doubles: three that reach into val or test, training pictures first, and three others."""
    look = _Look.at(store, crawls, artifact)
    leaks, largest = double_choices(read_groups(artifact), look.population, SETTINGS, look.names)
    return look.sheet([choice.position for choice in [*leaks, *largest]])


def confusion_sample(store: Store, crawls: Sequence[str], artifact: Artifact) -> bytes | None:
    """The most confused group of classes, a row for each of its joint clusters, the largest first."""
    look = _Look.at(store, crawls, artifact)
    clusters = [
        choice.position
        for group in confused_classes(artifact, len(look.names))[:1]
        for choice in joint_clusters(group, look.evidence, SETTINGS, look.names)[0]
    ]
    return look.sheet(clusters)


def _of_class(
    store: Store,
    crawls: Sequence[str],
    artifact: Artifact,
    shown: Callable[[ClassView, SheetSettings], ChoiceGroup],
) -> bytes | None:
    look = _Look.at(store, crawls, artifact)
    view = look.largest_class()
    if view is None:
        return None
    return look.sheet([row for choice in shown(view, SETTINGS).choices for row in _wrapped(choice.position)])


def _wrapped(positions: Positions) -> list[Positions]:
    """In rows of ACROSS."""
    return [positions[start : start + ACROSS] for start in range(0, len(positions), ACROSS)]
