"""Groups `baseline` and `recipes`: everything that trains or applies a network, in processes of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from assets.manifests import baseline_manifest, manifest
from assets.metadata import Outcome, columns, figures, launchpad, learning_curves, result
from assets.partitions import CRAWLS, RECIPE_PARTITIONS
from assets.progress import ProgressReporter
from assets.recipes import BASELINE
from assets.resources import StoreResource
from assets.settings import Settings, overridden
from models.specification import TrainingSettings
from models.stages import Trainer
from pipeline.records import CURVE
from pipeline.storage.artifacts import seeded

POOL = "accelerator"


@dg.asset(
    group_name="baseline",
    deps=[baseline_manifest],
    kinds={"pytorch"},
    code_version="1",
    pool=POOL,
    config_schema=launchpad(TrainingSettings),
    metadata=columns(CURVE),
)
def baseline_model(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """The network trained on the noisy labels as they are; its features are what the evidence is made from."""
    settings = overridden(store.settings(), "training", context.op_execution_context.op_config)
    return _train(context, store, progress, settings, BASELINE, settings.seeds[:1])


@dg.asset(
    group_name="baseline",
    partitions_def=CRAWLS,
    deps=[baseline_model, "images"],
    kinds={"pytorch", "numpy"},
    code_version="1",
    pool=POOL,
)
def features(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """One float16 vector per usable image, from the baseline, in class order beside the pixels."""
    model = store.open().current("model", seeded(BASELINE, store.settings().seeds[0]))
    crawl = context.partition_key
    usable = store.open().current("images", crawl).facts["usable"]
    with trainer(context, store, progress, (f"features of {crawl}", usable)) as make:
        artifact = make.make_features(crawl, [model])
    return result(artifact, figures(artifact, usable))


@dg.asset(
    group_name="recipes",
    partitions_def=RECIPE_PARTITIONS,
    deps=[manifest],
    kinds={"pytorch"},
    code_version="1",
    pool=POOL,
    config_schema=launchpad(TrainingSettings),
    metadata=columns(CURVE),
)
def model(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """A recipe's network, trained on its manifest, once for every seed."""
    settings = overridden(store.settings(), "training", context.op_execution_context.op_config)
    return _train(context, store, progress, settings, context.partition_key, settings.seeds)


@dg.asset(
    group_name="recipes",
    partitions_def=RECIPE_PARTITIONS,
    deps=[model],
    kinds={"parquet"},
    code_version="1",
    pool=POOL,
)
def predictions(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """Logits of the clean splits, for every seed."""
    recipe, opened = context.partition_key, store.open()
    models = [opened.current("model", seeded(recipe, seed)) for seed in store.settings().seeds]
    artifacts = []
    for trained in models:
        with trainer(context, store, progress, (f"predictions of {trained.partition}", None)) as make:
            artifacts.append(make.make_predictions(trained))
    rows = sum(artifact.facts["images"] for artifact in artifacts)
    return result(artifacts, figures(artifacts[-1], rows))


def _train(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    progress: ProgressReporter,
    settings: Settings,
    recipe: str,
    seeds: tuple[int, ...],
) -> Outcome:
    per_epoch = store.open().current("manifest", recipe).facts["images_per_epoch"]
    artifacts = []
    for seed in seeds:
        title = f"training {recipe}, seed {seed}"
        with trainer(context, store, progress, (title, per_epoch * settings.training.epochs)) as make:
            artifacts.append(make.make_model(recipe, seed, settings.training))
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
        yield Trainer(store.open(), store.crawls(), store.settings().run.processes, on_event)


def _listener(
    context: dg.AssetExecutionContext, title: str, advance: Callable[[int], None]
) -> Callable[[dict[str, Any]], None]:
    done = 0

    def hear(event: dict[str, Any]) -> None:
        nonlocal done
        if event["event"] == "progress":
            advance(event["done"] - done)
            done = event["done"]
        elif event["event"] == "epoch":
            shown = {name: value for name, value in event.items() if isinstance(value, int | float)}
            context.log_event(
                dg.AssetObservation(context.asset_key, description=title, partition=_partition(context), metadata=shown)
            )
        else:
            context.log.info(f"{title}: {event['text']}")

    return hear


def _partition(context: dg.AssetExecutionContext) -> str | None:
    return context.partition_key if context.has_partition_key else None
