"""What the report reads: the current artifacts, found or known to be missing, and figures taken from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation import label_ranks
from pipeline.records import DEFECTS, SPLITS
from pipeline.report.census import ClassName, CrawlAccount, reason_counts
from pipeline.report.charts import Curve
from pipeline.report.page import StageCost
from pipeline.report.results import Hits, hits_of
from pipeline.stages.population import Population, read_population
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store, seeded
from pipeline.storage.tables import iterate_table, read_table

LOGIT_ROWS = 4096  # predictions read at a time: 40 MB at 5,000 classes


@dataclass(frozen=True)
class ReportInputs:
    """The current artifacts a report is made from."""

    listings: tuple[Artifact, ...]  # every crawl
    images: tuple[Artifact | None, ...]  # of each; None: not decoded yet
    kmeans: Artifact | None
    weighed: Artifact | None  # the manifest whose weights are shown; its partition is the recipe
    predictions: dict[str, list[Artifact]]  # by recipe, one of each seed that the summary scores
    summary: Artifact | None
    models: tuple[tuple[str, Artifact], ...]  # recipe, one training of it

    @property
    def decoded(self) -> tuple[list[Artifact], list[Artifact]]:
        """Listing and images of the crawls that have both."""
        pairs = [(a, b) for a, b in zip(self.listings, self.images, strict=True) if b is not None]
        return [a for a, _ in pairs], [b for _, b in pairs]

    @property
    def all(self) -> list[Artifact]:
        """Everything found, in a fixed order."""
        single = [*self.images, self.kmeans, self.weighed, self.summary]
        found = [artifact for artifact in single if artifact is not None]
        predictions = [artifact for seeds in self.predictions.values() for artifact in seeds]
        return [*self.listings, *found, *predictions, *(artifact for _, artifact in self.models)]


@dataclass(frozen=True)
class Training:
    """The t usable training images as the recipe whose weights are shown and the clustering see them."""

    position: npt.NDArray[np.int64]  # (t,) in the population
    image_id: npt.NDArray[np.int64]  # (t,)
    class_index: npt.NDArray[np.int32]  # (t,)
    weight: npt.NDArray[np.float64] | None  # (t,) times repeats; None without a weighing recipe
    cluster: npt.NDArray[np.int32] | None  # (t,) -1 for none; None without clusters


def find_inputs(store: Store, recipes: Sequence[str], baseline: str) -> ReportInputs:
    """Whatever of the recipes' run is there.

    The weights shown are those of the last recipe that is not the baseline. Predictions and learning curves are of the
    seeds that the summary scores; of a recipe it does not score, every training is shown.
    """
    crawls = store.partitions("listing")
    manifests = [_find(store, "manifest", recipe) for recipe in recipes if recipe != baseline]
    summary = _find(store, "summary")
    rows = read_table(summary.table("summary"), ("recipe", "seed")).to_pylist() if summary else []
    scored = sorted({(row["recipe"], row["seed"]) for row in rows if row["recipe"] in recipes})
    predictions = {
        name: [_find(store, "predictions", seeded(*key)) for key in scored if key[0] == name] for name in recipes
    }
    known = {recipe for recipe, _ in scored}
    trained = [(name, int(seed)) for name, _, seed in (p.rpartition("@") for p in store.partitions("model"))]
    shown = [key for key in trained if key in scored or (key[0] in recipes and key[0] not in known)]
    shown.sort(key=lambda key: (recipes.index(key[0]), key[1]))
    return ReportInputs(
        listings=tuple(store.current("listing", crawl) for crawl in crawls),
        images=tuple(_find(store, "images", crawl) for crawl in crawls),
        kmeans=_find(store, "evidence-kmeans"),
        weighed=next((manifest for manifest in reversed(manifests) if manifest), None),
        predictions={name: [one for one in found if one] for name, found in predictions.items()},
        summary=summary,
        models=tuple((key[0], store.current("model", seeded(*key))) for key in shown),
    )


def _find(store: Store, stage: str, partition: str = WHOLE) -> Artifact | None:
    try:
        return store.current(stage, partition)
    except NotMadeError:
        return None


def population_of(inputs: ReportInputs) -> Population:
    """All images of the decoded crawls; of length 0 where there are none."""
    listings, images = inputs.decoded
    if listings:
        return read_population(listings, images)
    types = {"image_id": np.int64, "usable": np.bool_, "split": np.int8, "defect": np.int8}
    return Population(**{name: np.zeros(0, types.get(name, np.int32)) for name in Population.__annotations__})


def accounts_of(inputs: ReportInputs, population: Population) -> tuple[CrawlAccount, ...]:
    """One account per crawl; `population` holds the decoded ones, one after another."""
    accounts, start = [], 0
    for listing, images in zip(inputs.listings, inputs.images, strict=True):
        splits = np.zeros(len(SPLITS), np.int64)
        for batch in iterate_table(listing.table("listing"), ("split",)):
            splits += np.bincount(pc.index_in(batch["split"], pa.array(SPLITS)).to_numpy(), minlength=len(SPLITS))
        listed = int(splits.sum())
        usable = quarantined = None
        reasons: tuple[tuple[str, int], ...] = ()
        if images is not None:
            own = slice(start, start + listed)
            start += listed
            usable = int(population.usable[own].sum())
            reasons = reason_counts(population.defect[own], DEFECTS)
            quarantined = sum(count for _, count in reasons)
        account = CrawlAccount(listing.partition, listed, tuple(splits.tolist()), usable, quarantined, reasons)
        accounts.append(account)
    return tuple(accounts)


def catalogue_of(inputs: ReportInputs) -> list[ClassName]:
    """The classes in order of class_index; crawls of one store share a catalogue."""
    if not inputs.listings:
        return []
    rows = read_table(inputs.listings[0].table("classes"), ("class_index", "wnid", "lemmas", "gloss")).to_pylist()
    rows.sort(key=lambda row: row["class_index"])
    return [ClassName((row["lemmas"] or [row["wnid"]])[0], row["gloss"] or "") for row in rows]


def read_training(inputs: ReportInputs, population: Population) -> Training:
    """The usable training images with their weights and clusters; an image that came later than these weighs 0."""
    position = population.trainable
    image_id = population.image_id[position]
    weight = cluster = None
    if inputs.weighed:
        manifest = read_table(inputs.weighed.table("manifest"), ("image_id", "weight", "repeats"))
        repeats = _column(manifest, image_id, "repeats", 0)
        weight = _column(manifest, image_id, "weight", 0.0).astype(np.float64) * repeats
    if inputs.kmeans:
        evidence = read_table(inputs.kmeans.table("evidence"), ("image_id", "cluster"))
        cluster = _column(evidence, image_id, "cluster", -1).astype(np.int32)
    return Training(position, image_id, population.class_index[position], weight, cluster)


def _column(table: pa.Table, image_id: npt.NDArray[np.int64], name: str, missing: float) -> npt.NDArray[Any]:
    """One column in the order of `image_id`, `missing` where the table does not know the image (a crawl came later)."""
    own, values = table["image_id"].to_numpy(), table[name].to_numpy()
    if not len(own):
        return np.full(len(image_id), missing)
    order = np.argsort(own, kind="stable")
    at = order[np.searchsorted(own, image_id, sorter=order).clip(max=len(own) - 1)]
    return np.where(own[at] == image_id, values[at], missing)


def rows_at(
    artifacts: Sequence[Artifact], table: str, columns: Sequence[str], positions: npt.NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Rows of a table of several crawls, counted through, read as a stream.

    Args:
        artifacts: of each crawl, in the population's order.
        table: a table with one row per listed image.
        columns: which columns.
        positions: (p,) ascending, without repetition.
    """
    found, start = [], 0
    for artifact in artifacts:
        for batch in iterate_table(artifact.table(table), columns):
            first, last = np.searchsorted(positions, (start, start + batch.num_rows))
            if last > first:
                found += batch.take(pa.array(positions[first:last] - start)).to_pylist()
            start += batch.num_rows
    return found


