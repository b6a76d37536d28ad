"""One trial of a calibration: the run's own stages over a few images, in a store of their own."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assets.recipes import BASELINE, recipe_named
from assets.settings import Settings
from models.stages import Trainer
from pipeline.evidence.rank import RankSettings
from pipeline.evidence.semantic import BUILT_IN, Encoder, SemanticSettings
from pipeline.evidence_tables import EVIDENCE
from pipeline.planning.figures import CrawlFigures
from pipeline.stages.aum import make_aum
from pipeline.stages.class_evidence import make_class_evidence
from pipeline.stages.class_sources import class_sources
from pipeline.stages.classes import ClassOrder
from pipeline.stages.confusion import make_confusion
from pipeline.stages.duplicates import make_duplicates
from pipeline.stages.ensemble import ENSEMBLES, TooFewCleanImagesError, make_ensemble
from pipeline.stages.evidence import make_evidence
from pipeline.stages.fusion import make_fused
from pipeline.stages.fusion_tables import Verified
from pipeline.stages.images import make_images
from pipeline.stages.keyword import make_keyword
from pipeline.stages.listing import Crawl, picture_files
from pipeline.stages.manifest import make_manifest
from pipeline.stages.neighbours import make_neighbours
from pipeline.stages.opinion import make_opinion
from pipeline.stages.rank import make_rank
from pipeline.stages.report import make_report
from pipeline.stages.sampled import make_features_up, make_margins_up, sample_listing
from pipeline.stages.semantic import make_semantic
from pipeline.stages.settled import make_settled
from pipeline.stages.summary import make_summary
from pipeline.storage.artifacts import Artifact, NotMadeError, Store, seeded
from pipeline.storage.tables import read_table


@dataclass(frozen=True)
class Took:
    """What one stage of a trial took."""

    seconds: float
    disk: int  # bytes
    memory_mb: float


@dataclass(frozen=True)
class Trial:
    """A sample of some crawls, and the store it is tried in."""

    listings: Sequence[Artifact]
    crawls: Sequence[Crawl]
    settings: Settings
    dimensions: int  # of the features that are made up
    root: Path
    image_id: npt.NDArray[np.int64]  # (n,) of the sample, ascending

    @property
    def store(self) -> Store:
        """Its own."""
        return Store(self.root)

    @property
    def names(self) -> list[str]:
        """Of the crawls."""
        return [crawl.name for crawl in self.crawls]

    @cached_property
    def figures(self) -> CrawlFigures:
        """Of the sample; usable images alone."""
        order = self._order()
        split = np.bincount(order.population.split, minlength=3)
        return CrawlFigures(
            images=int(split.sum()),
            train=len(order),
            val=int(split[1]),
            test=int(split[2]),
            class_sizes=tuple(order.sizes.tolist()),
            text_coverage=1.0,
        )

    def _order(self) -> ClassOrder:
        made = [[self.store.current(stage, name) for name in self.names] for stage in ("listing", "images")]
        return ClassOrder.read(*made)

    def decode(self) -> None:
        """Everything before the first network."""
        for listing, crawl in zip(self.listings, self.crawls, strict=True):
            sampled, files = sample_listing(self.store, listing, self.image_id), picture_files(listing, crawl)
            make_images(self.store, sampled, files, self.settings.images, workers=self.settings.run.workers)
        self._over_all(make_duplicates, self.settings.duplicates)
        make_manifest(self.store, BASELINE, recipe_named(BASELINE).policy, self.names)

    def evidence(self) -> None:
        """Everything from decoding to the wide table, on made-up features and margins."""
        self.decode()
        settings, population = self.settings, self._order().population
        first = 0
        for name in self.names:
            images = self.store.current("images", name)
            own = slice(first, first + images.facts["listed"])
            first = own.stop
            make_features_up(self.store, images, population.class_index[own][population.usable[own]], self.dimensions)
        self._over_all(make_rank, self._rank())
        self._over_all(make_class_evidence, class_sources(settings.kmeans, settings.density, settings.hdbscan))
        self._over_all(make_neighbours, settings.neighbours)
        self._over_all(make_opinion, settings.opinion)
        self._over_all(make_confusion, settings.confusion)
        self._over_all(make_keyword, settings.keyword)
        self._over_all(make_semantic, settings.semantic, _encoder(settings.semantic))
        model = make_margins_up(self.store, seeded(BASELINE, self.seed), self.store.current("manifest", BASELINE))
        self._over_all(make_aum, [model])
        names = list(EVIDENCE)
        self._over_all(make_fused, names, settings.fused, Verified.read(make_settled(self.store, self.names)))
        self._over_all(make_evidence, names)
        make_report(self.store, [], {})

    def _rank(self) -> RankSettings:
        """As many images count as top-ranked as in the crawl, for the sample's size."""
        listed = sum(listing.facts["listed"] for listing in self.listings)
        top = max(1, round(self.settings.rank.top * len(self.image_id) / max(listed, 1)))
        return dataclasses.replace(self.settings.rank, top=min(top, self.settings.rank.top))

    def _over_all(self, make: Callable[..., Any], *asked: Any) -> None:
        make(self.store, self.names, *asked, workers=self.settings.run.workers)

    def epoch_shares(self) -> dict[str, float]:
        """Recipe -> images of an epoch, the mean over a training, as a share of the training images.

        From the recipes' own manifests of the sample; images of a later stage count for the epochs they are in.
        Recipes whose evidence the sample has not are taken to see every image once.
        """
        found = {}
        for name, recipe in self.settings.known_recipes().items():
            try:
                manifest = make_manifest(self.store, name, recipe.policy, self.names)
            except (NotMadeError, ValueError):  # of a training, or so few images that none is left
                continue
            table = read_table(manifest.table("manifest"), ("weight", "repeats", "stage"))
            weight, repeats, stage = (table[column].to_numpy() for column in table.column_names)
            images = np.bincount(stage[weight > 0], repeats[weight > 0])
            starts = (0.0, *self.settings.training.stage_starts)
            if len(starts) < len(images):
                starts = tuple(k / len(images) for k in range(len(images)))
            share = sum(n * (1 - start) for n, start in zip(images.tolist(), starts, strict=False))
            found[name] = share / max(self.figures.train, 1)
        return found

    def train(self, epochs: int) -> None:
        """A baseline of a few epochs, what it says of the clean images, and ensembles of that alone."""
        training = self.settings.training
        images = self.store.current("manifest", BASELINE).facts["images_per_epoch"]
        asked = dataclasses.replace(
            training,
            epochs=epochs,
            warmup_epochs=min(training.warmup_epochs, epochs),
            batch_size=min(training.batch_size, max(images // 2, 1)),
            weights=None,
        )
        trainer = Trainer(self.store, self.names, self.settings.run.processes, lambda _: None)
        model = trainer.make_model(BASELINE, self.seed, asked)
        said = trainer.make_predictions(model)
        for name in ENSEMBLES:
            with contextlib.suppress(TooFewCleanImagesError):  # of the learned one, in a small sample
                make_ensemble(self.store, name, self.seed, [said], self.settings.ensemble)
        make_summary(self.store, [BASELINE], [self.seed])

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.settings.seeds[0]

    def epoch_seconds(self) -> list[float]:
        """Of each epoch of the training."""
        curve = read_table(self.store.current("model", seeded(BASELINE, self.seed)).table("curve"), ("seconds",))
        return [float(value) for value in curve["seconds"].to_pylist()]

    def took(self) -> dict[str, Took]:
        """Stage -> what it took: one manifest and one ensemble in the mean, all crawls together for the rest."""
        work: dict[str, list[dict[str, Any]]] = {}
        for line in self.store.work():
            combined = line["partition"].partition("@")[0] in ENSEMBLES
            work.setdefault("ensemble" if combined else line["stage"], []).append(line)
        found: dict[str, Took] = {}
        for stage, lines in work.items():
            made = [self.store.current(line["stage"], line["partition"]) for line in lines]
            share = len(lines) if stage in {"manifest", "ensemble"} else 1
            disk = sum(path.stat().st_size for one in made for path in one.folder.rglob("*") if path.is_file())
            seconds, memory = sum(line["seconds"] for line in lines), max(line["peak_mb"] for line in lines)
            found[stage] = Took(seconds / share, disk // share, memory)
        return found


def _encoder(settings: SemanticSettings) -> Encoder | None:
    if settings.encoder == BUILT_IN:
        return None
    from models.text import encoder_of  # noqa: PLC0415 - torch, which the built-in encoder does without

    return encoder_of(settings)
