"""Stages `model`, `teaching`, `features`, `predictions`: a job is written, run by torchrun, its outputs published."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from models.begin import WEIGHTS, last_model
from models.features import FeaturesSettings, weights_file
from models.launch import launch
from models.settings import TrainingSettings
from models.specification import CrawlFolders, EncodingJob, Teacher, TrainingJob
from pipeline.engine import Cluster, Workers
from pipeline.records import Split
from pipeline.stages.carried import carry_features
from pipeline.stages.crossfit import FOLD_STAGE, fold_partition, make_crossfit_features
from pipeline.stages.ensemble import TRAINING_STAGE
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of, seeded
from pipeline.storage.atomic import checksum
from pipeline.storage.draft import Draft, Facts

CODE_VERSION = "2"
CLEAN_SPLITS: tuple[Split, ...] = ("val", "test")
TRAINING_SPLITS: tuple[Split, ...] = ("train",)

OnEvent = Callable[[dict[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Trainer:
    """What these stages share: the store, its crawls, the processes to run on, and who hears of the progress.

    With a cluster, networks are applied there; they are trained here all the same.
    """

    store: Store
    crawls: Sequence[str]
    processes: int
    on_event: OnEvent
    cluster: Cluster | None = None

    def make_model(
        self, recipe: str, seed: int, settings: TrainingSettings, teachers: Sequence[tuple[Artifact, float]] = ()
    ) -> Artifact:
        """Train a recipe on its current manifest; a killed training goes on from its last checkpoint.

        The number of processes is part of the identity: batch normalisation sees each process's part of a batch.

        Args:
            recipe: whose manifest is trained on.
            seed: of the training.
            settings: of the training; the file of `weights` is told by its sha256, wherever it lies. One that goes on
                tells the model that it went on from.
            teachers: models that the network learns from beside the labels, each with its share in what they say.

        Raises:
            TrainingError: the training failed; the message ends with what the worker said last.
            ValueError: `settings.weights` is no file.
        """
        manifest = self.store.current("manifest", recipe)
        listings, images = self._decoded(self.crawls)
        weights = None if settings.weights is None else weights_file(settings.weights, "training.weights")
        if weights is not None:
            settings = dataclasses.replace(settings, weights=f"sha256:{checksum(weights)}")
        if not teachers:
            settings = settings.untaught()
        stored = settings.teacher_view == "stored"
        said = [self.make_teaching(model).table("logits") if stored else None for model, _ in teachers]
        partition, goes_on = seeded(recipe, seed), settings.begin == "last"
        settings = dataclasses.replace(settings, begin="anew")  # what it begins with is told, not how that came about
        told = {"settings": settings.told(taught=bool(teachers)), "seed": seed, "processes": self.processes}
        told |= {"shares": [share for _, share in teachers]} if teachers else {}
        inputs = inputs_of([manifest, *images, *(model for model, _ in teachers)])

        def identify(begun: str | None) -> str:
            return identity("model", CODE_VERSION, told | ({"begun": begun} if begun else {}), inputs)

        begun = last_model(self.store, partition, settings.network, identify) if goes_on else None
        if begun is not None:
            weights = self.store.folder("model", partition, begun) / WEIGHTS

        def build(draft: Draft) -> Facts:
            job = TrainingJob(
                manifest=manifest.table("manifest"),
                crawls=_folders(listings, images),
                classes=listings[0].facts["classes"],
                settings=settings,
                seed=seed,
                out=draft.folder,
                weights=weights,
                teachers=tuple(
                    Teacher(model=model.folder, share=share, logits=logits)
                    for (model, share), logits in zip(teachers, said, strict=True)
                ),
            )
            self._run(draft, job)
            facts = draft.finished(0) or {}
            facts |= {"teachers": [model.partition for model, _ in teachers]} if teachers else {}
            return facts | ({"begun": begun} if begun else {})

        return self.store.make("model", partition, identify(begun), build)

    def make_teaching(self, model: Artifact) -> Artifact:
        """What a teacher says of every usable image of all crawls, seen whole: float16 logits beside the pixels.

        They take 2 bytes for each image and class.
        """
        _, images = self._decoded(self.crawls)

        def build(draft: Draft) -> Facts:
            self._apply(draft, model, self.crawls, outputs=("logits",), every_image=True)
            return {"images": sum(decoded.facts["usable"] for decoded in images), "model": model.partition}

        wanted = identity("teaching", CODE_VERSION, {}, inputs_of([model, *images]))
        return self.store.make("teaching", model.partition, wanted, build)

    def make_features(self, crawl: str, models: Sequence[Artifact], *, workers: Workers = 1) -> Artifact:
        """A feature vector of every usable image of a crawl, shard by shard beside its pixels.

        Args:
            crawl: whose images.
            models: one model or extractor; or the networks of a cross-fitted baseline, trained from the same seed and
                each without a fold: then every crawl is encoded by each of them, and an image takes the vector of one
                that never saw its label (`pipeline.stages.crossfit`).
            workers: threads, or a cluster, that put cross-fitted vectors together.
        """
        if len(models) == 1:
            return self._encode("features", crawl, crawl, models[0])
        sizes = {other: self.store.current("images", other).facts["usable"] for other in self.crawls}
        done, total = 0, len(models) * sum(sizes.values())
        for number, model in enumerate(models):
            for other, size in sizes.items():
                told = dataclasses.replace(self, on_event=partial(_as_part, self.on_event, done, total))
                told._encode(FOLD_STAGE, fold_partition(other, number), other, model)
                done += size
        return make_crossfit_features(self.store, crawl, self.crawls, models, workers=workers)

    def _encode(self, stage: str, partition: str, crawl: str, model: Artifact) -> Artifact:
        _, images = self._decoded([crawl])

        def build(draft: Draft) -> Facts:
            if not carry_features(self.store, draft, stage, partition, model.identity, images[0]):
                self._apply(draft, model, [crawl], outputs=("features",))
            told = {"model": model.partition, "networks": [model.identity], "pixels": images[0].identity}
            return {"images": images[0].facts["usable"], **told}

        wanted = identity(stage, CODE_VERSION, {}, inputs_of([model, *images]))
        return self.store.make(stage, partition, wanted, build)

    def make_predictions(self, model: Artifact, *, training: bool = False) -> Artifact:
        """The model's logits of every usable val and test image of all crawls.

        Args:
            model: whose.
            training: of the training images instead, in a stage of their own: a crawl's worth of logits takes long and
                much disk (2 bytes an image and class), and is asked for by itself.
        """
        stage, splits = (TRAINING_STAGE, TRAINING_SPLITS) if training else ("predictions", CLEAN_SPLITS)
        _, images = self._decoded(self.crawls)

        def build(draft: Draft) -> Facts:
            self._apply(draft, model, self.crawls, outputs=("logits",), splits=splits)
            return {"images": sum(record["rows"] for record in draft.files().values())}

        wanted = identity("predictions", CODE_VERSION, {"splits": splits}, inputs_of([model, *images]))
        return self.store.make(stage, model.partition, wanted, build)

    def _decoded(self, crawls: Sequence[str]) -> tuple[list[Artifact], list[Artifact]]:
        listings = [self.store.current("listing", crawl) for crawl in crawls]
        return listings, [self.store.current("images", crawl) for crawl in crawls]

    def _apply(self, draft: Draft, model: Artifact, crawls: Sequence[str], **asked: Any) -> None:
        """Have a model say what is asked of some crawls; `asked` are the other fields of `EncodingJob`."""
        folders = _folders(*self._decoded(crawls))
        job = EncodingJob(model=model.folder, crawls=folders, out=draft.folder, **asked)
        if self.cluster is None:
            self._run(draft, job)
            return
        from models.encode import encode_apart  # noqa: PLC0415 - torch, which a found artifact does without

        encode_apart(job, self.cluster, self._report)

    def _report(self, done: int, total: int) -> None:
        self.on_event({"event": "progress", "done": done, "total": total, "unit": "images"})

    def _run(self, draft: Draft, job: TrainingJob | EncodingJob) -> None:
        path = draft.folder / "job.json"
        job.save(path)
        try:
            launch(path, self.processes, self.on_event)
        finally:
            path.unlink(missing_ok=True)


def _as_part(on_event: OnEvent, done: int, total: int, event: dict[str, Any]) -> None:
    """Tell the progress of one of several jobs as that of all together."""
    on_event({**event, "done": done + event["done"], "total": total} if event["event"] == "progress" else event)


def make_extractor(store: Store, settings: FeaturesSettings) -> Artifact:
    """A user's own weights, checked and copied into the store: `Trainer.make_features` takes them as it takes a model.

    The identity holds the weights' sha256 and not their path: the same file elsewhere makes nothing again.

    Raises:
        ValueError: no weights are named or found, or the file holds anything but those of the network.
    """
    path = weights_file(settings.weights or "")
    told = {"network": settings.network, "image_size": settings.image_size, "source": checksum(path)}

    def build(draft: Draft) -> Facts:
        from models.extractor import import_weights  # noqa: PLC0415 - torch, which a found artifact does without

        made = import_weights(path, settings, draft.folder)
        draft.finish(0, {each: 1 for each in draft.folder.iterdir() if each.is_file()})
        return {**told, "features": made.features, "padding": made.padding}

    return store.make("extractor", WHOLE, identity("extractor", CODE_VERSION, told, []), build)


def _folders(listings: Sequence[Artifact], images: Sequence[Artifact]) -> tuple[CrawlFolders, ...]:
    return tuple(
        CrawlFolders(listing=listing.table("listing"), images=decoded.table("images"), pixels=decoded.table("pixels"))
        for listing, decoded in zip(listings, images, strict=True)
    )
