"""Group `ensembles`: the recipes' predictions combined, under names that are scored and shown as recipes are."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from assets.automation import GATHERED
from assets.metadata import Outcome, columns, figures, launchpad, result
from assets.progress import ProgressReporter
from assets.resources import StoreResource
from assets.retries import patient
from assets.settings import Settings, overridden
from assets.training import predictions
from pipeline.ensemble.learn import EnsembleSettings
from pipeline.result_tables import ENSEMBLE_WEIGHTS
from pipeline.stages.ensemble import (
    CODE_VERSION,
    ENSEMBLES,
    LEARNED,
    TRAINING_STAGE,
    TooFewCleanImagesError,
    current_ensemble,
    make_ensemble,
    make_training_ensemble,
)
from pipeline.storage.artifacts import Artifact, Store, seeded

#: Top-5 on WebVision 2.0 in percent: the source's "simple ensemble", whichever of three it was, and its learned one.
PUBLISHED: Final = {name: 81.3 if name == LEARNED else 80.4 for name in ENSEMBLES}


@dg.asset(
    group_name="ensembles",
    deps=[predictions],
    kinds={"parquet"},
    code_version=CODE_VERSION,
    automation_condition=GATHERED,
    config_schema=launchpad(EnsembleSettings),
    metadata=columns(ENSEMBLE_WEIGHTS),
)
@patient
def ensembles(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """Majority vote, average, votes with mean logits, and weights learned on val: each once for every seed.

    They say what they make of the training images too where `predictions.training` asks their members.
    """
    settings = overridden(store.settings(), "ensemble", context.op_execution_context.op_config)
    opened, made = store.open(), []
    for seed in settings.seeds:
        members = [opened.current("predictions", name) for name in member_names(settings, seed)]
        for name in ENSEMBLES:
            with progress.track(f"{name} of {len(members)} models, seed {seed}", None, context.log.info):
                try:
                    ensemble = make_ensemble(opened, name, seed, members, settings.ensemble)
                except TooFewCleanImagesError as lack:
                    progress.say(f"left out: {lack}")
                    context.log.warning(str(lack))
                    continue
                made.append(ensemble)
                if settings.predictions.training:
                    said = [opened.current(TRAINING_STAGE, member.partition) for member in members]
                    make_training_ensemble(opened, ensemble, said)
    told = {"weights": dg.MetadataValue.md(_weights(made))}
    return result(made, figures(made[-1], sum(each.facts["images"] for each in made)) | told)


def member_names(settings: Settings, seed: int) -> list[str]:
    """The models that are combined for a seed, as "recipe@seed"."""
    named = settings.ensemble.members or settings.recipes
    return list(dict.fromkeys(name if "@" in name else seeded(name, seed) for name in named))


def current_ensembles(store: Store, seeds: Sequence[int]) -> list[str]:
    """The ensembles that there are for every seed, of models as they are now."""
    return [name for name in ENSEMBLES if all(current_ensemble(store, name, seed) for seed in seeds)]


def _weights(made: Sequence[Artifact]) -> str:
    """What the members of the learned ensembles weigh, as a Markdown table."""
    learned = [artifact for artifact in made if "weights" in artifact.facts]
    rows = [
        f"| {artifact.partition} | {member} | {weight:.3f} |"
        for artifact in learned
        for member, weight in artifact.facts["weights"].items()
    ]
    return "\n".join(["| ensemble | member | weight |", "| --- | --- | --- |", *rows])