def read_hits(predictions: Sequence[Artifact], split: str) -> Hits:
    """Which images of a split the recipe's models recognise at first guess; logits are streamed."""
    pieces: list[tuple[npt.NDArray[Any], ...]] = []
    columns = ("image_id", "split", "class_index", "logits")
    folders = [artifact.table("predictions") for artifact in predictions]
    for batch in (batch for folder in folders for batch in iterate_table(folder, columns, LOGIT_ROWS)):
        own = batch.filter(pc.equal(batch["split"], split))
        if own.num_rows:
            label = own["class_index"].to_numpy()
            logits = own["logits"].flatten().to_numpy(zero_copy_only=False).reshape(len(label), -1)
            pieces.append((own["image_id"].to_numpy(), label, label_ranks(logits, label) == 0))
    if not pieces:
        return hits_of(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    return hits_of(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def read_curves(inputs: ReportInputs, recipes: Sequence[str], value: str) -> list[Curve]:
    """One curve per training that has finished an epoch and knows `value`."""
    curves = []
    for recipe, model in inputs.models:
        table = read_table(model.table("curve"), ("epoch", value)).sort_by("epoch").drop_null()
        if table.num_rows:
            points = (tuple(map(float, table[name].to_pylist())) for name in ("epoch", value))
            curves.append(Curve(recipes.index(recipe), *points))
    return curves


def costs_of(store: Store) -> tuple[StageCost, ...]:
    """What the current artifacts took, stages in the order they were computed; the report itself is left out."""
    stages: dict[str, dict[str, dict[str, Any]]] = {}
    for line in store.work():
        current = _find(store, line["stage"], line["partition"]) if line["stage"] != "report" else None
        if current is not None and current.identity == line["identity"]:
            stages.setdefault(line["stage"], {})[line["partition"]] = line
    return tuple(
        StageCost(
            name=stage,
            partitions=tuple(sorted(name for name in lines if name != WHOLE)),
            seconds=sum(line["seconds"] for line in lines.values()),
            peak_mb=max(line["peak_mb"] for line in lines.values()),
        )
        for stage, lines in stages.items()
    )
