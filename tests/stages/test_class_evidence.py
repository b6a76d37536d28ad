"""Evidence inside each class: made in one pass, shard by shard, the same on one worker or many."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evidence.density import DensitySettings
from pipeline.evidence.hdbscan import HdbscanSettings
from pipeline.evidence.kmeans import KMeansSettings
from pipeline.evidence_tables import EVIDENCE
from pipeline.stages import classes
from pipeline.stages.class_evidence import ClassImages, ClassSource, Columns, make_class_evidence
from pipeline.stages.class_sources import class_sources
from pipeline.stages.classes import ClassOrder
from pipeline.storage.artifacts import Artifact, NotMadeError, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_paths, read_table
from tests.stages.tiny_store import Picture, add_crawl, add_evidence, two_crawls

CRAWLS = ["a", "bb"]
IDS = [100, 101, 103, 200, 104, 201]  # class 0 of both crawls, then class 2


def ready(folder: Path) -> Store:
    store = two_crawls(folder)
    add_evidence(store, CRAWLS, "rank", position=[2, 1, None, 3, None, None])
    return store


def sources(density: DensitySettings | None = None) -> list[ClassSource]:
    hdbscan = HdbscanSettings(min_cluster_size=2, min_samples=1)
    return class_sources(KMeansSettings(clusters=2, top_images=2), density or DensitySettings(), hdbscan)


def make(store: Store, wanted: Sequence[ClassSource], workers: int = 1) -> list[Artifact]:
    return make_class_evidence(store, CRAWLS, wanted, workers=workers)


def parts(artifacts: Sequence[Artifact]) -> list[bytes]:
    return [path.read_bytes() for artifact in artifacts for path in part_paths(artifact.table("evidence"))]


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the classes whose features are read, in time."""
    read: list[int] = []
    gather = ClassOrder.gather

    def counting(order: ClassOrder, shards: Any, rows: slice | npt.NDArray[np.integer[Any]]) -> Any:
        features = gather(order, shards, rows)
        read.append(len(features))
        return features

    monkeypatch.setattr(ClassOrder, "gather", counting)
    return read


def test_classes_are_measured_over_all_crawls(tmp_path: Path) -> None:
    """Class 0 lies at (0, 0), (0, 1), (9, 9) and (0, 2); class 2 twice at (5, 5)."""
    made = make(ready(tmp_path), sources())
    tables = {artifact.stage: read_table(artifact.table("evidence")) for artifact in made}
    assert list(tables) == ["evidence-kmeans", "evidence-density", "evidence-hdbscan"]
    for stage, table in tables.items():
        assert table.schema.equals(EVIDENCE[stage.removeprefix("evidence-")])
        assert table["image_id"].to_pylist() == IDS  # neither the broken nor the val image
    kmeans = tables["evidence-kmeans"].to_pydict()
    assert kmeans["cluster"] == [0, 0, 1, 0, 0, 0]
    assert kmeans["cluster_share"] == [0.75, 0.75, 0.25, 0.75, 1, 1]
    assert kmeans["distance"] == [1, 0, 0, 1, 0, 0]
    assert kmeans["cluster_compactness"] == pytest.approx([2 / 3, 2 / 3, 0, 2 / 3, 0, 0])
    # the two best-ranked, 101 and 100, lie about (0, .5); class 2 has no ranks
    assert kmeans["cluster_top_distance"] == [0.25, 0.25, 81 + 8.5**2, 0.25, None, None]
    density = tables["evidence-density"].to_pydict()
    assert density["density"] == [1, 2, 0, 1, 0, 0]  # strictly closer than 2, place 9 of the 16 distances
    assert density["density_level"] == [1, 0, 2, 1, 0, 0]
    assert tables["evidence-hdbscan"]["outlier"].to_pylist()[4:] == [0, 0]
    assert made[0].facts == {"images": 6, "classes": 2} | asdict(KMeansSettings(clusters=2, top_images=2))


