"""The plan: a row for each stage of a run, with what it will take."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.planning.figures import Asked, CrawlFigures, Line, Machine, Rates
from pipeline.planning.laws import IN_CLASS, MB, ROWS, memory_mb, neighbour_products, seconds_in_class
from pipeline.stages.crossfit import fold_partition
from pipeline.stages.ensemble import ENSEMBLES
from pipeline.storage.artifacts import WHOLE, seeded

BASELINE: Final = "baseline"
BACKWARD: Final = 3  # a step of training costs so many forward passes: one forward, two backward
GB: Final = 1e9
#: Stages of which there is one, in the order they are made; trainings and what depends on crawl or recipe come apart.
_EVIDENCE: Final = (
    "evidence-rank",
    "evidence-kmeans",
    "evidence-density",
    "evidence-hdbscan",
    "evidence-neighbours",
    "evidence-opinion",
    "evidence-confusion",
)
_TEXT: Final = ("evidence-keyword", "text-vectors", "evidence-semantic", "settled", "evidence-fused", "evidence")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stage, all its partitions together."""

    stage: str
    partitions: tuple[str, ...]
    seconds: float
    disk: float  # bytes that stay
    memory_mb: float  # at its peak
    network: bool = False  # trains or applies one: on the GPUs where there are any


@dataclass(frozen=True)
class Planner:
    """Makes the rows of one run on one machine."""

    crawl: CrawlFigures
    asked: Asked
    rates: Rates
    machine: Machine
    crawls: tuple[str, ...]
    seeds: tuple[int, ...]

    def rows(self) -> list[Row]:
        """Every stage after the listing, which a plan makes itself, in the order they run."""
        found = [self._plain("images", self.crawls), self._plain("evidence-duplicates")]
        found += [self._plain("manifest", self._manifests())]
        found += self._trainings()
        found += [self._plain(stage) for stage in _EVIDENCE]
        found += [self._plain("texts", self.crawls), *(self._plain(stage) for stage in _TEXT)]
        found += self._predictions()
        found += [self._plain("summary"), self._plain("report")]
        return [self._bounded(row) for row in found if row.partitions]

    def _plain(self, stage: str, partitions: Sequence[str] = (WHOLE,)) -> Row:
        """A stage that grows with rows; partitions by crawl share the rows, others have all of them each."""
        rows = ROWS[stage](self.crawl)
        line, disk = self.rates.seconds.get(stage, Line()), self.rates.disk.get(stage, Line())
        times = 1 if stage in {"images", "texts"} else len(partitions)
        seconds = line.start + len(partitions) * line.fixed + times * line.per_unit * rows + self._beyond(stage)
        return Row(
            stage=stage,
            partitions=tuple(partitions),
            seconds=seconds,
            disk=len(partitions) * disk.fixed + times * disk.per_unit * rows,
            memory_mb=memory_mb(stage, self.crawl, self.rates, self.asked, self.machine.cores),
        )

    def _beyond(self, stage: str) -> float:
        """Seconds of what grows faster than the rows."""
        if stage.removeprefix("evidence-") in IN_CLASS:
            return self._in_class() / len(IN_CLASS)
        if stage == "evidence-neighbours":
            return neighbour_products(self.crawl.train, self.asked) / self.rates.products
        return 0.0

    def _in_class(self) -> float:
        """Seconds of the one pass in which all is measured within classes; its records share them evenly.

        A class is one worker's, so that the largest one may take as long as all others together.
        """
        sizes, square = self.crawl.sizes(), self.asked.square
        of_class = sum(seconds_in_class(self.rates.in_class[kind], sizes, square) for kind in self.rates.in_class)
        return float(max(np.sum(of_class) / self.machine.cores, np.max(of_class, initial=0.0)))

    def _baselines(self) -> list[str]:
        """Manifests that the baseline's networks are trained on, where features come from them."""
        if not self.asked.own_features:
            return []
        folds = self.asked.folds
        return [BASELINE] if folds == 1 else [fold_partition(BASELINE, number) for number in range(folds)]

    def _manifests(self) -> list[str]:
        return list(dict.fromkeys([BASELINE, *self._baselines(), *self.asked.recipes]))

    def _models(self) -> dict[str, str]:
        """Partition of `model` -> its manifest."""
        first = {seeded(name, self.seeds[0]): name for name in self._baselines()}
        return first | {seeded(recipe, seed): recipe for recipe in self.asked.recipes for seed in self.seeds}

    def _trainings(self) -> Iterator[Row]:
        models = self._models()
        disk, memory = self.rates.disk.get("model", Line()), self.rates.memory_mb.get("model", 0.0)
        yield Row(
            stage="model",
            partitions=tuple(models),
            seconds=sum(self._training(recipe) for recipe in models.values()),
            disk=len(models) * disk.fixed,
            memory_mb=memory,
            network=True,
        )
        taught = [(teacher, seed) for teacher in self._stored_teachers() for seed in self.seeds]
        logits = 2.0 * self.crawl.classes * self.crawl.images
        yield self._applied("teaching", [seeded(*each) for each in taught], self.crawl.images, logits)
        if self.asked.own_features:
            yield self._plain("evidence-aum")
        networks = len(self._baselines()) if self.asked.folds > 1 else 1
        vectors = 2.0 * self.rates.features * self.crawl.images
        row = self._applied("features", self.crawls, self.crawl.images, vectors)
        yield dataclasses.replace(row, seconds=networks * row.seconds, disk=(networks + (networks > 1)) * row.disk)

    def _stored_teachers(self) -> list[str]:
        said = [teacher for recipe in self.asked.recipes for teacher in self.asked.teachers.get(recipe, ())]
        return list(dict.fromkeys(said)) if self.asked.stored_teachers else []

    def _training(self, recipe: str) -> float:
        """Seconds of one training; a teacher that is asked with every batch costs a forward pass of its own."""
        folded = self.asked.folds > 1 and recipe in self._baselines()
        share = 1 - 1 / self.asked.folds if folded else self.asked.epoch_shares.get(recipe, 1.0)
        images = self.crawl.train * share
        teachers = 0 if self.asked.stored_teachers else len(self.asked.teachers.get(recipe, ()))
        epoch = images / self.rates.train_images + (teachers * images + self.crawl.val) / self.rates.forward_images
        return self.rates.launch + self.asked.epochs * epoch

    def _applied(self, stage: str, partitions: Sequence[str], images: int, disk: float) -> Row:
        """A network applied to some images, once for each partition; partitions by crawl share the images."""
        times = 1 if stage == "features" else len(partitions)
        rate = self.rates.feature_images if stage == "features" else self.rates.forward_images
        fixed = self.rates.seconds.get("predictions", Line()).fixed
        return Row(
            stage=stage,
            partitions=tuple(partitions),
            seconds=len(partitions) * fixed + times * images / rate,
            disk=times * disk,
            memory_mb=self.rates.memory_mb.get("predictions", 0.0),
            network=True,
        )

    def _predictions(self) -> Iterator[Row]:
        models = [seeded(recipe, seed) for recipe in self.asked.recipes for seed in self.seeds]
        logits = 2.0 * self.crawl.classes
        said = self._applied("predictions", models, self.crawl.clean, logits * self.crawl.clean)
        combined = [seeded(name, seed) for name in ENSEMBLES for seed in self.seeds] if self.asked.ensembles else []
        yield dataclasses.replace(
            said,
            partitions=(*said.partitions, *combined),
            seconds=said.seconds + len(combined) * self.rates.seconds.get("ensemble", Line()).fixed,
            disk=said.disk + len(combined) * logits * self.crawl.clean,
        )
        if self.asked.predict_training:
            yield self._applied("predictions-training", models, self.crawl.train, logits * self.crawl.train)

    def _bounded(self, row: Row) -> Row:
        """No stage is done before the disk has taken what it writes."""
        if self.machine.disk_mb_s is None:
            return row
        return dataclasses.replace(row, seconds=max(row.seconds, row.disk / MB / self.machine.disk_mb_s))


