"""Groups `evidence` and `recipes`: what is known of each image, and what each recipe makes of it."""

import math

import dagster as dg

from assets.metadata import Outcome, columns, figures, launchpad, picture, result
from assets.partitions import RECIPE_PARTITIONS
from assets.pictures import cluster_sample, weight_sample
from assets.progress import ProgressReporter
from assets.recipes import BASELINE, recipe_named
from assets.resources import StoreResource
from assets.settings import overridden
from pipeline.evidence.kmeans import KMeansSettings
from pipeline.records import EVIDENCE_KMEANS, MANIFEST
from pipeline.stages.kmeans import make_kmeans
from pipeline.stages.manifest import make_manifest
from pipeline.storage.artifacts import Facts

MEAN_TOLERANCE = 1e-3


def _check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec("weights_mean_one", asset=asset, description="Weights are finite, not negative, mean 1."),
        dg.AssetCheckSpec("every_class_present", asset=asset, description="Every class has an image to train on."),
    ]


def _check_results(facts: Facts) -> list[dg.AssetCheckResult]:
    weights = {name: facts[name] for name in ("min_weight", "mean_weight", "max_weight")}
    sound = all(map(math.isfinite, weights.values())) and facts["min_weight"] >= 0
    missing = facts["classes_without_images"]
    return [
        dg.AssetCheckResult(
            check_name="weights_mean_one",
            passed=sound and abs(facts["mean_weight"] - 1) <= MEAN_TOLERANCE,
            metadata=weights,
        ),
        dg.AssetCheckResult(
            check_name="every_class_present",
            passed=not missing,
            severity=dg.AssetCheckSeverity.WARN,  # a class may truly have nothing usable: the run goes on and says so
            metadata={"classes": facts["classes"], "without_images": dg.MetadataValue.json(missing)},
        ),
    ]


def _manifest(store: StoreResource, recipe: str) -> Outcome:
    opened, crawls = store.open(), store.crawls()
    artifact = make_manifest(opened, recipe, recipe_named(recipe).policy, crawls)
    sample = picture(weight_sample(opened, crawls, artifact))
    shown = figures(artifact, artifact.facts["rows"]) | {"heaviest_and_lightest": sample}
    return result(artifact, shown, _check_results(artifact.facts))


@dg.asset(
    group_name="baseline",
    deps=["listing", "images"],
    kinds={"parquet"},
    code_version="1",
    metadata=columns(MANIFEST),
    check_specs=_check_specs("baseline_manifest"),
)
def baseline_manifest(store: StoreResource) -> Outcome:
    """Every usable training image with weight 1: what the baseline is trained on."""
    return _manifest(store, BASELINE)


@dg.asset(
    group_name="evidence",
    deps=["listing", "images", "features"],
    kinds={"faiss", "parquet"},
    code_version="1",
    config_schema=launchpad(KMeansSettings),
    metadata=columns(EVIDENCE_KMEANS),
)
def evidence_kmeans(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """Per-class k-means on the baseline's features: each image's cluster, the cluster's share, the distance."""
    settings = overridden(store.settings(), "kmeans", context.op_execution_context.op_config)
    opened, crawls = store.open(), store.crawls()
    usable = sum(opened.current("images", crawl).facts["usable"] for crawl in crawls)
    with progress.track("clustering", usable, context.log.info) as advance:
        artifact = make_kmeans(opened, crawls, settings.kmeans, workers=settings.run.workers, on_progress=advance)
    sample = picture(cluster_sample(opened, crawls, artifact))
    return result(artifact, figures(artifact, artifact.facts["images"]) | {"largest_class": sample})


@dg.asset(
    group_name="recipes",
    partitions_def=RECIPE_PARTITIONS,
    deps=[
        evidence_kmeans,
        *(dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) for name in ("listing", "images")),
    ],
    kinds={"parquet"},
    code_version="1",
    metadata=columns(MANIFEST),
    check_specs=_check_specs("manifest"),
)
def manifest(context: dg.AssetExecutionContext, store: StoreResource) -> Outcome:
    """A recipe's weighted list of what is trained on: one row per listed image, with the reason."""
    return _manifest(store, context.partition_key)
