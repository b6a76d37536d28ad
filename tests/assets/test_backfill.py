"""Many crawls made anew at once, as by the UI: a run for each in the queue, and one that fails holds up no other."""

import shutil
from pathlib import Path

import pytest

from assets.partitions import CRAWLS
from assets.resources import record
from assets.run import dagster_instance
from assets.settings import Settings
from benchmarks.faults.services import Services, free_port, until
from pipeline.crawl.decode import DecodeSettings
from pipeline.stages.listing import Crawl
from pipeline.storage.artifacts import NotMadeError, Store
from tests.assets.conftest import ROOT
from tests.assets.test_withdraw import CRAWL
from tests.crawl.tiny import write

LAUNCH = """mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
STATUS = """query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status runs { status tags { key value } } }
  }
}"""
NAMES = [f"day-{number}" for number in range(6)]
GONE = NAMES[3]  # its folder is not there any more


def listed_and_usable(store: Store, crawl: str) -> tuple[int, int] | None:
    try:
        images = store.current("images", crawl)
    except NotMadeError:
        return None
    return images.facts["listed"], images.facts["usable"]


@pytest.mark.slow
def test_a_backfill_of_many_crawls(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    crawls = [Crawl(name, str(write(tmp_path / name, CRAWL))) for name in NAMES]
    record(store, Settings(images=DecodeSettings(image_size=32)), crawls)
    with dagster_instance(store) as instance:
        instance.add_dynamic_partitions(str(CRAWLS.name), NAMES)
    shutil.copy(ROOT / "deploy" / "one-machine" / "dagster.yaml", store.root / "dagster")
    shutil.rmtree(tmp_path / GONE)
    services = Services(store.root, free_port())
    try:
        services.start("webserver")
        services.start("daemon")
        until(services.answers, "the webserver answers")
        selection = [{"path": [name]} for name in ("listing", "images")]
        launched = services.ask(LAUNCH, {"params": {"assetSelection": selection, "partitionNames": NAMES}})
        backfill = launched["launchPartitionBackfill"]["backfillId"]

        def told() -> dict[str, object]:
            found: dict[str, object] = services.ask(STATUS, {"id": backfill})["partitionBackfillOrError"]
            return found

        until(lambda: str(told()["status"]).startswith(("COMPLETED", "FAILED", "CANCELED")), "the backfill has ended")
        ended = told()
    finally:
        services.end()
    assert ended["status"] == "COMPLETED_FAILED"
    runs = {
        next(tag["value"] for tag in run["tags"] if tag["key"] == "dagster/partition"): run["status"]
        for run in ended["runs"]  # type: ignore[attr-defined]
    }
    assert runs == {name: "FAILURE" if name == GONE else "SUCCESS" for name in NAMES}
    assert [listed_and_usable(store, name) for name in NAMES] == [None if name == GONE else (4, 3) for name in NAMES]
