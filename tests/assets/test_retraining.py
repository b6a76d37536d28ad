"""The sensor that has recipes trained again, and what the clock starts."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pyarrow as pa
import pytest

from assets.resources import StoreResource, record
from assets.retraining import judged_recipes, retrainings
from assets.schedules import weekly
from assets.settings import Settings
from models.features import FeaturesSettings
from pipeline.records import RETRAINING
from pipeline.stages.listing import Crawl
from pipeline.storage.artifacts import WHOLE, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

NIGHT = datetime(2030, 1, 5, 3, tzinfo=UTC)
KEPT = Settings(features=FeaturesSettings(baseline="keep"))


def tick(store: Store, settings: Settings = KEPT) -> list[tuple[str, Any, Any]]:
    """Job, key and partition of each run that is asked for."""
    record(store, settings, [])
    context = dg.build_sensor_context(resources={"store": StoreResource(root=str(store.root))})
    found = retrainings(context)
    requests = found.run_requests if isinstance(found, dg.SensorResult) else []
    return [(str(one.job_name), one.run_key, one.partition_key) for one in requests or []]


def _decisions(asked: dict[str, bool], draft: Draft) -> Facts:
    rows = [
        {"recipe": recipe, "manifest": f"{recipe}-now", "asked": yes, "why": "so", "images": 1, "new_images": 1}
        | {"new_share": 1.0}
        for recipe, yes in asked.items()
    ]
    path = part_path(draft.table("retraining"), 0)
    draft.finish(0, {path: write_table(path, RETRAINING, [pa.Table.from_pylist(rows, RETRAINING)])})
    return {}


def decide(store: Store, version: str, **asked: bool) -> None:
    store.make("retraining", WHOLE, version, partial(_decisions, asked))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose features come from its baseline."""
    store = Store(tmp_path)
    store.make("model", "baseline@0", "first", lambda _: {})
    store.make("features", "a", "f", lambda _: {"networks": ["first"]})
    for recipe in ("baseline", "fused"):
        store.make("manifest", recipe, f"{recipe}-now", lambda _: {})
    return store


def test_a_recipe_is_trained_once_for_each_manifest_that_asks_for_it(store: Store) -> None:
    assert tick(store) == []
    decide(store, "1", baseline=False, fused=True)
    assert tick(store) == [("train", "fused:fused-now", "fused")]
    assert tick(store) == [("train", "fused:fused-now", "fused")]  # of one key Dagster starts one run
    store.make("manifest", "fused", "newer", lambda _: {})  # not the one that was judged: wait for the next decision
    assert tick(store) == []


def test_features_follow_a_new_baseline_unless_it_is_kept(store: Store) -> None:
    store.make("model", "baseline@0", "second", lambda _: {})
    assert tick(store) == []
    assert tick(store, Settings()) == [("renew_baseline", "features:second", None)]
    given = Settings(features=FeaturesSettings(weights="somewhere"))
    assert tick(store, given) == []


def test_the_first_features_are_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert tick(store) == []  # no network yet, and none is given
    assert tick(store, Settings(features=FeaturesSettings(weights="somewhere"))) == [
        ("renew_baseline", "features:given", None)
    ]
    store.make("model", "baseline@0", "first", lambda _: {})
    assert tick(store) == [("renew_baseline", "features:first", None)]


def test_teachers_are_judged_before_their_students_and_the_baseline_where_features_come_from_it() -> None:
    settings = dataclasses.replace(KEPT, recipes=("distill-top-ranked",), seeds=(7,))
    assert judged_recipes(settings) == [
        ("baseline", (), "baseline@7"),
        ("top-ranked", (), "top-ranked@7"),
        ("distill-top-ranked", ("top-ranked",), "distill-top-ranked@7"),
    ]
    given = dataclasses.replace(settings, recipes=("fused",), features=FeaturesSettings(weights="somewhere"))
    assert [name for name, *_ in judged_recipes(given)] == ["fused"]


def test_every_crawl_is_looked_at_again_each_week(tmp_path: Path) -> None:
    def asked(*crawls: str) -> list[Any]:
        record(Store(tmp_path), KEPT, [Crawl(name, f"/at/{name}", KEPT.crawl) for name in crawls])
        context = dg.build_schedule_context(
            resources={"store": StoreResource(root=str(tmp_path))}, scheduled_execution_time=NIGHT
        )
        return list(cast("Iterator[Any]", weekly(context)))

    (skipped,) = asked()
    assert "knows no crawl" in skipped.skip_message
    assert [one.partition_key for one in asked("b", "a")] == ["a", "b"]
    assert len({one.run_key for one in asked()}) == 2
