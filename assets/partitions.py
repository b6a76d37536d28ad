"""The two ways the graph is cut: one partition per delivered crawl, one per recipe."""

import dagster as dg

from assets.recipes import RECIPES

CRAWLS = dg.DynamicPartitionsDefinition(name="crawl")
RECIPE_PARTITIONS = dg.StaticPartitionsDefinition(list(RECIPES))
