"""Groups `baseline` and `recipes`: what each recipe makes of the evidence, image by image."""

import math

import dagster as dg

from assets.automation import DAILY, FOLLOWS, RENEWED
from assets.checks import check_spec
from assets.metadata import Outcome, columns, figures, picture, result
from assets.partitions import RECIPE_PARTITIONS
from assets.pictures import weight_sample
from assets.recipes import BASELINE, recipe_named
from assets.resources import StoreResource
from assets.retries import patient
from pipeline.records import MANIFEST
from pipeline.stages.crossfit import fold_partition
from pipeline.stages.eligible import Fold
from pipeline.stages.manifest import CODE_VERSION, make_manifest
from pipeline.storage.draft import Facts

MEAN_TOLERANCE = 1e-3
FOLD_SEED = 0  # of the parts that a cross-fitted baseline's networks are trained without


def _check_specs(asset: str, cut: dg.PartitionsDefinition[str] | None = None) -> list[dg.AssetCheckSpec]:
    sound = "Weights are finite, not negative, mean 1; if not, nothing is trained on them."
    return [
        check_spec(asset, "weights_mean_one", sound, cut, blocking=True),
        check_spec(asset, "every_class_present", "Every class has an image to train on.", cut),
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
    """A recipe's manifest; what people found counts in all but the baseline's.

    The baseline's network makes the features. If its manifest changed, every verdict would train it anew, and make all
    evidence and every other recipe anew with it.
    """
    opened, crawls = store.open(), store.crawls()
    policy = recipe_named(recipe, store.settings().own_recipes()).policy
    people = None if recipe == BASELINE else opened.current("settled")
    artifact = make_manifest(opened, recipe, policy, crawls, settled=people)
    sample = picture(weight_sample(opened, crawls, artifact))
    shown = figures(artifact, artifact.facts["rows"]) | {"heaviest_and_lightest": sample}
    return result(artifact, shown, _check_results(artifact.facts))


@dg.asset(
    group_name="baseline",
    deps=["listing", "images", "evidence_duplicates"],
    kinds={"parquet"},
    code_version=CODE_VERSION,
    automation_condition=FOLLOWS,
    metadata=columns(MANIFEST),
    check_specs=_check_specs("baseline_manifest"),
)
@patient
def baseline_manifest(store: StoreResource) -> Outcome:
    """Every usable training image with weight 1: what the baseline is trained on; and the same without each fold."""
    folds = store.settings().features.folds
    for number in range(folds if folds > 1 else 0):
        fold = Fold(number=number, folds=folds, seed=FOLD_SEED)
        policy = recipe_named(BASELINE).policy
        make_manifest(store.open(), fold_partition(BASELINE, number), policy, store.crawls(), fold)
    return _manifest(store, BASELINE)


@dg.asset(
    group_name="recipes",
    partitions_def=RECIPE_PARTITIONS,
    deps=[
        "evidence",
        "settled",
        *(dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) for name in ("listing", "images")),
    ],
    kinds={"parquet"},
    code_version=CODE_VERSION,
    automation_condition=RENEWED,
    freshness_policy=DAILY,
    metadata=columns(MANIFEST),
    check_specs=_check_specs("manifest", RECIPE_PARTITIONS),
)
@patient
def manifest(context: dg.AssetExecutionContext, store: StoreResource) -> Outcome:
    """A recipe's weighted list of what is trained on: one row per listed image, with the reason."""
    return _manifest(store, context.partition_key)
