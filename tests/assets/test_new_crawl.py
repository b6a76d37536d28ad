"""Two sources of a real crawl, delivered one after the other, are what both are when all is made from nothing."""

import tarfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from assets.progress import TerminalProgress
from assets.settings import DeliverySettings, Settings, settings_of
from assets.watch import look
from pipeline.evidence.kmeans import cluster_class
from pipeline.storage.artifacts import Artifact, Store
from tests.models.test_stages import run_here

IMAGES = 30  # of a class and source
CLASSES = {"google": (0, 1, 2), "flickr": (1, 2)}  # the second source touches two of the three classes
INFO = ("synsets.txt", "glosses.tsv", "queries.txt", "queries_synsets_map.txt")


class Source:
    """The shopcrawl, and a part of it as a delivery of its own."""

    def __init__(self, tar: Path, folder: Path) -> None:
        with tarfile.open(tar) as archive:
            archive.extractall(folder, filter="data")
        self.crawl = folder / "dev"

    def deliver(self, watched: Path, source: str, *, clean: bool) -> None:
        for name in INFO:
            self._copy(watched / source, f"info/{name}")
        pictures = self._lines(f"train_filelist_{source}.txt")
        described = self._lines(f"train_meta_list_{source}.txt")
        chosen = self._some(pictures, CLASSES[source])
        self._list(watched / source, f"train_filelist_{source}.txt", [pictures[at] for at in chosen])
        self._list(watched / source, f"train_meta_list_{source}.txt", [described[at] for at in chosen])
        for at in chosen:
            self._copy(watched / source, pictures[at].rpartition(" ")[0])
            self._copy(watched / source, described[at].rpartition(" ")[0])
        for split in ("val", "test") if clean else ():
            lines = self._lines(f"{split}_filelist.txt")
            own = [lines[at] for at in self._some(lines, CLASSES[source])[::3]]
            self._list(watched / source, f"{split}_filelist.txt", own)
            for line in own:
                self._copy(watched / source, f"{split}_images/{line.rpartition(' ')[0]}")
        (watched / source / "_SUCCESS").touch()

    def _lines(self, name: str) -> list[str]:
        return (self.crawl / "info" / name).read_text().splitlines()

    def _some(self, lines: list[str], classes: tuple[int, ...]) -> list[int]:
        of = [int(line.rpartition(" ")[2]) for line in lines]
        return [at for own in classes for at in [i for i, label in enumerate(of) if label == own][:IMAGES]]

    def _list(self, folder: Path, name: str, lines: list[str]) -> None:
        (folder / "info" / name).write_text("".join(f"{line}\n" for line in lines))

    def _copy(self, folder: Path, name: str) -> None:
        goal = folder / name
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.write_bytes((self.crawl / name).read_bytes())


def settings(shared_data: Path, watched: Path, fitted_on: list[str]) -> Settings:
    told = settings_of(
        {
            "evidence": {"fitted_on": fitted_on},
            "recipes": ["baseline", "kmeans-size", "fused"],
            "images": {"image_size": 32},
            "features": {"weights": str(shared_data / "mobilenet_v2"), "image_size": 32},
            "kmeans": {"clusters": 3},
            "run": {"workers": 2},
        },
        "the test",
    )
    return Settings(**{**vars(told), "deliveries": DeliverySettings(folder=str(watched))})


def made_of(store: Store) -> dict[str, dict[str, bytes]]:
    """Every current artifact but the log of deliveries, by stage and partition, with the bytes of its files."""
    stages = sorted(path.name for path in (store.root / "current").iterdir() if path.name != "deliveries")
    current = [store.current(stage, partition) for stage in stages for partition in store.partitions(stage)]
    return {f"{one.stage}/{one.partition}/{one.identity}": contents(one) for one in current}


def contents(artifact: Artifact) -> dict[str, bytes]:
    files = [path for path in artifact.folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(artifact.folder)): path.read_bytes() for path in files}


@pytest.fixture
def clustered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the classes that k-means is run on, in time."""
    sizes: list[int] = []

    def counting(features: Any, *more: Any) -> Any:
        sizes.append(len(features))
        return cluster_class(features, *more)

    monkeypatch.setattr("pipeline.stages.class_sources.cluster_class", counting)
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize("fitted_on", [[], ["google"]])
def test_deliveries_one_after_the_other_equal_a_rebuild(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clustered: list[int], fitted_on: list[str]
) -> None:
    monkeypatch.setattr("models.stages.launch", run_here)
    source, watched = Source(shared_data / "shopcrawl" / "shopcrawl.tar", tmp_path), tmp_path / "deliveries"
    told, progress = settings(shared_data, watched, fitted_on), TerminalProgress(Console(quiet=True))
    grown, rebuilt = Store(tmp_path / "grown"), Store(tmp_path / "rebuilt")

    source.deliver(watched, "google", clean=True)
    assert look(grown, told, progress) == ["google"]
    assert len(clustered) == 3
    before = len(grown.work())
    clustered.clear()
    source.deliver(watched, "flickr", clean=False)
    assert look(grown, told, progress) == ["flickr"]
    assert len(clustered) == 2  # the class without new images is as it was
    computed = {f"{line['stage']}/{line['partition']}" for line in grown.work()[before:]}
    for stage in ("listing", "images", "features", *([] if fitted_on else ["texts"])):
        assert f"{stage}/flickr" in computed
        assert f"{stage}/google" not in computed
    assert ("judged-opinion/flickr" in computed) == bool(fitted_on)

    assert look(rebuilt, told, progress) == ["flickr", "google"]
    one, other = made_of(grown), made_of(rebuilt)
    assert sorted(one) == sorted(other)
    assert [name for name in one if one[name] != other[name]] == []
