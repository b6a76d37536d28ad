"""What the report is made from: the current artifacts, found or known to be missing, and the images they hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evidence_tables import EVIDENCE
from pipeline.records import DEFECTS, SPLITS
from pipeline.report.census import ClassName, CrawlAccount, reason_counts
from pipeline.report.page import StageCost
from pipeline.stages.crawl_order import read_population
from pipeline.stages.population import Population
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store, seeded
from pipeline.storage.tables import iterate_table, read_table


@dataclass(frozen=True)
class ReportInputs:
    """The current artifacts a report is made from."""

    listings: tuple[Artifact, ...]  # every crawl
    images: tuple[Artifact | None, ...]  # of each; None: not decoded yet
    features: tuple[Artifact, ...]  # of the decoded crawls; empty where one of them has none
    evidence: dict[str, Artifact]  # by the name of its source: those that have been made
    asked: tuple[str, ...]  # the recipes whose results are told
    manifests: dict[str, Artifact]  # by recipe, in the order of the recipes told of
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
        single = [*self.images, *self.features, *self.evidence.values(), *self.manifests.values(), self.summary]
        found = [artifact for artifact in single if artifact is not None]
        predictions = [artifact for seeds in self.predictions.values() for artifact in seeds]
        return [*self.listings, *found, *predictions, *(artifact for _, artifact in self.models)]


def find_inputs(store: Store, recipes: Sequence[str], others: Sequence[str], baseline: str) -> ReportInputs:
    """Whatever of the recipes' run is there; of `others` the manifests alone.

    The weights shown are those of the last recipe that is not the baseline. Predictions and learning curves are of the
    seeds that the summary scores; of a recipe it does not score, every training is shown.
    """
    crawls = store.partitions("listing")
    manifests = {name: made for name in (*recipes, *others) if (made := _find(store, "manifest", name)) is not None}
    weighed = [name for name in recipes if name in manifests and name != baseline]
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
    images = {crawl: _find(store, "images", crawl) for crawl in crawls}
    features = [_find(store, "features", crawl) for crawl in crawls if images[crawl]]
    return ReportInputs(
        listings=tuple(store.current("listing", crawl) for crawl in crawls),
        images=tuple(images.values()),
        features=tuple(one for one in features if one is not None) if None not in features else (),
        evidence={name: made for name in EVIDENCE if (made := _find(store, f"evidence-{name}")) is not None},
        asked=tuple(recipes),
        manifests=manifests,
        weighed=manifests[weighed[-1]] if weighed else None,
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


def catalogue_of(listings: Sequence[Artifact]) -> list[ClassName]:
    """The classes in order of class_index; crawls of one store share a catalogue."""
    if not listings:
        return []
    rows = read_table(listings[0].table("classes"), ("class_index", "wnid", "lemmas", "gloss")).to_pylist()
    rows.sort(key=lambda row: row["class_index"])
    return [ClassName((row["lemmas"] or [row["wnid"]])[0], row["gloss"] or "", row["wnid"]) for row in rows]


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


def table_patterns(store: Store, inputs: ReportInputs) -> tuple[tuple[str, str], ...]:
    """What each table is called on the page, and the pattern of its parts below the store."""
    named = [(inputs.weighed, "manifest"), (inputs.summary, "summary")]
    named += [(artifact, "evidence") for artifact in inputs.evidence.values()]
    named += [(seed, "predictions") for seeds in inputs.predictions.values() for seed in seeds]
    named += [(listing, "listing") for listing in inputs.listings] + [(images, "images") for images in inputs.images]
    return tuple(
        (
            artifact.stage if artifact.partition == WHOLE else f"{artifact.stage} of {artifact.partition}",
            f"{artifact.table(table).relative_to(store.root).as_posix()}/*.parquet",
        )
        for artifact, table in named
        if artifact is not None
    )
