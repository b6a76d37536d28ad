"""A real Ray cluster whose machines are node processes of this one."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.ray_cluster import RayCluster


@contextlib.contextmanager
def ray_nodes(others: int, cores: int = 1) -> Iterator[Any]:
    """`ray.cluster_utils.Cluster` on the loopback: the node of this process, and others; each has so many cores."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_USAGE_STATS_ENABLED", "RAY_worker_niceness"):
            patch.setenv(name, "0")
        # They read the environment when they are imported.
        ray, utils = importlib.import_module("ray"), importlib.import_module("ray.cluster_utils")
        small = {"num_cpus": cores, "object_store_memory": 2**27, "include_dashboard": False}
        cluster = utils.Cluster(initialize_head=True, head_node_args=small)
        try:
            for _ in range(others):
                cluster.add_node(**small)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def connected_to(nodes: Any, scratch: Path) -> RayCluster:
    """Those nodes as the engine sees them."""
    return RayCluster(nodes.address, os.cpu_count() or 1, scratch)
