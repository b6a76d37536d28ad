"""`winnow explain`: what is known of one image, in words in the terminal, and where the page with the pictures lies."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assets.resources import recorded_crawls
from pipeline.report.explanation import Explanation
from pipeline.report.render import words
from pipeline.stages.explain import explain_image
from pipeline.storage.artifacts import Store
from pipeline.visible import visible

COLOURS = {"for": "green", "against": "red", "": ""}


def explain(store: Store, image: str, console: Console) -> None:
    """Tell about an image.

    Raises:
        NotMadeError: no crawl has been listed.
        ValueError: no image fits, or several do.
    """
    addresses = {name: crawl.address for name, crawl in recorded_crawls(store).items()}
    told, page = explain_image(store, image, addresses)
    console.print(f"[bold]{_safe(told.listed.class_name)}?[/] {_safe(told.headline)}")
    for sentence in told.details:
        console.print(_safe(sentence))
    _listing(told, console)
    _evidence(told, console)
    _words(told, console)
    _recipes(told, console)
    for sentence in told.missing:
        console.print(f"[yellow]{_safe(sentence)}[/]", soft_wrap=True)
    console.print(f"In pictures: {_safe(str(_from_here(page)))}", highlight=False, soft_wrap=True)


def _safe(text: str) -> str:
    """A crawl's words can neither style nor move anything in a terminal."""
    return escape(visible(text))


def _from_here(page: Path) -> Path:
    here = Path.cwd()
    return page.relative_to(here) if page.is_relative_to(here) else page


def _listing(told: Explanation, console: Console) -> None:
    own = told.listed
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rank = f", result {own.rank:,}" if own.rank is not None else ""
    found = (
        f"“{own.query}”{f' at {own.source}' if own.source else ''}{rank}" if own.query else (own.source or "") + rank
    )
    rows = {"image": f"{own.image_id} ({own.split})", "path": f"{own.crawl}/{own.path}", "query": found}
    rows |= {"title": own.title, "description": own.description, "tags": ", ".join(own.tags)}
    for name, value in rows.items():
        table.add_row(f"[dim]{name}[/]", _safe(value) or "[dim]none[/]")
    console.print(table, highlight=False)


def _evidence(told: Explanation, console: Console) -> None:
    if not told.testimonies:
        return
    table = Table("source", "what it says", "in its class", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for one in told.testimonies:
        if one.silent:
            table.add_row(one.source, f"[dim]{one.silent}[/]", "")
        for k, figure in enumerate(one.figures):
            sentence = f"{_safe(figure.sentence)} [dim]{figure.column}[/] {_safe(figure.value)}"
            colour = COLOURS[figure.speaks]
            table.add_row(
                one.source if k == 0 else "",
                f"[{colour}]{sentence}[/]" if colour else sentence,
                figure.standing.words if figure.standing else "",
            )
    console.print("", table, highlight=False)


def _words(told: Explanation, console: Console) -> None:
    for match in told.matches:
        shared = [f"{word.word} ({word.part}, in {words(word.fields)})" for word in match.words]
        console.print(
            f"words shared with {_safe(match.class_name)}: {_safe(', '.join(shared)) or 'none'}", highlight=False
        )


def _recipes(told: Explanation, console: Console) -> None:
    if not told.recipes:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("recipe")
    for name in ("weight", "repeats", "stage"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for row in told.recipes:
        other = (
            f"; trained as {row.trained_as}" if row.trained_as else f"; rather {row.suggested}" if row.suggested else ""
        )
        counts = (f"{row.weight:.2f}", str(row.repeats), str(row.stage)) if row.kept else ("left out", "", "")
        table.add_row(row.recipe, *counts, _safe(f"{row.reason}{other}"))
    console.print("", table, highlight=False)
