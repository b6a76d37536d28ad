"""Named, complete recipes: what is weighed how, and what the source published for it."""

import difflib
from dataclasses import dataclass
from typing import Final

from pipeline.policy.balance import inverse_count, uniform
from pipeline.policy.clusters import by_cluster_size
from pipeline.stages.manifest import Policy

BASELINE: Final = "baseline"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One row of the source's tables."""

    name: str
    policy: Policy
    #: top-5 accuracy on WebVision 2.0 in percent, where the source gives one
    published: float | None
    slide: str
    summary: str


_ALL = (
    Recipe(
        name=BASELINE,
        policy=Policy(name="uniform", evidence={}, decide=lambda columns: uniform(columns["class_index"])),
        published=73.60,
        slide="Training strategy",
        summary="Every usable image counts the same.",
    ),
    Recipe(
        name="class-reweight",
        policy=Policy(name="inverse-count", evidence={}, decide=lambda columns: inverse_count(columns["class_index"])),
        published=74.4,
        slide="Handle imbalance - reweight class",
        summary="An image weighs 1 / (images of its class), so that every class weighs the same.",
    ),
    Recipe(
        name="kmeans-size",
        policy=Policy(
            name="cluster-size",
            evidence={"kmeans": ("cluster", "cluster_share")},
            decide=lambda columns: by_cluster_size(
                columns["class_index"], columns["cluster"], columns["cluster_share"]
            ),
        ),
        published=74.6,
        slide="How to use the cluster result?",
        summary="An image weighs as much as its k-means cluster is large within its class.",
    ),
)

RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in _ALL}
DEFAULT_RECIPES: Final = tuple(RECIPES)


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: there is none; the message gives the nearest valid name.
    """
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(RECIPES)}"
    raise ValueError(f"unknown recipe {name!r}; {hint}")
