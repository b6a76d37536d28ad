"""The rates of this machine: the stages themselves, run on a sample of the crawl in a store that is thrown away."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from assets.settings import Settings
from assets.trial import Took, Trial
from models.speed import Speed, measure
from pipeline.engine import map_shards
from pipeline.evidence.neighbours import nearest, unit_rows
from pipeline.planning.figures import CrawlFigures, Line, Rates
from pipeline.planning.laws import IN_CLASS, ROWS
from pipeline.stages.class_evidence import ClassImages
from pipeline.stages.class_sources import class_sources
from pipeline.stages.listing import Crawl
from pipeline.stages.sampled import Labels
from pipeline.storage.artifacts import Artifact
from pipeline.storage.atomic import publish_bytes

FEW_IMAGES: Final = 64  # of the smaller trial, which tells what a stage costs however few images there are
SPEED_SECONDS: Final = 2.0  # for which a network is only applied
TRAINING_SECONDS: Final = 16.0  # that the trial's training should take
LEAST_TRAINED: Final = 64
EPOCHS: Final = 2  # the second is measured: the first pays for what is loaded and planned
IN_CLASS_IMAGES: Final = (128, 512, 2048)
QUERIES, CANDIDATES = 512, 8192
BLOCK_MB: Final = 64  # written to learn how fast the disk is
Trialled = Mapping[str, Took]  # by stage


@dataclass(frozen=True)
class Calibrated:
    """What a calibration found."""

    rates: Rates
    epoch_shares: dict[str, float]  # recipe -> images of an epoch, as a share of the training images
    disk_mb_s: float
    seconds: float  # that it took


@dataclass(frozen=True)
class Calibration:
    """What is calibrated on what."""

    listings: Sequence[Artifact]
    crawls: Sequence[Crawl]
    settings: Settings
    images: int  # of the larger trial

    def run(self, step: Callable[[str], None]) -> Calibrated:
        """Try every stage; `step` is told what comes next."""
        started = time.perf_counter()
        labels = Labels.read(self.listings)
        few, many = (labels.sample(min(count, self.images)) for count in (FEW_IMAGES, self.images))
        step("networks")
        speeds = self._speeds()
        with tempfile.TemporaryDirectory(prefix="winnow-plan-") as folder:
            make = partial(Trial, self.listings, self.crawls, self.settings, speeds[1].features)
            trials = []
            for name, chosen in (("first", few), ("few", few), ("many", many)):
                step(f"data stages on {len(chosen):,} images")
                trials.append(make(Path(folder) / name, chosen))
                trials[-1].evidence()
            step("a training")
            shares = trials[-1].epoch_shares()
            count = int(np.clip(speeds[0].images_per_s * TRAINING_SECONDS / (3 * EPOCHS), LEAST_TRAINED, len(many)))
            trained = make(Path(folder) / "trained", labels.sample(count))
            trained.decode()
            trained.train(EPOCHS)
            step("large classes, the disk")
            rates = self._rates((trials[0], trials[1], trials[2], trained), speeds)
            disk = _disk_mb_s(Path(folder))
        return Calibrated(rates, shares, disk, time.perf_counter() - started)

    def _speeds(self) -> tuple[Speed, Speed]:
        """Of the network that is trained, and of the one that features come from."""
        settings = self.settings
        ask = partial(measure, classes=self.listings[0].facts["classes"], seconds=SPEED_SECONDS)
        trained = ask(settings.training.network, image_size=settings.images.image_size)
        if settings.features.weights is None:
            return trained, trained
        return trained, ask(f"torchvision:{settings.features.network}", image_size=settings.features.image_size)

    def _rates(self, trials: tuple[Trial, Trial, Trial, Trial], speeds: tuple[Speed, Speed]) -> Rates:
        _, few, many, trained = trials
        vectors = _made_up(CANDIDATES, speeds[1].features)
        cold, small, large, own = (trial.took() for trial in trials)
        units = few.figures, many.figures
        stages = [stage for stage in ROWS if stage in large]
        seconds = {stage: _seconds(stage, (cold, small, large), units) for stage in stages}
        disk = {stage: _disk(stage, (small, large), units) for stage in stages}
        for kind in IN_CLASS:  # what grows with the images is measured class by class
            seconds[f"evidence-{kind}"] = Line(start=seconds[f"evidence-{kind}"].start)
        pages = max(ROWS["report"](many.figures), 1)  # as many in both trials
        seconds["report"] = Line(start=seconds["report"].start, per_unit=large["report"].seconds / pages)
        disk["report"] = Line(per_unit=large["report"].disk / pages)
        for stage in ("ensemble", "summary"):
            seconds[stage], disk[stage] = Line(fixed=own[stage].seconds), Line(fixed=own[stage].disk)
        rows, forward = trained.figures, speeds[0].images_per_s
        seconds["predictions"] = Line(fixed=max(0.0, own["predictions"].seconds - rows.clean / forward))
        disk["model"] = Line(fixed=own["model"].disk)
        epochs = trained.epoch_seconds()
        steps = epochs[-1] - rows.val / forward
        return Rates(
            cores=self.settings.run.workers,
            device=speeds[0].device,
            devices=speeds[0].devices,
            seconds=seconds,
            disk=disk,
            memory_mb={stage: took.memory_mb for stage, took in (large | own).items()},
            in_class=self._in_class(vectors),
            products=_products(vectors, self.settings.run.workers),
            features=speeds[1].features,
            launch=max(0.0, own["model"].seconds - sum(epochs)),
            train_images=rows.train / (steps if steps > 0 else epochs[-1]),
            forward_images=forward,
            feature_images=speeds[1].images_per_s,
            forward_flops=speeds[0].flops,
            feature_flops=speeds[1].flops,
        )

    def _in_class(self, vectors: npt.NDArray[np.float16]) -> dict[str, tuple[tuple[int, float], ...]]:
        """Seconds of a class of some sizes for each kind of evidence, while every worker has one."""
        settings, workers = self.settings, self.settings.run.workers
        found: dict[str, tuple[tuple[int, float], ...]] = {}
        for source in class_sources(settings.kmeans, settings.density, settings.hdbscan):
            steps = []
            for count in IN_CLASS_IMAGES:
                images = ClassImages(vectors[:count], np.arange(1, count + 1, dtype=np.int32))
                steps.append((count, _together(partial(source.measure, images), workers)))
            found[source.name] = tuple(steps)
        return found


def _made_up(images: int, dimensions: int) -> npt.NDArray[np.float16]:
    """Feature vectors in a few clouds."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(16, dimensions))
    vectors = centres[rng.integers(0, len(centres), images)] + rng.normal(size=(images, dimensions))
    return vectors.astype(np.float16)


