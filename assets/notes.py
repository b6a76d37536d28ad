"""What the report says of recipes and ensembles."""

from collections.abc import Mapping

from assets.ensembles import PUBLISHED as ENSEMBLES
from assets.recipes import Recipe
from pipeline.report.page import RecipeNote


def recipe_notes(known: Mapping[str, Recipe]) -> dict[str, RecipeNote]:
    """By name: what each recipe does and what its source published of it.

    Args:
        known: the recipes, a user's own among them.
    """
    notes = {name: RecipeNote(name, recipe.published, recipe.summary, recipe.slide) for name, recipe in known.items()}
    does = "Several recipes' predictions combined."
    return notes | {name: RecipeNote(name, top5, does) for name, top5 in ENSEMBLES.items()}
