"""The checks that stand with an asset."""

import warnings

import dagster as dg


def check_spec(
    asset: str, name: str, description: str, cut: dg.PartitionsDefinition[str] | None = None, *, blocking: bool = False
) -> dg.AssetCheckSpec:
    """A check of every partition by itself: one bad crawl does not pass because a good one came after it.

    Args:
        asset: that it is a check of.
        name: of the check.
        description: what holds where it passed.
        cut: how the asset is cut into partitions.
        blocking: nothing is made from what fails it.
    """
    with warnings.catch_warnings():
        # Dagster 1.13 calls partitions of checks a preview; which release we run on is bounded and pinned.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=cut, blocking=blocking)
