"""Group `crawl`: what was delivered, and what of it can be used."""

import dagster as dg
import pyarrow.compute as pc

from assets.checks import check_spec
from assets.metadata import Outcome, columns, figures, launchpad, picture, result
from assets.partitions import CRAWLS
from assets.pictures import decoded_sample
from assets.progress import ProgressReporter
from assets.resources import StoreResource
from assets.retries import patient
from assets.settings import overridden
from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.detect import describe
from pipeline.records import IMAGES, LISTING
from pipeline.stages import images as images_stage
from pipeline.stages import listing as listing_stage
from pipeline.stages.images import make_images
from pipeline.stages.listing import make_listing, picture_files
from pipeline.storage.tables import read_table

GROUP = "crawl"


@dg.asset(
    group_name=GROUP,
    partitions_def=CRAWLS,
    deps=["delivery"],
    kinds={"parquet"},
    code_version=listing_stage.CODE_VERSION,
    metadata=columns(LISTING),
    check_specs=[
        check_spec(
            "listing",
            "no_duplicate_ids",
            "Every listed image has an id of its own; if not, nothing is made from it.",
            CRAWLS,
            blocking=True,
        ),
        check_spec("listing", "something_listed", "The crawl lists at least one image.", CRAWLS),
    ],
)
@patient
def listing(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """Every picture a crawl lists: class, query, source, rank, texts and split; with the class catalogue."""
    crawl = store.crawl(context.partition_key)
    with progress.track(f"listing {crawl.name}", None, context.log.info) as advance:
        artifact = make_listing(store.open(), crawl, on_progress=advance)
    listed = artifact.facts["listed"]
    doubles = listed - pc.count_distinct(read_table(artifact.table("listing"), ("image_id",))["image_id"]).as_py()
    if artifact.made:
        progress.say(f"{crawl.name}: {describe(artifact.facts)}")
    checks = [
        dg.AssetCheckResult(check_name="no_duplicate_ids", passed=doubles == 0, metadata={"duplicates": doubles}),
        dg.AssetCheckResult(check_name="something_listed", passed=listed > 0, severity=dg.AssetCheckSeverity.WARN),
    ]
    return result(artifact, figures(artifact, listed), checks)


@dg.asset(
    group_name=GROUP,
    partitions_def=CRAWLS,
    deps=[listing],
    kinds={"parquet", "numpy"},
    code_version=images_stage.CODE_VERSION,
    config_schema=launchpad(DecodeSettings),
    metadata=columns(IMAGES),
    check_specs=[
        check_spec(
            "images",
            "nothing_lost",
            "listed = usable + quarantined; if not, nothing is made from them.",
            CRAWLS,
            blocking=True,
        ),
    ],
)
@patient
def images(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """Every listed picture decoded once, upright RGB of one size, or quarantined with a reason."""
    settings = overridden(store.settings(), "images", context.op_execution_context.op_config)
    crawl = store.crawl(context.partition_key)
    listed = store.open().current("listing", crawl.name)
    with progress.track(f"decoding {crawl.name}", listed.facts["listed"], context.log.info) as advance:
        artifact = make_images(
            store.open(),
            listed,
            picture_files(listed, crawl),
            settings.images,
            workers=store.workers(),
            on_progress=advance,
        )
    facts = artifact.facts
    whole = facts["listed"] == facts["usable"] + facts["quarantined"] == listed.facts["listed"]
    check = dg.AssetCheckResult(check_name="nothing_lost", passed=whole, metadata=figures(artifact))
    metadata = figures(artifact, facts["listed"]) | {"sample": picture(decoded_sample(artifact))}
    return result(artifact, metadata, [check])