def test_all_kinds_are_made_in_one_pass(tmp_path: Path, gathered: list[int]) -> None:
    done: list[int] = []
    make_class_evidence(ready(tmp_path), CRAWLS, sources(), workers=1, on_progress=done.append)
    assert gathered == done == [4, 2]


def test_one_worker_equals_many_and_shards_cut_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    one, many = (make(ready(tmp_path / str(workers)), sources(), workers) for workers in (1, 3))
    assert [len(part_paths(artifact.table("evidence"))) for artifact in one] == [2, 2, 2]
    assert parts(one) == parts(many)


def test_other_settings_redo_one_kind_alone(tmp_path: Path, gathered: list[int]) -> None:
    store = ready(tmp_path)
    first = make(store, sources())
    assert [artifact.made for artifact in make(store, sources(), workers=2)] == [False, False, False]
    assert len(gathered) == 2
    again = make(store, sources(DensitySettings(levels=2)))
    assert [artifact.made for artifact in again] == [False, True, False]
    assert again[1].identity != first[1].identity
    assert len(gathered) == 4


def test_another_ranking_redoes_only_what_looks_at_it(tmp_path: Path) -> None:
    store = ready(tmp_path)
    make(store, sources())
    add_evidence(store, CRAWLS, "rank", position=[1, 2, 3, 4, 1, 2])
    again = make(store, sources())
    assert [artifact.made for artifact in again] == [True, False, False]
    assert read_table(again[0].table("evidence"))["cluster_top_distance"].to_pylist()[4:] == [0, 0]


def test_ranks_of_other_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crawl more, of a class that had no image: there are more stretches than parts of the table."""
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    store = ready(tmp_path)
    add_crawl(store, "ccc", [Picture(1, (7, 7))])
    with pytest.raises(ValueError, match="evidence-rank was made of other images"):
        make_class_evidence(store, [*CRAWLS, "ccc"], sources(), workers=1)


@dataclass
class Killed:
    """Fails at the class of so many images until it is healed."""

    whole: ClassSource
    images: int
    healed: bool = False

    def measure(self, images: ClassImages) -> Columns:
        if len(images.features) == self.images and not self.healed:
            raise KeyboardInterrupt
        return self.whole.measure(images)


def test_a_killed_run_goes_on_where_it_stopped(
    tmp_path: Path, gathered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    undisturbed = make(ready(tmp_path / "undisturbed"), sources())
    store = ready(tmp_path / "killed")
    kmeans, density, hdbscan = sources()
    killed = Killed(density, images=2)
    wanted = [kmeans, replace(density, measure=killed.measure), hdbscan]
    with pytest.raises(KeyboardInterrupt):
        make(store, wanted)
    with pytest.raises(NotMadeError):
        store.current("evidence-kmeans")
    killed.healed = True
    gathered.clear()
    assert parts(make(store, wanted)) == parts(undisturbed)
    assert gathered == [2]  # the first class was finished and is not read again


def test_a_kind_that_got_further_than_another_is_not_measured_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Density was killed after its first shard, then everything is asked for."""
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    undisturbed = make(ready(tmp_path / "undisturbed"), sources())
    store = ready(tmp_path / "killed")
    kmeans, density, hdbscan = sources()
    killed = Killed(density, images=2)
    with pytest.raises(KeyboardInterrupt):
        make(store, [replace(density, measure=killed.measure)])
    killed.images, killed.healed = 4, False
    with_first_forbidden = replace(density, measure=killed.measure)
    assert parts(make(store, [kmeans, with_first_forbidden, hdbscan])) == parts(undisturbed)


@dataclass
class Counted:
    """Remembers the sizes of the classes that are measured."""

    whole: ClassSource
    sizes: list[int]

    def measure(self, images: ClassImages) -> Columns:
        self.sizes.append(len(images.features))
        return self.whole.measure(images)


