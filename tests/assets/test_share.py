"""Two machines run one crawl over a bucket that is busy now and then: the bytes are those of one machine alone."""

from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from assets.share import share
from pipeline.demo.crawl import write_demo_crawl
from pipeline.demo.noise import DemoSettings
from pipeline.stages.withdrawn import withdrawn_rows
from pipeline.storage.artifacts import Store
from pipeline.storage.shared import Shared
from pipeline.storage.tables import read_table
from tests.assets.conftest import SETTINGS, SmallRun
from tests.assets.test_withdraw import CRAWL, A, add
from tests.storage.s3 import s3_server

QUIET = Console(quiet=True)


def contents(store: Path) -> dict[str, bytes]:
    """Every file of every artifact, but what tells how long things took: curves, records of models, and the pages."""
    files = sorted(path for path in (store / "artifacts").rglob("*") if path.is_file())
    told = {path.relative_to(store / "artifacts"): path for path in files}
    return {str(name): path.read_bytes() for name, path in told.items() if not _timed(name)}


def _timed(name: Path) -> bool:
    if name.name in {"shared.json", "absent.json"} or name.parts[0] == "report":
        return True
    return name.parts[0] == "model" and ("curve" in name.parts or name.suffix == ".json")


def curves(store: Path) -> list[pa.Table]:
    """The curves of all models, without the seconds."""
    made = Store(store)
    tables = (read_table(made.current("model", each).table("curve")) for each in made.partitions("model"))
    return [table.drop_columns(["seconds"]) for table in tables]


@pytest.mark.slow
def test_a_shared_store_holds_the_same_bytes(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("alone", "first", "second")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "crawl").symlink_to(tmp_path / "crawl")
        (folder / "winnow.toml").write_text(SETTINGS)
    write_demo_crawl(tmp_path / "crawl", DemoSettings(train_images=500, val_images=20, test_images=30))
    alone, first, second = (SmallRun(folder) for folder in folders.values())
    alone.run()
    with s3_server(every=15) as server:
        first.winnow("share", "s3://winnow/run")
        first.run()
        assert server.refused > 10
        second.winnow("share", "s3://winnow/run")
        told = second.run()
        assert "0 stages computed" in told, told
        assert contents(first.store) == contents(alone.store)
        assert curves(first.store) == curves(alone.store)
        for recipe in ("baseline", "kmeans-size"):
            for stage, partition, table in (
                ("manifest", recipe, "manifest"),
                ("predictions", f"{recipe}@0", "predictions"),
            ):
                own, other = (Store(run.store).current(stage, partition).table(table) for run in (second, alone))
                assert [path.read_bytes() for path in sorted(own.iterdir())] == [
                    path.read_bytes() for path in sorted(other.iterdir())
                ]


def test_what_is_withdrawn_on_one_machine_is_gone_from_all(tmp_path: Path) -> None:
    from assets.withdraw import withdraw  # noqa: PLC0415 - as the command does

    with s3_server(every=15):
        here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
        for store in (here, there):
            share(store, "s3://winnow/withdrawn", QUIET)
        add(here, tmp_path, "bags", CRAWL)
        there.pull()
        before = there.current("images", "bags")
        before.table("pixels")
        asked = tmp_path / "asked.csv"
        asked.write_text("crawl,path,why\nbags,bag/a.png,asked for\n")
        assert withdraw(here, asked, "somebody", QUIET)
        there.pull()
        assert not before.folder.exists()
        assert [row["path"] for row in withdrawn_rows(there)] == ["bag/a.png"]
        assert there.current("images", "bags").facts["usable"] == before.facts["usable"] - 1
        shared = Shared.of(here.root)
        assert shared is not None
        assert not [key for key in shared.bucket.list("artifacts") if before.identity in key]
        assert A not in [path.read_bytes() for path in there.root.rglob("*") if path.is_file()]
