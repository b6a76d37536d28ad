"""Group `results`: the result table and the page a person reads."""

import dagster as dg

from assets.automation import GATHERED, WEEKLY_FRESH
from assets.ensembles import current_ensembles
from assets.metadata import Outcome, columns, figures, result, tricks
from assets.notes import recipe_notes
from assets.published import bag_of
from assets.resources import StoreResource
from assets.retries import patient
from pipeline.result_tables import SUMMARY
from pipeline.stages import report as report_stage
from pipeline.stages import summary as summary_stage
from pipeline.stages.report import make_report
from pipeline.stages.summary import make_summary
from pipeline.storage.artifacts import seeded
from pipeline.storage.tables import read_table


def trained_recipes(store: StoreResource) -> list[str]:
    """What has predictions for every seed of the settings: recipes in the order of `winnow recipes`, then ensembles."""
    made, seeds = set(store.open().partitions("predictions")), store.settings().seeds
    known = store.settings().known_recipes()
    recipes = [recipe for recipe in known if all(seeded(recipe, seed) in made for seed in seeds)]
    return recipes + current_ensembles(store.open(), seeds)


@dg.asset(
    group_name="results",
    deps=["predictions", "ensembles"],
    kinds={"parquet"},
    code_version=summary_stage.CODE_VERSION,
    automation_condition=GATHERED,
    metadata=columns(SUMMARY),
    check_specs=[
        dg.AssetCheckSpec("better_than_chance", asset="summary", description="Top-1 of every recipe beats guessing.")
    ],
)
@patient
def summary(store: StoreResource) -> Outcome:
    """Top-1 and top-5 of every recipe, ensemble and seed; the source's tables beside ours, and the chain."""
    opened = store.open()
    names, settings = trained_recipes(store), store.settings()
    bag = bag_of(opened, names, settings.seeds, settings.known_recipes())
    artifact = make_summary(opened, names, settings.seeds, bag)
    rows = read_table(artifact.table("summary")).to_pylist()
    chance = 1 / max(opened.current("listing", store.crawls()[0]).facts["classes"], 1)
    worst = min((row["top1"] for row in rows), default=0.0)
    check = dg.AssetCheckResult(
        check_name="better_than_chance",
        passed=worst > chance,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"worst_top1": worst, "chance": chance},
    )
    told = {"table": dg.MetadataValue.md(_markdown(rows))} | tricks(artifact)
    return result(artifact, figures(artifact, len(rows)) | told, [check])


@dg.asset(
    group_name="results",
    deps=[summary, "evidence", "manifest"],
    kinds={"html"},
    code_version=report_stage.CODE_VERSION,
    automation_condition=GATHERED,
    freshness_policy=WEEKLY_FRESH,
)
@patient
def report(store: StoreResource) -> Outcome:
    """Pages to read: what came in, what was wrong with it, what each recipe gained; every class in pictures."""
    settings = store.settings()
    notes = recipe_notes(settings.known_recipes())
    artifact = make_report(store.open(), trained_recipes(store), notes, workers=settings.run.workers)
    return result(artifact, figures(artifact))


def _markdown(rows: list[dict[str, object]]) -> str:
    names = SUMMARY.names
    lines = [names, ["---"] * len(names)]
    lines += [
        [f"{row[name]:.3f}" if isinstance(row[name], float) else str(row[name]) for name in names] for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
