"""The sensor that looks for deliveries, and the run it asks for."""

import io
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from rich.console import Console

from assets.definitions import defs
from assets.deliveries import new_deliveries
from assets.partitions import CRAWLS
from assets.progress import LogProgress, TerminalProgress
from assets.resources import StoreResource, record, recorded_crawls
from assets.run import make_manifests
from assets.settings import DeliverySettings, EvidenceSettings, Settings
from assets.watch import look
from pipeline.stages.deliveries import recorded_deliveries
from pipeline.storage.artifacts import Store
from tests.crawl.pictures import encoded, photo
from tests.crawl.tiny import write

CRAWL: dict[str, str | bytes] = {
    "shoe/a.jpg": encoded(photo(1, 40, 40), "JPEG"),
    "bag/b.jpg": encoded(photo(2, 40, 40), "JPEG"),
    "_SUCCESS": "",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store that watches a folder."""
    (tmp_path / "deliveries").mkdir()
    store = Store(tmp_path / "store")
    record(store, Settings(deliveries=DeliverySettings(folder=str(tmp_path / "deliveries"))), [])
    return store


def tick(store: Store, instance: dg.DagsterInstance) -> Any:
    context = dg.build_sensor_context(instance=instance, resources={"store": StoreResource(root=str(store.root))})
    return new_deliveries(context)


def test_the_sensor_asks_for_a_run_by_name_and_content(store: Store, tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert "nothing new" in str(tick(store, instance).skip_reason)
        folder = write(tmp_path / "deliveries" / "My crawl", CRAWL)
        first = tick(store, instance)
        (request,) = first.run_requests
        assert request.partition_key == "my-crawl"
        assert request.run_key.startswith("my-crawl:")
        (asked,) = first.dynamic_partitions_requests
        assert asked.partition_keys == ["my-crawl"]
        assert [one.run_key for one in tick(store, instance).run_requests] == [request.run_key]  # Dagster runs it once
        os.utime(folder / "_SUCCESS", (1, 1))
        assert tick(store, instance).run_requests[0].run_key != request.run_key


def test_no_folder_is_watched_unless_one_is_named(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert "set deliveries.folder" in str(tick(Store(tmp_path), instance).skip_message)


def take(store: Store, instance: dg.DagsterInstance, crawl: str) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions(str(CRAWLS.name), [crawl])
    job = defs.resolve_job_def("take_delivery")
    resources = {"store": StoreResource(root=str(store.root)), "progress": LogProgress()}
    return job.execute_in_process(instance=instance, partition_key=crawl, resources=resources, raise_on_error=False)


def test_the_run_takes_what_counts_and_stops_at_what_does_not(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "deliveries" / "good", CRAWL)
    write(tmp_path / "deliveries" / "empty", {"_SUCCESS": ""})
    with dg.DagsterInstance.ephemeral() as instance:
        good, empty = take(store, instance, "good"), take(store, instance, "empty")
        assert good.success
        made = [
            event.asset_key.to_user_string() for event in good.get_asset_materialization_events() if event.asset_key
        ]
        assert sorted(made) == ["delivery", "images", "listing"]
        assert not empty.success
        made = [
            event.asset_key.to_user_string() for event in empty.get_asset_materialization_events() if event.asset_key
        ]
        assert made == ["delivery"]
        (check,) = empty.get_asset_check_evaluations()
        assert not check.passed
        assert check.metadata["outcome"].value == "empty"
        after = tick(store, instance)  # both have been judged: no run is asked for, and what is empty is no partition
        assert "nothing new" in str(after.skip_reason)
        assert [(type(one).__name__, one.partition_keys) for one in after.dynamic_partitions_requests] == [
            ("DeleteDynamicPartitionsRequest", ["empty"])
        ]
    assert list(recorded_crawls(store)) == ["good"]
    assert [(row["crawl"], row["outcome"]) for row in recorded_deliveries(store)] == [
        ("good", "new"),
        ("empty", "empty"),
    ]


def test_evidence_waits_for_the_crawls_it_is_fitted_on(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "deliveries" / "My crawl", CRAWL)
    told = Settings(
        deliveries=DeliverySettings(folder=str(tmp_path / "deliveries")),
        evidence=EvidenceSettings(fitted_on=("first",)),
    )
    said = io.StringIO()
    assert look(store, told, TerminalProgress(Console(file=said, width=200))) == ["my-crawl"]
    assert "evidence waits for first, which evidence.fitted_on names: not delivered yet" in said.getvalue()
    assert store.partitions("images") == ["my-crawl"]
    assert store.partitions("evidence-rank") == []
    with pytest.raises(ValueError, match="'first' is no crawl of the store, which has my-crawl: name those"):
        make_manifests(store, told, [], TerminalProgress(Console(quiet=True)))
