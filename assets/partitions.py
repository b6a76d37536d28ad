"""The two ways the graph is cut: one partition per delivered crawl, one per recipe.

Recipes are dynamic because a user adds his own in `winnow.toml`. A static list would have to read some store's settings
while the graph is imported, and then hold for that store and that moment only: `winnow run` records the settings after
the import, the UI's steps import anew, and one process may serve several stores. So the names lie where the crawls'
do, in the Dagster instance of each store, told anew whenever the settings are.
"""

from collections.abc import Iterable

import dagster as dg

CRAWLS = dg.DynamicPartitionsDefinition(name="crawl")
RECIPE_PARTITIONS = dg.DynamicPartitionsDefinition(name="recipe")


def tell_recipes(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Make the instance's recipes exactly these; what was made for one that is gone stays in the store."""
    name, wanted = str(RECIPE_PARTITIONS.name), list(names)
    for gone in set(instance.get_dynamic_partitions(name)).difference(wanted):
        instance.delete_dynamic_partition(name, gone)
    instance.add_dynamic_partitions(name, wanted)
