"""`winnow summary`: the chain from baseline to ensemble and the source's tables beside ours, in the terminal."""

import re
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.report.tricks import HEADINGS, STEP_HEADINGS, Tricks, cells, step_cells
from pipeline.stages.report_tricks import read_tricks
from pipeline.storage.artifacts import NotMadeError, Store

WIDE: Final = 150  # columns of a terminal that shows intervals too
_NARROW: Final = f"Means over classes in percent; from {WIDE} columns on with all columns and intervals."
_UNITS: Final = (
    "Means over classes in percent; in round brackets the lowest and the highest of the seeds, in square ones 95% "
    "intervals over images."
)


def tell_tricks(store: Store, console: Console) -> None:
    """Print both, with what to know before reading them.

    Raises:
        NotMadeError: nothing has been summed up yet.
    """
    told = read_tricks(store.current("summary"))
    if told is None:
        raise NotMadeError(
            f"the summary of {store.root} tells no tables: run `winnow report --store {store.root}` first"
        )
    for table in (_chain_table(told, console.width), _tricks_table(told, console.width)):
        console.print(table)
    for note in told.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def _chain_table(told: Tricks, width: int) -> Table:
    shown = range(len(STEP_HEADINGS)) if width >= WIDE else (0, 1, 2, 3, 5, 6, 8, 9)
    table = _table("From the baseline to the ensemble", _chosen(told), [STEP_HEADINGS[k] for k in shown], width)
    for step in told.steps:
        table.add_row(*_fitting(step_cells(step), shown, width))
    return table


def _tricks_table(told: Tricks, width: int) -> Table:
    shown = range(len(HEADINGS)) if width >= WIDE else (0, 1, 3, 4, 5, 6, 8)
    table = _table("The source's tables", f"On {told.split}. ", [HEADINGS[k] for k in shown], width)
    for own in told.tables:
        table.add_section()
        run = any(row.seeds for row in own.rows)
        table.add_row(Text(own.title if run else f"{own.title}: none of {len(own.rows)} rows run", "bold"))
        for row in own.rows if run else ():
            table.add_row(*_fitting(cells(row), shown, width))
    return table


def _table(title: str, caption: str, headings: Sequence[str], width: int) -> Table:
    wide = width >= WIDE
    table = Table(title=title, caption=f"{caption}{_UNITS if wide else _NARROW}", padding=(0, 1) if wide else 0)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < 2 else "right", overflow="fold")
    return table


def _fitting(words: Sequence[str], shown: Sequence[int], width: int) -> list[Text]:
    """Some cells of a row, as text without markup; in a narrow terminal without what stands in brackets."""
    own = [words[k] for k in shown]
    return [Text(cell if width >= WIDE else re.split(r" [\[(](?!not run)", cell)[0]) for cell in own]


def _chosen(told: Tricks) -> str:
    first = next((step for step in told.steps if step.recipe), None)
    return f"Chosen on {first.chosen_on}, told on {first.images:,} images of {first.told_on}. " if first else ""


def chain_line(store: Store) -> str | None:
    """The chain in one line; None where no step but the baseline was run."""
    told = read_tricks(store.current("summary"))
    steps = [step for step in told.steps if step.recipe] if told else []
    if len(steps) < 2:
        return None
    parts = [f"{step.recipe} {100 * (step.top1.value or 0):.1f}%{_gone(step.top1.reduced)}" for step in steps]
    first = steps[0]
    return f"chain (class mean top-1, chosen on {first.chosen_on}, told on {first.told_on}): {' → '.join(parts)}"


def _gone(reduced: float | None) -> str:
    return "" if reduced is None else f" ({100 * reduced:.0f}% of errors gone)"
