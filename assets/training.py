"""Groups `baseline` and `recipes`: everything that trains or applies a network, in processes of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from assets.automation import FOLLOWS, GPU_POOL
from assets.manifests import baseline_manifest, manifest
from assets.metadata import Outcome, columns, curve_so_far, figures, launchpad, learning_curves, result
from assets.partitions import CRAWLS, RECIPE_PARTITIONS
from assets.progress import ProgressReporter
from assets.recipes import BASELINE, recipe_named
from assets.resources import StoreResource
from assets.retries import patient
from assets.settings import Settings, overridden
from models.features import FeaturesSettings
from models.settings import TrainingSettings
from models.stages import CODE_VERSION, Trainer, make_extractor
from pipeline.result_tables import CURVE
from pipeline.stages.crossfit import fold_partition
from pipeline.storage.artifacts import Artifact, Store, seeded
from pipeline.storage.pieces import latest


@dg.asset(
    group_name="baseline",
    deps=[baseline_manifest],
    kinds={"pytorch"},
    code_version=CODE_VERSION,
    pool=GPU_POOL,
    config_schema=launchpad(TrainingSettings),
    metadata=columns(CURVE),
)
@patient
def baseline_model(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """The network trained on the noisy labels as they are; where features are cross-fitted, one for each fold."""
    settings = overridden(store.settings(), "training", context.op_execution_context.op_config)
    if settings.features.weights is not None:
        return dg.MaterializeResult(metadata={"trained": False, "why": "features come from features.weights"})
    kept = kept_baseline(store.open(), settings)
    if kept:
        progress.say("features.baseline = keep: features come from the baseline they came from before")
        return _trained(kept)
    trained = []
    for partition in baseline_partitions(settings):
        trained += _train(context, store, progress, settings, (partition, settings.seeds[:1]))
    return _trained(trained)


@dg.asset(
    group_name="baseline",
    partitions_def=CRAWLS,
    deps=[baseline_model, "images"],
    kinds={"pytorch", "numpy"},
    code_version=CODE_VERSION,
    pool=GPU_POOL,
    config_schema=launchpad(FeaturesSettings),
    automation_condition=FOLLOWS,
)
@patient
def features(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """A float16 vector of every usable image, in class order beside the pixels: by the baseline or by given weights."""
    settings = overridden(store.settings(), "features", context.op_execution_context.op_config)
    opened, crawl = store.open(), context.partition_key
    if settings.features.weights is not None:
        models = [make_extractor(opened, settings.features)]
    else:
        models = baseline_models(opened, settings)
    usable = opened.current("images", crawl).facts["usable"]
    with trainer(context, store, progress, (f"features of {crawl}", usable)) as make:
        artifact = make.make_features(crawl, models, workers=store.workers())
    return result(artifact, figures(artifact, usable))


def baseline_partitions(settings: Settings) -> list[str]:
    """The manifests the baseline is trained on: one, or one without each fold where features are cross-fitted."""
    folds = settings.features.folds
    return [BASELINE] if folds == 1 else [fold_partition(BASELINE, number) for number in range(folds)]


def baseline_models(store: Store, settings: Settings) -> list[Artifact]:
    """The trainings that features and margins come from."""
    partitions = [seeded(name, settings.seeds[0]) for name in baseline_partitions(settings)]
    return kept_baseline(store, settings) or [store.current("model", partition) for partition in partitions]


def kept_baseline(store: Store, settings: Settings) -> list[Artifact]:
    """The trainings that the features there are come from, where they are to come from those on; else nothing."""
    if settings.features.baseline != "keep":
        return []
    current = [found for crawl in store.partitions("features") for found in latest(store, "features", crawl)[:1]]
    networks: list[str] = next((found.facts.get("networks", []) for found in current), [])
    partitions = [seeded(name, settings.seeds[0]) for name in baseline_partitions(settings)]
    found = [store.find("model", *both) for both in zip(partitions, networks, strict=False)]
    kept = [model for model in found if model is not None]
    return kept if len(kept) == len(partitions) else []


@dg.asset(
    group_name="recipes",
    partitions_def=RECIPE_PARTITIONS,
    deps=[manifest],
    kinds={"pytorch"},
    code_version=CODE_VERSION,
    pool=GPU_POOL,
    config_schema=launchpad(TrainingSettings),
    metadata=columns(CURVE),
)
@patient
def model(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """A recipe's network, trained on its manifest, once for every seed; a student's after those of its teachers."""
    recipe = recipe_named(context.partition_key, store.settings().own_recipes())
    settings = overridden(store.settings(), "training", recipe.training)
    settings = overridden(settings, "training", context.op_execution_context.op_config)
    what = (recipe.name, settings.seeds)
    return _trained(_train(context, store, progress, settings, what, recipe.teachers))


@dg.asset(
    group_name="recipes",
    partitions_def=RECIPE_PARTITIONS,
    deps=[model],
    kinds={"parquet"},
    code_version=CODE_VERSION,
    pool=GPU_POOL,
)
@patient
def predictions(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """Logits of the clean splits, for every seed; of the training images too where `predictions.training` says so."""
    recipe, opened = context.partition_key, store.open()
    models = [opened.current("model", seeded(recipe, seed)) for seed in store.settings().seeds]
    artifacts = []
    for trained in models:
        with trainer(context, store, progress, (f"predictions of {trained.partition}", None)) as make:
            artifacts.append(make.make_predictions(trained))
        if store.settings().predictions.training:
            title = f"{trained.partition} on the training images"
            with trainer(context, store, progress, (title, None)) as make:
                make.make_predictions(trained, training=True)
    rows = sum(artifact.facts["images"] for artifact in artifacts)
    return result(artifacts, figures(artifacts[-1], rows))


def _train(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    progress: ProgressReporter,
    settings: Settings,
    what: tuple[str, tuple[int, ...]],
    teachers: tuple[tuple[str, float], ...] = (),
) -> list[Artifact]:
    """Train on one manifest, once for each seed; teachers are other recipes' models of the same seed."""
    opened, (partition, seeds) = store.open(), what
    per_epoch = opened.current("manifest", partition).facts["images_per_epoch"]
    artifacts = []
    for seed in seeds:
        taught_by = [(opened.current("model", seeded(teacher, seed)), share) for teacher, share in teachers]
        if settings.training.teacher_view == "stored":
            for taught, _ in taught_by:
                with trainer(context, store, progress, (f"what {taught.partition} teaches", None)) as make:
                    make.make_teaching(taught)
        title = f"training {partition}, seed {seed}"
        with trainer(context, store, progress, (title, per_epoch * settings.training.epochs)) as make:
            artifacts.append(make.make_model(partition, seed, settings.training, taught_by))
    return artifacts


