"""`winnow run` with `engine = "ray"` over a real cluster of two nodes: the bytes of a run without one."""

from pathlib import Path

import pytest

from pipeline.demo.crawl import write_demo_crawl
from pipeline.demo.noise import DemoSettings
from tests.assets.conftest import SETTINGS, SmallRun
from tests.assets.test_share import contents, curves
from tests.ray_nodes import ray_nodes


@pytest.mark.slow
def test_the_whole_command_on_a_cluster(tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    write_demo_crawl(crawl, DemoSettings(train_images=500, val_images=20, test_images=30))
    alone, clustered = SmallRun(tmp_path / "alone"), SmallRun(tmp_path / "clustered")
    for run in (alone, clustered):
        run.folder.mkdir()
        (run.folder / "crawl").symlink_to(crawl)
    (alone.folder / "winnow.toml").write_text(SETTINGS)
    alone.run()
    with ray_nodes(others=1) as nodes:
        engine = f'[run]\nengine = "ray"\nray_address = "{nodes.address}"\nworkers = 2\n'
        (clustered.folder / "winnow.toml").write_text(SETTINGS + engine)
        clustered.run()
    assert contents(clustered.store) == contents(alone.store)
    assert curves(clustered.store) == curves(alone.store)
