"""`winnow demo`: the whole graph over a crawl the project draws itself, then its weights held against the truth."""

from pathlib import Path
from typing import Final

from rich.console import Console

from assets.plan import Order, compare, foretell
from assets.run import crawls_at, run_crawls
from assets.settings import Settings
from models.settings import TrainingSettings
from pipeline.crawl.decode import DecodeSettings
from pipeline.demo.crawl import read_truth, truth_path, write_demo_crawl
from pipeline.demo.noise import DemoSettings
from pipeline.demo.score import calibration, describe, describe_calibration, score, without_doubles
from pipeline.evidence.reliability import Reliability
from pipeline.report.charts import reliability_diagram
from pipeline.stages.listing import crawl_name
from pipeline.storage.artifacts import Store
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.tables import read_table

#: Small enough for minutes on two cores, large enough for the recipes to differ.
SETTINGS: Final = Settings(
    images=DecodeSettings(image_size=32),
    training=TrainingSettings(network="resnet18", epochs=7, batch_size=64),
)
JUDGED: Final = "kmeans-size"


def run_demo(folder: Path, console: Console, planned_images: int = 0) -> None:
    """Draw the crawl (unless it is there), run everything, and tell what was found and where to look.

    With `planned_images` the run is planned first, by trying the stages on so many images, and the plan is shown beside
    what the run took.
    """
    crawl, store = folder / "crawl", Store(folder / "store")
    if not crawl.exists():
        console.print("drawing a synthetic crawl: ten classes, 3,000 pictures, about 30% wrong labels ...")
        write_demo_crawl(crawl, DemoSettings())
    if planned_images:
        order = Order(SETTINGS, machine=None, images=planned_images, fresh=True)
        foretell(store, crawls_at([str(crawl)], SETTINGS), order, console)
    run_crawls(store, SETTINGS, [str(crawl)], console)
    if planned_images:
        compare(store, console)
    console.print(f"\nWhat the weights of {JUDGED} found:", highlight=False)
    console.print(findings(store, crawl), highlight=False, markup=False)
    honest = honesty(store, crawl)
    diagram = folder / "calibration.svg"
    publish_bytes(diagram, reliability_diagram(honest.said.tolist(), honest.found.tolist(), honest.images.tolist()))
    console.print(f"{describe_calibration(honest)} Drawn in {diagram}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Look around: winnow ui --store {store.root}", highlight=False, soft_wrap=True)


def findings(store: Store, crawl: Path) -> str:
    """How many of a drawn crawl's wrong labels the weights found, in a few lines."""
    manifest = read_table(store.current("manifest", JUDGED).table("manifest"), ("image_id", "path", "weight", "kept"))
    doubles = read_table(store.current("evidence-duplicates").table("evidence"))
    return describe(score(without_doubles(manifest, doubles), read_truth(truth_path(crawl))))


def honesty(store: Store, crawl: Path) -> Reliability:
    """How honest the fused probabilities of a drawn crawl are."""
    listing = read_table(store.current("listing", crawl_name(str(crawl))).table("listing"), ("image_id", "path"))
    fused = read_table(store.current("evidence-fused").table("evidence"), ("image_id", "right_probability"))
    return calibration(fused.join(listing, "image_id"), read_truth(truth_path(crawl)))
