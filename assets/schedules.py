"""What Dagster starts by the clock, and the sensor that starts what `assets.automation` finds due."""

from collections.abc import Iterator

import dagster as dg

from assets.automation import NIGHTLY, TAGS, WEEKLY, ZONE
from assets.resources import StoreResource, recorded_crawls

bring_up_to_date = dg.define_asset_job(
    "bring_up_to_date",
    selection=dg.AssetSelection.groups("evidence") | dg.AssetSelection.assets("baseline_manifest"),
    tags=TAGS,
    description="All evidence over all crawls, with the verdicts and settings of now; the manifests follow.",
)

look_again = dg.define_asset_job(
    "look_again",
    selection=dg.AssetSelection.assets("listing", "images"),
    tags=TAGS,
    description="List a crawl as it lies there now and decode what is new; everything else follows, the report last.",
)

nightly = dg.ScheduleDefinition(
    name="nightly",
    job=bring_up_to_date,
    cron_schedule=NIGHTLY,
    execution_timezone=ZONE,
    description="Evidence and manifests with what was said and set during the day.",
)


@dg.schedule(
    job=look_again,
    cron_schedule=WEEKLY,
    execution_timezone=ZONE,
    description="Every crawl of the store looked at again, and all that follows from it, up to the report.",
)
def weekly(context: dg.ScheduleEvaluationContext, store: StoreResource) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run for each crawl; once for each time the clock strikes."""
    crawls = sorted(recorded_crawls(store.open()))
    if not crawls:
        yield dg.SkipReason("the store knows no crawl: add one with `winnow run CRAWL`")
    for crawl in crawls:
        yield dg.RunRequest(run_key=f"{crawl}:{context.scheduled_execution_time.isoformat()}", partition_key=crawl)


follow = dg.AutomationConditionSensorDefinition(
    "follow",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=60,
    run_tags=TAGS,
    description="Starts whatever is due since something that it is made from is another; never a training.",
)
