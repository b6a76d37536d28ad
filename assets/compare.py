"""`winnow diff`: two manifests, or all that two stores share, compared image by image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assets.progress import ProgressReporter, TerminalProgress
from assets.recipes import BASELINE
from pipeline.policy.comparison import DROPPED, HEAVIER, LIGHTER, ONLY_A, ONLY_B, TAKEN_IN, Comparison, Moved
from pipeline.report.comparison import ComparisonPage, change_rows, class_rows, reason_rows, sentences, weights_of
from pipeline.report.render import render_comparison
from pipeline.stages.compare import compare
from pipeline.stages.compare_pictures import comparison_sheets
from pipeline.stages.crossfit import fold_partition
from pipeline.stages.report_inputs import catalogue_of
from pipeline.storage.artifacts import Artifact, NotMadeError, Store
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.tables import count_rows, read_table
from pipeline.visible import visible

TABLE, PAGE = "diff.parquet", "index.html"
SHOWN: Final = 5  # images named in the terminal of those that lose most, and as many that gain most


@dataclass(frozen=True)
class Side:
    """One of the two manifests."""

    name: str  # as the user says it
    store: Store
    manifest: Artifact


def diff(store: Store, a: str, b: str, folder: Path, images: int, console: Console) -> None:
    """Compare, print, and write the table of changes and the page.

    Args:
        store: of recipes that are named without one.
        a: a recipe, `RECIPE~1` for the manifest it had before, `STORE:RECIPE`, or a store.
        b: the same.
        folder: for the files; where stores are compared, one folder in it for each recipe.
        images: pictured of those that lose most, gain most, and are relabelled each.
        console: to print on.

    Raises:
        ValueError: a store is compared with a recipe, stores share no recipe, or number their classes differently.
        NotMadeError: there is no such manifest.
    """
    if images < 1:
        raise ValueError(f"images must be at least 1, not {images}")
    folders = [_is_store(one) for one in (a, b)]
    if any(folders) != all(folders):
        raise ValueError(
            "one is a store, the other a recipe: name two stores, or a recipe of the store as STORE:RECIPE"
        )
    if not all(folders):
        sides = (side(a, store), side(b, store))
        found, names = compared(sides, folder, images, TerminalProgress(console))
        _print(sides, found, names, console)
        console.print(f"page: {folder / PAGE}\ntable: {folder / TABLE}", highlight=False, markup=False, soft_wrap=True)
        return
    overview = Table("recipe", "moved", "only in A / B", "dropped / taken in", "lighter / heavier", "other class")
    for recipe in _shared(Path(a), Path(b)):
        sides = (side(f"{a}:{recipe}", store), side(f"{b}:{recipe}", store))
        found, _ = compared(sides, folder / recipe, images, TerminalProgress(console))
        pairs = ((ONLY_A, ONLY_B), (DROPPED, TAKEN_IN), (LIGHTER, HEAVIER))
        counts = [" / ".join(f"{found.images[change]:,}" for change in pair) for pair in pairs]
        overview.add_row(recipe, f"{100 * found.moved:.1f}%", *counts, f"{found.relabelled:,}")
    console.print(overview)
    console.print(f"pages and tables: {folder}", highlight=False, markup=False, soft_wrap=True)


def _is_store(told: str) -> bool:
    return (Path(told) / "current" / "manifest").is_dir()


def side(told: str, store: Store) -> Side:
    """The manifest that is meant.

    Raises:
        NotMadeError: there is no such manifest.
    """
    where, _, name = told.rpartition(":")
    store = Store(Path(where)) if where else store
    recipe, marked, back = name.partition("~")
    if not marked:
        return Side(told, store, store.current("manifest", recipe))
    versions = store.versions("manifest", recipe)
    if not back.isdigit() or int(back) >= len(versions):
        raise NotMadeError(f"{store.root} holds {len(versions) - 1} earlier manifests of {recipe}, not {told!r}")
    return Side(told, store, versions[int(back)])


def _shared(a: Path, b: Path) -> list[str]:
    recipes, others = (Store(path).partitions("manifest") for path in (a, b))
    folds = fold_partition(BASELINE, 0).removesuffix("0")
    found = [recipe for recipe in recipes if recipe in others and not recipe.startswith(folds)]
    if not found:
        raise ValueError(f"{a} and {b} share no recipe")
    return found


def compared(
    sides: tuple[Side, Side], folder: Path, images: int, progress: ProgressReporter
) -> tuple[Comparison, list[str]]:
    """Compare two manifests and write table and page; gives the names of the classes too."""
    names = _class_names(sides)
    total = sum(count_rows(side.manifest.table("manifest")) for side in sides)
    with progress.track(f"comparing {sides[0].name} with {sides[1].name}", total, progress.say) as advance:
        a, b = (side.manifest for side in sides)
        found = compare(a, b, folder / TABLE, classes=len(names), top=images, on_progress=advance)
    stores = dict.fromkeys((sides[1].store, sides[0].store))
    sheets = comparison_sheets(list(stores), found, names)
    page = ComparisonPage(
        sides[0].name,
        sides[1].name,
        sentences(found),
        change_rows(found),
        reason_rows(found),
        class_rows(found, names),
        sheets,
    )
    publish_bytes(folder / PAGE, render_comparison(page))
    return found, names


def _class_names(sides: tuple[Side, Side]) -> list[str]:
    listings = [_listings(side.store) for side in sides]
    wnids = [read_table(own[0].table("classes"), ("wnid",)) for own in listings]
    if not wnids[0].equals(wnids[1]):
        raise ValueError(f"{sides[0].store.root} and {sides[1].store.root} number their classes differently")
    return [one.name for one in catalogue_of(listings[0])]


def _listings(store: Store) -> list[Artifact]:
    found = [store.current("listing", crawl) for crawl in store.partitions("listing")]
    if not found:
        raise NotMadeError(f"{store.root} holds no crawl")
    return found


def _print(sides: tuple[Side, Side], found: Comparison, names: Sequence[str], console: Console) -> None:
    console.print(f"A is [bold]{_safe(sides[0].name)}[/], B is [bold]{_safe(sides[1].name)}[/]", highlight=False)
    for sentence in sentences(found):
        console.print(sentence, highlight=False)
    changes = Table("from A to B", "images", "weight in A", "in B", "gain")
    for row in change_rows(found):
        weights = (f"{row.weight_a:,.1f}", f"{row.weight_b:,.1f}", f"{row.weight_b - row.weight_a:+,.1f}")
        changes.add_row(row.name, f"{row.images:,}", *weights)
    reasons = Table("why", "gone", "gain", "new", "gain", "other figures", "gain")
    for reason in reason_rows(found):
        moved = (part for one in (reason.gone, reason.come, reason.stays) for part in _moved(one))
        reasons.add_row(_safe(reason.words), *moved)
    classes = Table("class", "changed", "images in A", "in B", "weight in A", "in B")
    for kind in class_rows(found, names):
        figures = (*(f"{n:,}" for n in (kind.changed, *kind.images)), *(f"{w:,.1f}" for w in kind.weight))
        classes.add_row(_safe(kind.name), *figures)
    images = Table("changed most", "weight", "why in A", "why in B", show_lines=True)
    for one in found.most_lost[:SHOWN] + found.most_gained[:SHOWN]:
        images.add_row(*(_safe(text) for text in _told(one, names)))
    for column in (*changes.columns[1:], *reasons.columns[1:], *classes.columns[1:]):
        column.justify = "right"
    images.columns[0].overflow = "fold"  # a path that is cut cannot be looked up
    for table in (changes, reasons, classes, images):
        if table.row_count:
            console.print(table)


def _told(row: dict[str, Any], names: Sequence[str]) -> tuple[str, str, str, str]:
    return row["path"], weights_of(row, names), row["reason_a"] or "", row["reason_b"] or ""


def _moved(part: Moved) -> tuple[str, str]:
    return (f"{part.images:,}", f"{part.say:+,.1f}") if part.images else ("", "")


def _safe(text: str) -> str:
    """A crawl's words can neither style nor move anything in a terminal."""
    return escape(visible(text))
