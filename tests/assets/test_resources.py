"""Who works at the shards of a store, as its settings say."""

from pathlib import Path

from assets.resources import StoreResource, record
from assets.settings import read_settings
from pipeline.ray_cluster import RayCluster
from pipeline.storage.artifacts import Store


def test_shards_go_to_threads_or_to_the_cluster_that_is_named(tmp_path: Path) -> None:
    store = StoreResource(root=str(tmp_path))
    for run, wanted in (
        ({"workers": 3}, 3),
        ({"workers": 3, "engine": "ray"}, RayCluster(None, 3, tmp_path / "scratch")),
        (
            {"workers": 3, "engine": "ray", "ray_address": "10.0.0.1:6379"},
            RayCluster("10.0.0.1:6379", 3, tmp_path / "scratch"),
        ),
    ):
        record(Store(tmp_path), read_settings(None, {"run": run}), [])
        assert store.workers() == wanted
