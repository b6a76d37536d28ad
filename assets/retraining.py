"""Group `recipes`: whether each recipe is to be trained again, and the sensor that has it done."""

from typing import Any

import dagster as dg
from rich.console import Console

from assets.automation import JUDGED
from assets.ensembles import member_names
from assets.metadata import Outcome, columns, figures, markdown, result
from assets.recipes import BASELINE, teachers_first
from assets.resources import StoreResource, recorded_crawls
from assets.retries import patient
from assets.settings import Settings
from assets.training import baseline_models, kept_baseline
from pipeline.records import RETRAINING
from pipeline.stages.retraining import CODE_VERSION, STAGE, last_trainings, make_retraining
from pipeline.storage.artifacts import Artifact, NotMadeError, Store, seeded
from pipeline.storage.tables import read_table


def judged_recipes(settings: Settings) -> list[tuple[str, tuple[str, ...], str]]:
    """What is trained at all: name, teachers and the model that stands for it, teachers before their students.

    The baseline among them where features come from it.
    """
    known = settings.known_recipes()
    named = [*settings.recipes, *(name.partition("@")[0] for name in member_names(settings, settings.seeds[0]))]
    own = settings.features.weights is None and settings.features.folds == 1
    ordered = teachers_first([BASELINE, *named] if own else named, known)
    return [
        (name, tuple(teacher for teacher, _ in known[name].teachers), seeded(name, settings.seeds[0]))
        for name in ordered
    ]


def judge_retraining(store: Store, settings: Settings, crawls: list[str]) -> Artifact:
    """Decide for every recipe; see `pipeline.retraining` for when it is asked."""
    trained = last_trainings(store, judged_recipes(settings))
    return make_retraining(store, crawls, trained, settings.retraining)


def tell_retraining(store: Store, settings: Settings, console: Console) -> None:
    """`winnow retraining`: the decisions, a line for each recipe."""
    StoreResource(root=str(store.root)).crawls()  # before anything is written to what may be no store
    made = judge_retraining(store, settings, sorted(recorded_crawls(store)))
    for row in read_table(made.table(STAGE)).to_pylist():
        asked = "train again" if row["asked"] else "leave"
        console.print(f"{row['recipe']}: {asked}: {row['why']}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"table: {made.table(STAGE)}", highlight=False, markup=False, soft_wrap=True)


@dg.asset(
    group_name="recipes",
    deps=["images", "features", "evidence_fused", "baseline_manifest", "manifest", "model"],
    kinds={"parquet"},
    code_version=CODE_VERSION,
    automation_condition=JUDGED,
    metadata=columns(RETRAINING),
)
@patient
def retraining(store: StoreResource) -> Outcome:
    """Whether to train each recipe again: how much is new since its last training, how far its classes have moved."""
    artifact = judge_retraining(store.open(), store.settings(), store.crawls())
    rows = read_table(artifact.table(STAGE)).to_pylist()
    lines = [(row["recipe"], "yes" if row["asked"] else "no", row["why"]) for row in rows]
    table = markdown(("recipe", "train again", "why"), lines)
    return result(artifact, figures(artifact, len(rows)) | {"decisions": dg.MetadataValue.md(table)})


train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.assets("manifest", "model", "predictions"),
    description="A recipe trained on its manifest, whose checks stop what is unsound, and asked for its logits.",
)

renew_baseline = dg.define_asset_job(
    "renew_baseline",
    selection=dg.AssetSelection.assets("baseline_manifest", "baseline_model"),
    description="The network that features come from; features, evidence and manifests follow.",
)


@dg.sensor(
    jobs=[train, renew_baseline],
    minimum_interval_seconds=60,
    description="Trains the recipes for which the asset `retraining` says so.",
)
def retrainings(store: StoreResource) -> dg.SensorResult | dg.SkipReason:
    """A run for each recipe that is asked, once for each manifest; one more where features are of an older baseline."""
    opened = store.open()
    requests = [
        dg.RunRequest(
            run_key=f"{row['recipe']}:{row['manifest']}",
            partition_key=row["recipe"],
            job_name=train.name,
            tags={"winnow/why": row["why"]},
        )
        for row in decisions(opened)
        if row["asked"]
    ]
    network = _features_due(opened, store.settings())
    if network is not None:
        requests.append(dg.RunRequest(run_key=f"features:{network}", job_name=renew_baseline.name))
    if not requests:
        return dg.SkipReason("no recipe is to be trained again: see the asset `retraining`")
    return dg.SensorResult(run_requests=requests)


def decisions(store: Store) -> list[dict[str, Any]]:
    """The last decisions, of those recipes whose manifest is still the one that was judged."""
    try:
        rows = read_table(store.current(STAGE).table(STAGE)).to_pylist()
        return [row for row in rows if store.current("manifest", row["recipe"]).identity == row["manifest"]]
    except NotMadeError:
        return []


def _features_due(store: Store, settings: Settings) -> str | None:
    """What stands for the network that features are to come from, where those there are come from another, or none."""
    made = store.partitions("features")
    if settings.features.weights is not None:
        return None if made else "given"
    if kept_baseline(store, settings):
        return None
    try:
        wanted = [model.identity for model in baseline_models(store, settings)]
    except NotMadeError:
        return None
    stale = any(store.current("features", crawl).facts.get("networks") != wanted for crawl in made)
    return "+".join(wanted) if stale or not made else None
