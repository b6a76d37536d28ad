"""`winnow predict`: any trained model names pictures, on the terminal or in a table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.progress import Advance, TerminalProgress
from assets.settings import SettingsError, recorded_settings
from models.gang import join_gang
from models.labeller import label_pictures, load_labeller
from models.trained import find_trained
from pipeline.crawl.pictures import count_pictures, pictures_at
from pipeline.export.spreadsheet import publish_csv
from pipeline.result_tables import GUESSES, LABELLED
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import write_table

SHOWN: Final = 100  # pictures told of on a terminal


def predict(store: Store, model: str, places: list[str], out: Path | None, console: Console) -> None:
    """Name the pictures and tell what they are.

    Args:
        store: where models lie.
        model: a recipe, an ensemble, either with "@seed", or the folder of an exported model.
        places: files, folders or fsspec addresses.
        out: a table to write, .parquet or .csv; None: the terminal.
        console: of the terminal.

    Raises:
        ValueError: there is nothing to name, or too much for a terminal, or the model cannot be used.
        LookupError: there is no such model.
    """
    if out is not None and out.suffix.lower() not in (".parquet", ".csv"):
        raise SettingsError(f"--out {out}: a table is called .parquet or .csv")
    settings = recorded_settings(store)
    trained = find_trained(store, model, settings.seeds[0])
    pictures = pictures_at(places)
    total = count_pictures(pictures)
    if not total:
        raise SettingsError(f"no file in {', '.join(places)}")
    if total > SHOWN and out is None:
        raise SettingsError(f"{total:,} pictures are too many for a terminal: name a table with --out labels.parquet")
    labeller = load_labeller(trained, join_gang())
    progress = TerminalProgress(console)
    with progress.track(f"labels by {trained.name}", total, progress.say) as advance:
        tables = _told(label_pictures(labeller, pictures, settings.images, settings.run.workers), advance)
        if out is None:
            shown = pa.concat_tables(tables)
        elif out.suffix.lower() == ".csv":
            publish_csv(out, ({name: table[name] for name in table.column_names} for table in tables))
        else:
            write_table(out, LABELLED, tables)
    if out is None:
        console.print(_table(shown))
    else:
        console.print(f"labels: {out}: {total:,} files", highlight=False, soft_wrap=True)


def _told(tables: Iterator[pa.Table], advance: Advance) -> Iterator[pa.Table]:
    for table in tables:
        yield table
        advance(len(table))


def _table(rows: pa.Table) -> Table:
    """A line a picture; what stands in it is a stranger's, so it is shown as text and never as markup."""
    table = Table(box=None)
    table.add_column("picture", overflow="fold")
    for place in range(GUESSES):
        table.add_column("likeliest first" if not place else "")
    for row in rows.to_pylist():
        if row["reason"] is not None:
            said = [f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"]]
        else:
            guesses = [(row[f"name_{place}"], row[f"probability_{place}"]) for place in range(1, GUESSES + 1)]
            said = [f"{name} {probability:.1%}" for name, probability in guesses if name is not None]
        table.add_row(*(Text(_printable(text)) for text in (row["path"], *said)))
    return table


def _printable(text: str) -> str:
    """The text without what could steer a terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
