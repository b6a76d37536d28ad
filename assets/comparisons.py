"""Group `recipes`: a manifest beside another, asked for by a person and made by no automation."""

from typing import Final

import dagster as dg

from assets.compare import PAGE, TABLE, compared, side
from assets.manifests import manifest
from assets.metadata import Outcome, markdown
from assets.partitions import RECIPE_PARTITIONS
from assets.progress import ProgressReporter
from assets.resources import StoreResource
from pipeline.report.comparison import change_rows, sentences

PICTURED: Final = 24  # images of those that lose most, gain most, and are relabelled each
HEADINGS: Final = ("from A to B", "images", "weight in A", "weight in B")
FOLDER: Final = "compared"  # in the store, beside the pages of `winnow explain`


@dg.asset(
    group_name="recipes",
    partitions_def=RECIPE_PARTITIONS,
    deps=[manifest],
    kinds={"html"},
    code_version="1",
    config_schema={
        "with": dg.Field(
            dg.Noneable(str),
            is_required=False,
            default_value=None,
            description="A: another recipe, or RECIPE~2 for the manifest before the last; left out, the one before.",
        )
    },
)
def comparison(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """What changed from another manifest (A) to this recipe's (B), and why: `winnow diff` in the UI."""
    opened, recipe = store.open(), context.partition_key
    other = context.op_execution_context.op_config["with"] or f"{recipe}~1"
    if ":" in other:
        raise ValueError(f"name a recipe of this store, not {other!r}; `winnow diff` compares stores")
    folder = opened.root / FOLDER / recipe
    sides = (side(other, opened), side(recipe, opened))
    found, _ = compared(sides, folder, PICTURED, progress)
    rows = [(row.name, f"{row.images:,}", f"{row.weight_a:,.1f}", f"{row.weight_b:,.1f}") for row in change_rows(found)]
    return dg.MaterializeResult(
        metadata={
            "a": other,
            "b": recipe,
            "told": dg.MetadataValue.md("\n\n".join(sentences(found))),
            "changes": dg.MetadataValue.md(markdown(HEADINGS, rows)),
            "moved_percent": round(100 * found.moved, 2),
            "page": dg.MetadataValue.path(str(folder / PAGE)),
            "table": dg.MetadataValue.path(str(folder / TABLE)),
        }
    )
