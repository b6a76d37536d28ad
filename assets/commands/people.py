"""Commands by which people are asked and answer."""

from pathlib import Path
from typing import Annotated

import typer

from assets.commands.common import DEFAULT_STORE, StoreOption, app, console
from pipeline.storage.artifacts import Store


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