def _trained(artifacts: list[Artifact]) -> Outcome:
    rows = sum(artifact.facts["epochs"] for artifact in artifacts)
    return result(artifacts, figures(artifacts[-1], rows) | {"curves": learning_curves(artifacts)})


@contextmanager
def trainer(
    context: dg.AssetExecutionContext, store: StoreResource, progress: ProgressReporter, task: tuple[str, int | None]
) -> Iterator[Trainer]:
    """The training stages, wired so that the worker's events reach the terminal and the Dagster UI while it runs."""
    title, total = task
    with progress.track(title, total, context.log.info) as advance:
        on_event = _listener(context, title, advance)
        workers = store.workers()
        cluster = None if isinstance(workers, int) else workers
        yield Trainer(store.open(), store.crawls(), store.settings().run.processes, on_event, cluster)


def _listener(
    context: dg.AssetExecutionContext, title: str, advance: Callable[[int], None]
) -> Callable[[dict[str, Any]], None]:
    done, losses = 0, dict[int, float]()

    def hear(event: dict[str, Any]) -> None:
        nonlocal done
        if event["event"] == "progress":
            advance(event["done"] - done)
            done = event["done"]
        elif event["event"] == "epoch":
            losses[event["epoch"]] = event["loss"]
            told = {name: value for name, value in event.items() if isinstance(value, int | float)}
            shown = {"curve": curve_so_far(title, losses)} | told
            context.log_event(
                dg.AssetObservation(context.asset_key, description=title, partition=_partition(context), metadata=shown)
            )
        else:
            context.log.info(f"{title}: {event['text']}")

    return hear


def _partition(context: dg.AssetExecutionContext) -> str | None:
    return context.partition_key if context.has_partition_key else None