def counted(measured: dict[str, list[int]]) -> list[ClassSource]:
    return [replace(one, measure=Counted(one, measured.setdefault(one.name, [])).measure) for one in sources()]


@pytest.mark.parametrize("shard_images", [2, 50_000])
def test_a_new_crawl_measures_the_classes_it_touches_and_equals_a_rebuild(
    tmp_path: Path, gathered: list[int], monkeypatch: pytest.MonkeyPatch, shard_images: int
) -> None:
    """Crawl `ccc` has an image of class 0, and the first of class 1: class 2 stays as it was, in another place.

    Where it is a part of its own, that is linked; else its features are read, to see that they are what they were.
    """
    monkeypatch.setattr(classes, "SHARD_IMAGES", shard_images)
    more, crawls = (Picture(0, (1, 1)), Picture(1, (7, 7))), [*CRAWLS, "ccc"]
    measured: dict[str, list[int]] = {}
    store = ready(tmp_path / "grown")
    make(store, counted(measured))
    assert measured == {name: [4, 2] for name in ("kmeans", "density", "hdbscan")}
    for grown in (store, Store(tmp_path / "rebuilt")):
        if grown is not store:
            two_crawls(grown.root)
        add_crawl(grown, "ccc", more)
        add_evidence(grown, crawls, "rank", position=[2, 1, None, 3, None, None, None, None])
    before = store.current("evidence-density")
    measured.clear()
    gathered.clear()
    done: list[int] = []
    made = make_class_evidence(store, crawls, counted(measured), workers=2, on_progress=done.append)
    assert {name: sorted(sizes) for name, sizes in measured.items()} == {name: [1, 5] for name in measured}
    assert sorted(gathered) == ([1, 5] if shard_images == 2 else [1, 2, 5])
    assert sum(done) == 8
    last = [part_paths(one.table("evidence"))[-1].stat().st_ino for one in (before, made[1])]
    assert (last[0] == last[1]) == (shard_images == 2)
    rebuilt = make_class_evidence(Store(tmp_path / "rebuilt"), crawls, sources(), workers=1)
    assert [one.identity for one in made] == [one.identity for one in rebuilt]
    assert contents(made) == contents(rebuilt)


def test_a_changed_rank_touches_only_what_looks_at_ranks(tmp_path: Path) -> None:
    """Another crawl's image of class 0 comes, and the ranks of class 2 change with it."""
    measured: dict[str, list[int]] = {}
    store = ready(tmp_path)
    make(store, counted(measured))
    add_crawl(store, "ccc", [Picture(0, (1, 1))])
    add_evidence(store, [*CRAWLS, "ccc"], "rank", position=[2, 1, None, 3, None, 1, 2])
    measured.clear()
    make_class_evidence(store, [*CRAWLS, "ccc"], counted(measured), workers=1)
    assert measured == {"kmeans": [5, 2], "density": [5], "hdbscan": [5]}


@pytest.mark.parametrize("stage", ["listing", "images", "features"])
def test_a_crawl_that_is_read_anew_is_looked_at_again(
    tmp_path: Path, gathered: list[int], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """The same ids, of which other things may be true now."""
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    store = ready(tmp_path)
    make(store, sources())
    old = store.current(stage, "bb")

    def build(draft: Draft) -> Facts:
        shutil.copytree(old.folder, draft.folder, dirs_exist_ok=True)
        (draft.folder / "artifact.json").unlink()
        return old.facts

    store.make(stage, "bb", "again", build)
    gathered.clear()
    made = make(store, sources())
    assert all(one.made for one in made)
    assert gathered == [4, 2]


def contents(artifacts: Sequence[Artifact]) -> list[dict[str, bytes]]:
    return [
        {str(path.relative_to(one.folder)): path.read_bytes() for path in one.folder.rglob("*") if path.is_file()}
        for one in artifacts
    ]
