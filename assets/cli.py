"""The command line: the same graph as the Dagster UI, without the browser."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from assets.progress import TerminalProgress
from assets.settings import Settings, SettingsError, read_settings, recorded_settings
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.locks import BusyError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Turns a noisy web crawl into the best image classifier it can give.",
)
console = Console()

StoreOption = Annotated[Path, typer.Option("--store", help="Folder that keeps everything made.")]
DEFAULT_STORE = Path("winnow-store")
SETTINGS_FILE = Path("winnow.toml")


@app.command()
def run(  # noqa: PLR0913, PLR0917 - each parameter is an option of the command line
    crawl: Annotated[list[str], typer.Argument(help="Folder, file or fsspec address (s3://...) of a crawl.")],
    store: StoreOption = DEFAULT_STORE,
    recipes: Annotated[str | None, typer.Option(help="Recipes to train, comma-separated.")] = None,
    network: Annotated[str | None, typer.Option(help="Network to train, e.g. resnet18, resnet50.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the stored square pictures, pixels.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every training.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes and threads of the data stages.")] = None,
    processes: Annotated[int | None, typer.Option(help="Training processes (torchrun).")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file; ./winnow.toml where there is one.")] = None,
) -> None:
    """Read a crawl, train the recipes on it, and write the report. What is already made is not made again."""
    overrides = {
        "recipes": tuple(recipes.split(",")) if recipes else None,
        "images": {"image_size": image_size},
        "training": {"network": network, "epochs": epochs},
        "run": {"workers": workers, "processes": processes},
    }
    from assets.run import run_crawls  # noqa: PLC0415 - Dagster behind it takes seconds to import

    run_crawls(Store(store), read_settings(_file(config), overrides), crawl, console)


@app.command()
def evidence(
    crawl: Annotated[list[str], typer.Argument(help="Folder, file or fsspec address (s3://...) of a crawl.")],
    store: StoreOption = DEFAULT_STORE,
    config: Annotated[Path | None, typer.Option(help="Settings file; ./winnow.toml where there is one.")] = None,
) -> None:
    """Read a crawl and gather everything that can be known of each image, without training the recipes."""
    from assets.run import gather_evidence  # noqa: PLC0415 - Dagster behind it takes seconds to import

    gather_evidence(Store(store), read_settings(_file(config), {}), crawl, console)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the synthetic crawl and its store.")] = Path("demo"),
) -> None:
    """Draw a synthetic crawl, run everything on it, and say how many of its wrong labels were found."""
    from assets.demo import run_demo  # noqa: PLC0415 - only this command draws

    run_demo(folder, console)


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
    config: Annotated[Path | None, typer.Option(help="Settings file; ./winnow.toml where there is one.")] = None,
) -> None:
    """List every recipe, yours too: what it does, what the source reached with it, and whether it has been run."""
    from assets.recipe_table import recipe_table  # noqa: PLC0415

    opened = Store(store)
    console.print(recipe_table(opened, _settings(opened, config)))


@app.command(context_settings={"ignore_unknown_options": True})  # an image_id may begin with a minus sign
def explain(
    image: Annotated[str, typer.Argument(help="An image_id, a path, or a part of a path that no other image has.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Tell all that is known of one image, in words here and in pictures on a page."""
    from assets.explain import explain as tell  # noqa: PLC0415 - drawing libraries behind it

    tell(Store(store), image, console)


@app.command()
def export(
    recipe: Annotated[str, typer.Argument(help="The recipe whose manifest is exported.")],
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="list, weights, webdataset, huggingface or csv.")],
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write what a recipe trains on in a form that other programs read."""
    from assets.exports import export_recipe  # noqa: PLC0415 - Dagster behind it takes seconds to import

    export_recipe(Store(store), recipe, form, folder, console)


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
def predict(
    model: Annotated[str, typer.Argument(help="RECIPE, RECIPE@SEED, an ensemble, or the folder of an exported model.")],
    places: Annotated[list[str], typer.Argument(metavar="PATHS...", help="Pictures, or folders of them.")],
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[Path | None, typer.Option(help="Table to write, .parquet or .csv, instead of the terminal.")] = None,
) -> None:
    """Name new pictures by any trained model, with the five likeliest classes and their probabilities."""
    from assets.predict import predict as tell  # noqa: PLC0415 - torch behind it

    tell(Store(store), model, places, out, console)


@app.command(name="export-model")
def export_model(
    model: Annotated[str, typer.Argument(help="RECIPE or RECIPE@SEED.")],
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    form: Annotated[
        str, typer.Option("--format", help="safetensors alone, or torchscript or onnx beside it.")
    ] = "safetensors",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write a trained network for use elsewhere: weights, classes, and a card with its errors."""
    from assets.model_export import export_model as write  # noqa: PLC0415 - torch behind it

    write(Store(store), model, folder, form, console)


@app.command()
def report(store: StoreOption = DEFAULT_STORE) -> None:
    """Bring the report up to date with what the store holds and print where it lies."""
    from assets.run import make_results  # noqa: PLC0415

    typer.echo(make_results(Store(store), TerminalProgress(console)))


@app.command()
def review(
    recipe: Annotated[str, typer.Argument(help="Recipe whose manifest the verdicts should change.")] = "fused",
    count: Annotated[int, typer.Option(help="Images to ask for, 1 to 2,000.")] = 200,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """List the images whose verdict would change a recipe's manifest most: a page to mark them on, CSV and Parquet."""
    from assets.people import review as list_images  # noqa: PLC0415

    list_images(Store(store), recipe, count, console)


@app.command()
def search(
    recipes: Annotated[
        str | None, typer.Option(help="Recipes to try, comma-separated; all there is evidence for.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    config: Annotated[Path | None, typer.Option(help="Settings file; ./winnow.toml where there is one.")] = None,
) -> None:
    """Rank all recipes in minutes by linear probes on the stored features, and say which are worth a training."""
    from assets.search import search as try_recipes  # noqa: PLC0415 - torch behind it takes seconds to import

    opened = Store(store)
    try_recipes(opened, _settings(opened, config), recipes.split(",") if recipes else [], console)


@app.command()
def verdicts(
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet: image_id (or crawl and path), and verdict: right, wrong or a class.")
    ],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Take what people found of images into the store: it outranks all evidence, and no run forgets it."""
    from assets.people import take  # noqa: PLC0415

    if not take(Store(store), file, console):
        raise typer.Exit(1)


def _file(config: Path | None) -> Path | None:
    """The settings file that was named, or the one that lies here."""
    return config or (SETTINGS_FILE if SETTINGS_FILE.exists() else None)


def _settings(store: Store, config: Path | None) -> Settings:
    """Those of a settings file, or else of the last run over the store."""
    file = _file(config)
    return read_settings(file, {}) if file else recorded_settings(store)


def main() -> None:
    """Run the command; what a user can mend ends as one line that says how."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(standalone_mode=False)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit("stopped; the next run goes on where this one was")
    except (SettingsError, NotMadeError, BusyError, OSError, ValueError, LookupError, RuntimeError) as error:
        sys.exit(f"winnow: {error}")


def _terminated(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