def _together(work: Callable[[], object], workers: int) -> float:
    """Seconds of a piece of work while every worker does it."""
    started = time.perf_counter()
    with threadpool_limits(1):
        for _ in map_shards(lambda _: work(), range(workers), workers):
            pass
    return time.perf_counter() - started


def _products(vectors: npt.NDArray[np.float16], workers: int) -> float:
    """Products of two vectors a second, of all workers, as the search for neighbours makes them."""
    units, _ = unit_rows(vectors)
    groups = np.arange(len(units))
    queries, k = units[:QUERIES], 15
    seconds = _together(lambda: nearest(queries, units, (groups[:QUERIES], groups), k), workers)
    return workers * QUERIES * len(units) / seconds


def _seconds(stage: str, took: tuple[Trialled, ...], units: tuple[CrawlFigures, CrawlFigures]) -> Line:
    cold, small, large = (own[stage].seconds for own in took)
    few, many = (ROWS[stage](own) for own in units)
    return Line.through(cold, (few, small), (many, large))


def _disk(stage: str, took: tuple[Trialled, ...], units: tuple[CrawlFigures, CrawlFigures]) -> Line:
    small, large = (own[stage].disk for own in took)
    few, many = (ROWS[stage](own) for own in units)
    return Line.through(None, (few, small), (many, large))


def _disk_mb_s(folder: Path) -> float:
    """Megabytes a second that reach the disk, written one after another."""
    started = time.perf_counter()
    publish_bytes(folder / "written", b"w" * (BLOCK_MB * 10**6))
    return BLOCK_MB / (time.perf_counter() - started)
