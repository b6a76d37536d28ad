"""Commands about crawls that come and images that go."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from assets.commands.common import DEFAULT_STORE, ConfigOption, StoreOption, app, console, settings_of
from pipeline.storage.artifacts import Store


@app.command()
def watch(
    folder: Annotated[str, typer.Argument(help="Folder or address whose subfolders are deliveries.")],
    once: Annotated[bool, typer.Option("--once", help="Look once, instead of until it is stopped.")] = False,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two looks.")] = 60,
    store: StoreOption = DEFAULT_STORE,
    config: ConfigOption = None,
) -> None:
    """Take the complete deliveries (`_SUCCESS`) in a folder as crawls; make evidence and manifests of what is new."""
    from assets.watch import watch as look  # noqa: PLC0415 - Dagster behind it takes seconds to import

    opened = Store(store)
    look(opened, settings_of(opened, config), folder, console, every=0 if once else every)


@app.command()
def retraining(store: StoreOption = DEFAULT_STORE, config: ConfigOption = None) -> None:
    """Say of each recipe whether to train it again, and why: what is new, and how far classes have moved."""
    from assets.retraining import tell_retraining  # noqa: PLC0415 - Dagster behind it takes seconds to import

    opened = Store(store)
    tell_retraining(opened, settings_of(opened, config), console)


@app.command()
def withdraw(
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet: image_id, or crawl and path, or sha256; and why, in words.")
    ],
    by: Annotated[str, typer.Option(help="Who asks for it; you, if left out.")] = "",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Take pictures out for good: nothing of them is kept or trained on, in these crawls or in later ones."""
    from assets.withdraw import withdraw as take_out  # noqa: PLC0415 - the stages behind it take seconds to import

    if not take_out(Store(store), file, by or getpass.getuser(), console):
        raise typer.Exit(1)


@app.command()
def share(
    address: Annotated[
        str, typer.Argument(help="s3://BUCKET/PREFIX; left out, that which the store is shared in.")
    ] = "",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Share a store with other machines through a bucket: give what is made here, learn what they made."""
    from assets.share import share as share_store  # noqa: PLC0415 - the storage of buckets takes a second to import

    share_store(Store(store), address, console)
