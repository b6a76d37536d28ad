"""The command that tells what a run will take."""

from pathlib import Path
from typing import Annotated

import typer

from assets.commands.common import (
    DEFAULT_STORE,
    PLANNED_IMAGES,
    ConfigOption,
    StoreOption,
    app,
    console,
    settings_file,
)
from assets.settings import read_settings
from pipeline.storage.artifacts import Store


@app.command()
def plan(  # noqa: PLR0913, PLR0917 - each parameter is an option of the command line
    crawl: Annotated[
        list[str] | None, typer.Argument(help="Crawls, as for `winnow run`; none: plan beside fact.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    recipes: Annotated[str | None, typer.Option(help="Recipes to train, comma-separated.")] = None,
    network: Annotated[str | None, typer.Option(help="Network to train, e.g. resnet18, resnet50.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the stored square pictures, pixels.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every training.")] = None,
    machine: Annotated[Path | None, typer.Option(help="TOML file that describes another machine.")] = None,
    sample: Annotated[int, typer.Option(help="Images that the stages are tried on.")] = PLANNED_IMAGES,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what was measured before.")] = False,
    config: ConfigOption = None,
) -> None:
    """Tell hours, disk, memory and GPU-hours of every stage and recipe before a run; afterwards, plan beside fact."""
    from assets import plan as plans  # noqa: PLC0415 - what all stages load

    if not crawl:
        plans.compare_only(Store(store), console)
        return
    overrides = {
        "recipes": tuple(recipes.split(",")) if recipes else None,
        "images": {"image_size": image_size},
        "training": {"network": network, "epochs": epochs},
    }
    settings = read_settings(settings_file(config), overrides)
    plans.plan(Store(store), crawl, plans.Order(settings, machine, sample, fresh), console)
