"""What all commands share: the app, the terminal, the store and the settings they speak of."""

from pathlib import Path
from typing import Annotated, Final

import typer

from assets.settings import Settings, read_settings, recorded_settings
from assets.terminal import Terminal
from pipeline.storage.artifacts import Store

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Turns a noisy web crawl into the best image classifier it can give.",
)
console = Terminal()

Crawls = Annotated[list[str], typer.Argument(help="Folder, file or fsspec address (s3://...) of a crawl.")]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder that keeps everything made.")]
ConfigOption = Annotated[Path | None, typer.Option(help="Settings file; ./winnow.toml where there is one.")]
DEFAULT_STORE: Final = Path("winnow-store")
SETTINGS_FILE: Final = Path("winnow.toml")
PLANNED_IMAGES: Final = 1500  # that a plan tries the stages on


def settings_file(config: Path | None) -> Path | None:
    """The settings file that was named, or the one that lies here."""
    return config or (SETTINGS_FILE if SETTINGS_FILE.exists() else None)


def settings_of(store: Store, config: Path | None) -> Settings:
    """Those of a settings file, or else of the last run over the store."""
    file = settings_file(config)
    return read_settings(file, {}) if file else recorded_settings(store)
