"""Group `crawl`: deliveries into a watched folder, each judged before it counts; the sensor that looks for them.

A folder's name is never a path of ours: its crawl's name is a slug, and what lies in it is read as any crawl is.
"""

from collections.abc import Callable

import dagster as dg

from assets.automation import TAGS
from assets.checks import check_spec
from assets.metadata import Metadata, Outcome, columns
from assets.partitions import CRAWLS
from assets.progress import ProgressReporter
from assets.resources import StoreResource, record, recorded_crawls, workers_of
from assets.retries import patient
from assets.settings import Settings
from pipeline.records import DELIVERIES
from pipeline.stages.deliveries import CODE_VERSION, Delivery, Judge, Row, due, find_deliveries, recorded_deliveries
from pipeline.storage.artifacts import Store

EVERY_SECONDS = 60


def judge(store: Store, settings: Settings, delivery: Delivery, on_progress: Callable[[int], None]) -> Row:
    """What becomes of a delivery, recorded; one that is taken is among the store's crawls from then on."""
    return Judge(
        store=store,
        known=recorded_crawls(store),
        crawl=settings.crawl,
        images=settings.images,
        workers=workers_of(store, settings),
        on_taken=lambda crawl: record(store, settings, [crawl]),
        on_progress=on_progress,
    ).judge(delivery)


@dg.asset(
    group_name="crawl",
    partitions_def=CRAWLS,
    kinds={"parquet"},
    code_version=CODE_VERSION,
    pool="deliveries",  # they are judged one after the other
    metadata=columns(DELIVERIES),
    check_specs=[check_spec("delivery", "taken", "It counts; if not, nothing is made from it.", CRAWLS, blocking=True)],
)
@patient
def delivery(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[ProgressReporter]
) -> Outcome:
    """What lies in the watched folder under a crawl's name, judged: taken as new or changed, or not, and why."""
    opened, settings = store.open(), store.settings()
    waiting = [one for one in due(opened, find_deliveries(watched(settings))) if one.crawl == context.partition_key]
    for one in waiting[:1]:  # two folders of one crawl's name: each has a run of its own
        with progress.track(f"delivery {one.crawl}", None, context.log.info) as advance:
            progress.say(told(judge(opened, settings, one, advance)))
    rows = [row for row in recorded_deliveries(opened) if row["crawl"] == context.partition_key]
    if not rows:
        raise ValueError(f"no complete delivery of {context.partition_key} lies in {watched(settings)}")
    version = dg.DataVersion(f"{rows[-1]['content']}.{rows[-1]['marker']}")
    check = dg.AssetCheckResult(check_name="taken", passed=rows[-1]["taken"], metadata=_shown(rows[-1]))
    return dg.MaterializeResult(metadata=_shown(rows[-1]), data_version=version, check_results=[check])


take_delivery = dg.define_asset_job(
    "take_delivery",
    selection=dg.AssetSelection.assets("delivery", "listing", "images"),
    tags=TAGS,
    description="Judge what was delivered under a crawl's name; list and decode what is taken.",
)


@dg.sensor(
    job=take_delivery,
    minimum_interval_seconds=EVERY_SECONDS,
    description="Looks below `deliveries.folder` for complete deliveries that are new or have changed.",
)
def new_deliveries(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
    """A run for each delivery that has not been judged as it is now; its key is the crawl's name and the content."""
    opened, settings = store.open(), store.settings()
    if settings.deliveries.folder is None:
        return dg.SkipReason("no folder is watched: set deliveries.folder in winnow.toml, or use `winnow watch FOLDER`")
    waiting = due(opened, find_deliveries(settings.deliveries.folder))
    there = set(context.instance.get_dynamic_partitions(str(CRAWLS.name)))
    fresh = {one.crawl for one in waiting} - there
    # A partition that stays empty would hold up whatever reads all of them.
    refused = {row["crawl"] for row in recorded_deliveries(opened)} & there - recorded_crawls(opened).keys()
    refused -= {one.crawl for one in waiting}
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"{one.crawl}:{one.content}.{one.marker}", partition_key=one.crawl) for one in waiting
        ],
        skip_reason=None if waiting else dg.SkipReason(f"nothing new in {settings.deliveries.folder}"),
        dynamic_partitions_requests=[
            *([CRAWLS.build_add_request(sorted(fresh))] if fresh else []),
            *([CRAWLS.build_delete_request(sorted(refused))] if refused else []),
        ],
    )


def watched(settings: Settings) -> str:
    """The address that is watched.

    Raises:
        LookupError: none is.
    """
    if settings.deliveries.folder is None:
        raise LookupError("no folder is watched: set deliveries.folder in winnow.toml, or use `winnow watch FOLDER`")
    return settings.deliveries.folder


def told(row: Row) -> str:
    """A delivery's outcome as one line."""
    return f"{row['crawl']}: {row['outcome']}, {'taken' if row['taken'] else 'not taken'}: {row['told']}"


def _shown(row: Row) -> Metadata:
    names = ("outcome", "taken", "listed", "before", "usable", "told")
    return {name: row[name] for name in names if row[name] is not None}
