"""`winnow recipes`: every recipe beside the slide it comes from and what the store has of it."""

from rich.table import Table

from assets.recipes import Recipe
from assets.settings import Settings
from pipeline.storage.artifacts import Store, seeded


def recipe_table(store: Store, settings: Settings) -> Table:
    """One row a recipe: ours in the order of the slides, then the user's own."""
    table = Table(title="Recipes", caption="Published: top-5 accuracy on WebVision 2.0, ResNet-50, percent.")
    for column in ("recipe", "slide", "published", "what it does", "evidence it needs", "run"):
        table.add_column(column, justify="right" if column == "published" else "left", overflow="fold")
    trained, weighed = set(store.partitions("predictions")), set(store.partitions("manifest"))
    for name, recipe in settings.known_recipes().items():
        seeds = [seed for seed in settings.seeds if seeded(name, seed) in trained]
        table.add_row(*_row(recipe), _run(seeds, len(settings.seeds), name in weighed))
    return table


def _row(recipe: Recipe) -> tuple[str, ...]:
    published = "" if recipe.published is None else f"{recipe.published:g}"
    return recipe.name, recipe.slide, published, recipe.summary, ", ".join(recipe.policy.evidence)


def _run(seeds: list[int], wanted: int, weighed: bool) -> str:
    """What the store has of a recipe: trained and scored for all seeds, for some, only weighed, or nothing."""
    if seeds:
        return "yes" if len(seeds) == wanted else f"seed {', '.join(map(str, seeds))}"
    return "weighed" if weighed else "no"
