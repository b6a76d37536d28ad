"""Commands that show what is in a store."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from assets.commands.common import DEFAULT_STORE, ConfigOption, StoreOption, app, console, settings_of
from assets.progress import TerminalProgress
from assets.settings import recorded_settings
from pipeline.storage.artifacts import Store


@app.command()
def ui(
    store: StoreOption = DEFAULT_STORE,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback put a proxy with a login.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """Open the Dagster UI over a store."""
    from assets.partitions import tell_recipes  # noqa: PLC0415 - Dagster behind these takes seconds to import
    from assets.run import dagster_instance  # noqa: PLC0415

    with dagster_instance(Store(store)) as instance:
        tell_recipes(instance, recorded_settings(Store(store)).known_recipes())
    os.environ["WINNOW_STORE"] = str(store.resolve())
    console.print(f"Dagster UI over {store} at http://{host}:{port} (ctrl-c stops it)", highlight=False)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "assets.definitions", "-h", host, "-p", str(port)]
    os.execv(sys.executable, command)  # noqa: S606 - this process becomes the server, so that signals reach it


@app.command()
def path(
    table: Annotated[
        str, typer.Argument(help="listing, images, evidence, evidence/NAME, manifest/RECIPE, ... or summary.")
    ],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Print the folder of a table's Parquet parts, one line for each crawl or seed it has."""
    from assets.tables import table_folders  # noqa: PLC0415

    for found in table_folders(Store(store), table):
        typer.echo(found)


@app.command()
def recipes(
    store: StoreOption = DEFAULT_STORE,
    config: ConfigOption = None,
) -> None:
    """List every recipe, yours too: what it does, what the source reached with it, and whether it has been run."""
    from assets.recipe_table import recipe_table  # noqa: PLC0415

    opened = Store(store)
    console.print(recipe_table(opened, settings_of(opened, config)))


@app.command(context_settings={"ignore_unknown_options": True})  # an image_id may begin with a minus sign
def explain(
    image: Annotated[str, typer.Argument(help="An image_id, a path, or a part of a path that no other image has.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Tell all that is known of one image, in words here and in pictures on a page."""
    from assets.explain import explain as tell  # noqa: PLC0415 - drawing libraries behind it

    tell(Store(store), image, console)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="RECIPE, RECIPE~1 (the one before), STORE:RECIPE, or a STORE.")],
    b: Annotated[str, typer.Argument(help="What to compare it with.")],
    store: StoreOption = DEFAULT_STORE,
    to: Annotated[Path, typer.Option(help="Folder for the table of changes and the page.")] = Path("winnow-diff"),
    images: Annotated[int, typer.Option(help="Images pictured of those that lose most, and as many that gain.")] = 24,
) -> None:
    """Compare two manifests, or all that two stores share: who changed, by how much, why."""
    from assets.compare import diff as compare_manifests  # noqa: PLC0415 - drawing libraries behind it

    compare_manifests(Store(store), a, b, to, images, console)


@app.command()
def report(store: StoreOption = DEFAULT_STORE) -> None:
    """Bring the report up to date with what the store holds and print where it lies."""
    from assets.run import make_results  # noqa: PLC0415

    typer.echo(make_results(Store(store), TerminalProgress(console)))


@app.command()
def summary(store: StoreOption = DEFAULT_STORE) -> None:
    """Tell what the run came to: the chain from baseline to ensemble, and the source's tables beside ours."""
    from assets.tricks import tell_tricks  # noqa: PLC0415

    tell_tricks(Store(store), console)


@app.command()
def verify(
    store: StoreOption = DEFAULT_STORE,
    repair: Annotated[bool, typer.Option("--repair", help="Make again what is damaged, and that alone.")] = False,
) -> None:
    """Compare every file of a store with what was recorded when it was written; exit status 1 where one is damaged."""
    from assets.verify import verify_store  # noqa: PLC0415 - Dagster behind it takes seconds to import

    if not verify_store(Store(store), repair, console):
        raise typer.Exit(1)
