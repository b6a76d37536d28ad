"""`winnow export`: a recipe's manifest, brought up to date, in a format that other programs read."""

from pathlib import Path

from rich.console import Console

from assets.progress import TerminalProgress
from assets.resources import StoreResource
from assets.run import make_manifest_of
from pipeline.export.formats import check_format, make_export, steps
from pipeline.export.source import ExportSource
from pipeline.stages.listing import picture_files
from pipeline.storage.artifacts import Store


def export_recipe(store: Store, recipe: str, name: str, folder: Path, console: Console) -> None:
    """Write the export and tell what is in it.

    Raises:
        ValueError: there is no such recipe or format, or nothing can be exported that way.
        LookupError: the store knows no crawl, or lacks evidence that the recipe reads.
    """
    check_format(name)
    progress = TerminalProgress(console)
    make_manifest_of(store, recipe, progress)
    source = export_source(store, recipe)
    with progress.track(f"export of {recipe}", steps(source, name), progress.say) as advance:
        export = make_export(store, source, name, folder, advance)
    facts = export.facts
    told = f"{facts['images']:,} images" + ("" if export.made else ", as it stood")
    if facts["left_out"]:
        told += f"; {facts['left_out']:,} left out, named in left_out.csv"
    console.print(f"export: {export.folder}: {told}", *facts["notes"], sep="\n", highlight=False, soft_wrap=True)


def export_source(store: Store, recipe: str) -> ExportSource:
    """A recipe's current manifest and the crawls that the store knows."""
    resource = StoreResource(root=str(store.root))
    crawls = resource.crawls()
    listings = [store.current("listing", crawl) for crawl in crawls]
    return ExportSource(
        manifest=store.current("manifest", recipe),
        listings=listings,
        images=[store.current("images", crawl) for crawl in crawls],
        files=lambda: [picture_files(listing, resource.crawl(listing.partition)) for listing in listings],
        max_bytes=resource.settings().images.max_bytes,
    )
