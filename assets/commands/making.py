"""Commands that make what is in a store."""

from pathlib import Path
from typing import Annotated

import typer

from assets.commands.common import (
    DEFAULT_STORE,
    PLANNED_IMAGES,
    ConfigOption,
    Crawls,
    StoreOption,
    app,
    console,
    settings_file,
    settings_of,
)
from assets.settings import read_settings
from pipeline.storage.artifacts import Store


@app.command()
def run(  # noqa: PLR0913, PLR0917 - each parameter is an option of the command line
    crawl: Crawls,
    store: StoreOption = DEFAULT_STORE,
    recipes: Annotated[str | None, typer.Option(help="Recipes to train, comma-separated.")] = None,
    network: Annotated[str | None, typer.Option(help="Network to train, e.g. resnet18, resnet50.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the stored square pictures, pixels.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every training.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes and threads of the data stages.")] = None,
    processes: Annotated[int | None, typer.Option(help="Training processes (torchrun).")] = None,
    config: ConfigOption = None,
) -> None:
    """Read a crawl, train the recipes on it, and write the report. What is already made is not made again."""
    overrides = {
        "recipes": tuple(recipes.split(",")) if recipes else None,
        "images": {"image_size": image_size},
        "training": {"network": network, "epochs": epochs},
        "run": {"workers": workers, "processes": processes},
    }
    from assets.run import run_crawls  # noqa: PLC0415 - Dagster behind it takes seconds to import

    run_crawls(Store(store), read_settings(settings_file(config), overrides), crawl, console)


@app.command()
def evidence(
    crawl: Crawls,
    store: StoreOption = DEFAULT_STORE,
    config: ConfigOption = None,
) -> None:
    """Read a crawl and gather everything that can be known of each image, without training the recipes."""
    from assets.run import gather_evidence  # noqa: PLC0415 - Dagster behind it takes seconds to import

    gather_evidence(Store(store), read_settings(settings_file(config), {}), crawl, console)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the synthetic crawl and its store.")] = Path("demo"),
    plan: Annotated[
        bool, typer.Option("--plan", help="Plan the run first, and show plan beside fact after it.")
    ] = False,
) -> None:
    """Draw a synthetic crawl, run everything on it, and say how many of its wrong labels were found."""
    from assets.demo import run_demo  # noqa: PLC0415 - only this command draws

    run_demo(folder, console, PLANNED_IMAGES if plan else 0)


@app.command()
def search(
    recipes: Annotated[
        str | None, typer.Option(help="Recipes to try, comma-separated; all there is evidence for.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    config: ConfigOption = None,
) -> None:
    """Rank all recipes in minutes by linear probes on the stored features, and say which are worth a training."""
    from assets.search import search as try_recipes  # noqa: PLC0415 - torch behind it takes seconds to import

    opened = Store(store)
    try_recipes(opened, settings_of(opened, config), recipes.split(",") if recipes else [], console)
