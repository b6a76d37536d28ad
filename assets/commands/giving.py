"""Commands that carry something out of a store."""

from pathlib import Path
from typing import Annotated

import typer

from assets.commands.common import DEFAULT_STORE, StoreOption, app, console
from pipeline.storage.artifacts import Store


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
