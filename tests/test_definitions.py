"""The graph as the UI sees it: complete, described, typed, and loaded by the webserver from the root."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import defs
from assets.partitions import CRAWLS, RECIPE_PARTITIONS, tell_recipes
from pipeline.evidence_tables import EVIDENCE

ROOT = Path(__file__).resolve().parents[1]
GRAPH = defs.get_repository_def().asset_graph
ASSETS = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys())


def test_every_stage_is_an_asset() -> None:
    assert [
        "baseline_manifest",
        "baseline_model",
        "comparison",
        "delivery",
        "ensembles",
        "evidence",
        *sorted(f"evidence_{name}" for name in EVIDENCE),
        "features",
        "images",
        "listing",
        "manifest",
        "model",
        "predictions",
        "report",
        "retraining",
        "settled",
        "summary",
    ] == ASSETS


@pytest.mark.parametrize("name", ASSETS)
def test_every_asset_tells_what_it_is(name: str) -> None:
    node = GRAPH.get(dg.AssetKey(name))
    assert node.description
    assert node.group_name in {"crawl", "baseline", "evidence", "recipes", "ensembles", "results"}
    assert node.kinds
    assert node.code_version


def test_data_flows_as_designed() -> None:
    parents = {name: {key.to_user_string() for key in GRAPH.get(dg.AssetKey(name)).parent_keys} for name in ASSETS}
    assert parents["listing"] == {"delivery"}  # what is not taken is not listed
    assert parents["images"] == {"listing"}
    assert parents["features"] == {"baseline_model", "images"}
    assert parents["baseline_manifest"] == {"listing", "images", "evidence_duplicates"}  # no leak is ever trained on
    for name in ("kmeans", "density", "hdbscan"):
        assert parents[f"evidence_{name}"] == {"listing", "images", "features", "evidence_rank"}
    assert parents["evidence_confusion"] == {"listing", "images", "features", "evidence_opinion"}
    assert parents["evidence"] == {"listing", "images", *(f"evidence_{name}" for name in EVIDENCE)}
    assert parents["manifest"] == {"listing", "images", "evidence", "settled"}
    assert "settled" in parents["evidence_fused"]
    assert parents["model"] == {"manifest"}
    assert parents["report"] == {"summary", "evidence", "manifest"}
    assert parents["retraining"] == {"images", "features", "evidence_fused", "baseline_manifest", "manifest", "model"}
    assert parents["comparison"] == {"manifest"}
    assert parents["predictions"] == {"model"}
    assert parents["ensembles"] == {"predictions"}
    assert parents["summary"] == {"predictions", "ensembles"}


def test_partitions_are_crawls_and_recipes_only() -> None:
    cut = {name: GRAPH.get(dg.AssetKey(name)).partitions_def for name in ASSETS}
    crawls = {name for name, partitions in cut.items() if partitions == CRAWLS}
    recipes = {name for name, partitions in cut.items() if partitions == RECIPE_PARTITIONS}
    assert crawls == {"delivery", "listing", "images", "features"}
    assert recipes == {"comparison", "manifest", "model", "predictions"}
    assert {name for name, partitions in cut.items() if partitions} == crawls | recipes


def test_the_recipes_of_a_store_are_those_it_was_told() -> None:
    with dg.instance_for_test() as instance:
        tell_recipes(instance, ["baseline", "mine"])
        tell_recipes(instance, ["baseline", "yours"])
        assert sorted(RECIPE_PARTITIONS.get_partition_keys(dynamic_partitions_store=instance)) == ["baseline", "yours"]


def test_checks_exist() -> None:
    checks = {(key.asset_key.to_user_string(), key.name) for key in GRAPH.asset_check_keys}
    assert checks == {
        ("delivery", "taken"),
        ("listing", "no_duplicate_ids"),
        ("listing", "something_listed"),
        ("images", "nothing_lost"),
        ("baseline_manifest", "weights_mean_one"),
        ("baseline_manifest", "every_class_present"),
        ("manifest", "weights_mean_one"),
        ("manifest", "every_class_present"),
        ("summary", "better_than_chance"),
    }


def test_the_launchpad_is_typed() -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    good = {"ops": {"evidence_in_class": {"config": {"kmeans": {"clusters": 4}}}}}
    given = dg.validate_run_config(job, good)["ops"]["evidence_in_class"]["config"]
    assert given["kmeans"]["clusters"] == 4
    assert given["density"]["levels"] is None  # as the store has it
    with pytest.raises(dg.DagsterInvalidConfigError, match="clusters"):
        dg.validate_run_config(job, {"ops": {"evidence_in_class": {"config": {"kmeans": {"clusters": "many"}}}}})
    with pytest.raises(dg.DagsterInvalidConfigError, match="cluster"):
        dg.validate_run_config(job, {"ops": {"evidence_in_class": {"config": {"kmeans": {"cluster": 4}}}}})
    nested = {"ops": {"evidence_semantic": {"config": {"lsa": {"dimensions": 9}}}}}
    assert dg.validate_run_config(job, nested)["ops"]["evidence_semantic"]["config"]["lsa"]["dimensions"] == 9


def test_the_webserver_imports_from_the_root() -> None:
    subprocess.run([sys.executable, "-c", "import dagster_webserver.app"], cwd=ROOT, check=True, timeout=120)


def test_blocking_checks_are_of_each_partition() -> None:
    blocking = {
        (key.asset_key.to_user_string(), key.name): GRAPH.get(key).partitions_def
        for key in GRAPH.asset_check_keys
        if GRAPH.get(key).blocking
    }
    assert blocking == {
        ("delivery", "taken"): CRAWLS,
        ("listing", "no_duplicate_ids"): CRAWLS,
        ("images", "nothing_lost"): CRAWLS,
        ("manifest", "weights_mean_one"): RECIPE_PARTITIONS,
        ("baseline_manifest", "weights_mean_one"): None,
    }


def test_what_needs_the_accelerator_shares_a_pool() -> None:
    pools = {name: GRAPH.get(dg.AssetKey(name)).pools for name in ASSETS}
    assert {name for name, own in pools.items() if own == {"gpu"}} == {
        "baseline_model",
        "features",
        "model",
        "predictions",
    }
    assert pools["delivery"] == {"deliveries"}


def test_what_a_person_waits_for_goes_stale() -> None:
    fresh = {name for name in ASSETS if GRAPH.get(dg.AssetKey(name)).freshness_policy}
    assert fresh == {"evidence", "manifest", "report"}


def test_what_starts_by_itself_is_there_and_off_but_for_notices() -> None:
    repository = defs.get_repository_def()
    on = {one.name: one.default_status.value for one in repository.sensor_defs}
    on |= {one.name: one.default_status.value for one in repository.schedule_defs}
    off = {"follow", "new_deliveries", "retrainings", "nightly", "weekly"}
    assert on == dict.fromkeys(off, "STOPPED") | {"failure_notices": "RUNNING"}
    assert [job.tags.get("dagster/max_runtime") for job in map(repository.get_job, ("look_again", "train"))] == [
        "259200",
        None,
    ]