def total_seconds(rows: Sequence[Row]) -> float:
    """Of a whole run: its stages follow one another."""
    return sum(row.seconds for row in rows)


def gpu_hours(rows: Sequence[Row], gpus: int) -> float:
    """Hours that GPUs are held by trainings and by applying networks, of all GPUs together."""
    return gpus * sum(row.seconds for row in rows if row.network) / 3600


def added(planner: Planner, more: Asked, less: Asked) -> tuple[float, float, float]:
    """Seconds, bytes and GPU-hours by which one run costs more than another on the same crawl and machine."""

    def cost(asked: Asked) -> tuple[float, float, float]:
        rows = dataclasses.replace(planner, asked=asked).rows()
        return total_seconds(rows), sum(row.disk for row in rows), gpu_hours(rows, planner.machine.gpus)

    seconds, disk, hours = (own - other for own, other in zip(cost(more), cost(less), strict=True))
    return seconds, disk, hours


def warnings(rows: Sequence[Row], machine: Machine) -> list[str]:
    """What the machine does not have enough of, in words."""
    told, disk = [], sum(row.disk for row in rows)
    if machine.disk_gb is not None and disk / GB > machine.disk_gb:
        told.append(f"the run keeps {disk / GB:.1f} GB, {machine.name} has {machine.disk_gb:.1f} GB of disk free")
    told += [
        f"{row.stage} needs about {row.memory_mb / 1e3:.1f} GB of memory, {machine.name} has {machine.memory_gb:.1f}: "
        "fewer workers (run.workers) need less"
        for row in rows
        if machine.memory_gb is not None and row.memory_mb / 1e3 > machine.memory_gb
    ]
    return told


def described(rates: Rates, machine: Machine) -> Rates:
    """The rates of a machine that was only described, from those measured on this one.

    What data stages do for each image is shared out over its cores without loss; starting up is not. Networks take the
    floating-point operations of a forward pass (three times that for training) at the assumed share of the GPUs'
    stated peak; without GPUs they go as fast as the cores.
    """
    faster = machine.cores * machine.core_speed / rates.cores
    speed = machine.core_speed

    def line(own: Line) -> Line:
        return Line(start=own.start / speed, fixed=own.fixed / speed, per_unit=own.per_unit / faster)

    forward, train, features = (
        rate * faster for rate in (rates.forward_images, rates.train_images, rates.feature_images)
    )
    if machine.gpus and machine.gpu_tflops is not None:
        reached = machine.gpus * machine.gpu_tflops * 1e12 * machine.gpu_utilisation
        forward, features = reached / rates.forward_flops, reached / rates.feature_flops
        train = forward / BACKWARD
    return dataclasses.replace(
        rates,
        cores=machine.cores,
        devices=max(machine.gpus, 1),
        device="gpu" if machine.gpus else "cpu",
        seconds={stage: line(own) for stage, own in rates.seconds.items()},
        in_class={kind: tuple((n, s / speed) for n, s in steps) for kind, steps in rates.in_class.items()},
        products=rates.products * faster,
        launch=rates.launch / speed,
        train_images=train,
        forward_images=forward,
        feature_images=features,
    )
