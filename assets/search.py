"""`winnow search`: every recipe and composition tried in minutes, and what is worth a whole training."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from assets.progress import TerminalProgress
from assets.recipes import BASELINE, Recipe, recipe_named
from assets.settings import Settings
from models.search import make_search
from pipeline.stages.manifest import make_manifest
from pipeline.stages.settled import make_settled
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.tables import read_table

SHORT_LIST = 4  # recipes that are proposed to be trained
SURE = 0.9  # probability of a gain from which a recipe is worth a training


def search(store: Store, settings: Settings, recipes: Sequence[str], console: Console) -> None:
    """Try the recipes, or all that the store has evidence for, and tell how they stand.

    Raises:
        NotMadeError: the store has no features yet, or a recipe that was asked for lacks evidence.
    """
    crawls = store.partitions("listing")
    if not crawls or not set(crawls) <= set(store.partitions("features")):
        raise NotMadeError(
            f"{store.root} holds no features yet: run `winnow evidence CRAWL --store {store.root}` first"
        )
    known = settings.known_recipes()
    asked = [recipe_named(name, settings.own_recipes()) for name in recipes]
    untaught = [one for one in known.values() if not one.teachers]  # a probe sees a recipe's manifest and no teacher
    chosen = {one.name: one for one in [known[BASELINE], *(asked or untaught)]}
    weighed = _weigh(store, crawls, list(chosen.values()), bool(asked), console)
    with TerminalProgress(console).track(f"trying {len(weighed)} recipes", len(weighed), console.print) as advance:
        made = make_search(store, crawls, weighed, settings.search, on_progress=advance)
    rows = read_table(made.table("search")).to_pylist()
    console.print(_table(rows, known, settings.search.samples))
    for line in _advice(rows, str(made.table("search"))):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _weigh(store: Store, crawls: Sequence[str], recipes: Sequence[Recipe], asked: bool, console: Console) -> list[str]:
    """Make the manifests; a recipe that nobody asked for is left out where its evidence is missing, and told."""
    people = make_settled(store, crawls)
    made = []
    for recipe in recipes:
        try:
            own = None if recipe.name == BASELINE else people
            make_manifest(store, recipe.name, recipe.policy, crawls, settled=own)
        except NotMadeError as missing:
            if asked:
                raise
            console.print(f"{recipe.name} is left out: {missing}", highlight=False, markup=False, soft_wrap=True)
        else:
            made.append(recipe.name)
    return made


def _table(rows: Sequence[dict[str, Any]], known: dict[str, Recipe], samples: int) -> Table:
    table = Table(
        title="Recipes by linear probes on the stored features",
        caption=f"Percent, by {rows[0]['images']:,} {rows[0]['judged_on']}, over {samples} samples of the crawl.",
    )
    for column in ("recipe", "top-1", "class mean", "gain", "95% interval", "better, %", "published"):
        plain = column in ("recipe", "95% interval")
        table.add_column(column, justify="left" if column == "recipe" else "right", no_wrap=plain)
    for row in sorted(rows, key=lambda row: -row["top1"]):
        recipe = known.get(row["recipe"])
        published = recipe.published if recipe is not None else None
        interval = f"{100 * row['gain_low']:+.1f} to {100 * row['gain_high']:+.1f}"
        first = row["recipe"] == BASELINE
        table.add_row(
            row["recipe"],
            f"{100 * row['top1']:.1f}",
            f"{100 * row['class_top1']:.1f}",
            "" if first else f"{100 * row['gain']:+.1f}",
            "" if first else interval,
            "" if first else f"{100 * row['better']:.0f}",
            "" if published is None else f"{published:g}",
        )
    return table


def _advice(rows: Sequence[dict[str, Any]], where: str) -> list[str]:
    better = [row for row in rows if row["better"] >= SURE]
    best = [row["recipe"] for row in sorted(better, key=lambda row: -row["gain"])[:SHORT_LIST]]
    if not best:
        return [f"No recipe is better than {BASELINE} with a probability of {SURE:.0%}.", f"Table: {where}"]
    return [f"Worth a whole training: winnow run CRAWL --recipes {','.join([BASELINE, *best])}", f"Table: {where}"]
