"""Evidence fitted on some crawls: their rows stand, later crawls are judged by it, and a rebuild gives the same."""

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.engine import Workers
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence.keyword import KeywordSettings
from pipeline.evidence.neighbours import NeighbourSettings
from pipeline.evidence.probe import OpinionSettings
from pipeline.evidence.rank import RankSettings
from pipeline.evidence.semantic import SemanticSettings
from pipeline.stages import classes, neighbour_index, neighbour_search
from pipeline.stages.classes import ClassOrder
from pipeline.stages.duplicates import make_duplicates
from pipeline.stages.explain import explain_image
from pipeline.stages.fusion import make_fused
from pipeline.stages.keyword import make_keyword
from pipeline.stages.neighbours import make_neighbours
from pipeline.stages.opinion import make_opinion
from pipeline.stages.rank import make_rank
from pipeline.stages.semantic import make_semantic
from pipeline.stages.standing import Standing
from pipeline.storage import shelf
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import part_paths, read_table
from tests.posted import Posted
from tests.stages.tiny_store import Picture, add_crawl, add_evidence

FITTED = ["bb"]
CRAWLS = ["a", "bb", "ccc"]  # later ones on either side of the fitted one
WORDS = ("apple tree", "apple phone", "pear", "IMG 1")
STAND = ("neighbours", "opinion", "keyword", "semantic")  # whose rows of the fitted crawls stay
STAGES = (*STAND, "fused")


def pictures(crawl: str, count: int) -> list[Picture]:
    """Clouds, some labels wrong; class 2 has images in the last crawl alone, and each crawl has the same double."""
    rng = np.random.default_rng(len(crawl))
    found = []
    for i in range(count):
        shown = i % (3 if crawl == "ccc" else 2)
        label = shown if rng.random() < 0.8 else (shown + 1) % (3 if crawl == "ccc" else 2)
        angle = shown * 2 + rng.normal(0, 0.3)
        content = "shared" if i == 3 else ""
        found.append(Picture(label, (np.cos(angle), np.sin(angle)), "train", content, WORDS[i % 4], query_id=i % 3))
    return [*found, Picture(0, None), Picture(1, (float("nan"), 1.0)), Picture(0, (1, 0), "val")]


@pytest.fixture(autouse=True, scope="module")
def _small_shards() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "SHARD_IMAGES", 25)
        yield


def grown(folder: Path, crawls: Sequence[str]) -> Store:
    store = Store(folder)
    for crawl in crawls:
        add_crawl(store, crawl, pictures(crawl, 40), shard_rows=7)
    return store


def made(store: Store, crawls: Sequence[str], exact_images: int = 1000, workers: Workers = 2) -> dict[str, Artifact]:
    run: dict[str, Any] = {"fitted_on": FITTED, "workers": workers}
    neighbours = NeighbourSettings(k=4, exact_images=exact_images)
    make_duplicates(store, crawls, DuplicateSettings(), **run)
    make_rank(store, crawls, RankSettings(), workers=workers)
    found = {
        "neighbours": make_neighbours(store, crawls, neighbours, **run),
        "opinion": make_opinion(store, crawls, OpinionSettings(folds=2), **run),
        "keyword": make_keyword(store, crawls, KeywordSettings(), **run),
        "semantic": make_semantic(store, crawls, SemanticSettings(), **run),
    }
    return {**found, "fused": make_fused(store, crawls, [*found, "rank"], FusionSettings(), **run)}


@dataclass(frozen=True)
class Rebuilt:
    """All crawls in a new store, and what is made of them; tests read it and make nothing more in it."""

    store: Store
    found: dict[str, Artifact]


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory, _small_shards: None) -> Callable[[int], Rebuilt]:
    @functools.cache
    def of(exact_images: int) -> Rebuilt:
        store = grown(tmp_path_factory.mktemp("rebuilt"), CRAWLS)
        return Rebuilt(store, made(store, CRAWLS, exact_images))

    return of


def tables(artifact: Artifact) -> dict[str, bytes]:
    return {
        str(path.relative_to(artifact.folder)): path.read_bytes()
        for path in artifact.folder.rglob("*")
        if path.is_file()
    }


def rows(artifact: Artifact, table: str = "evidence") -> dict[int, dict[str, Any]]:
    return {row["image_id"]: row for row in read_table(artifact.table(table)).to_pylist()}


def computed(store: Store, since: int = 0) -> list[str]:
    return [f"{line['stage']}/{line['partition']}" for line in store.work()[since:]]


@pytest.mark.parametrize("exact_images", [1000, 20])
def test_crawls_one_after_the_other_equal_a_rebuild(
    tmp_path: Path, rebuilt: Callable[[int], Rebuilt], exact_images: int
) -> None:
    one = grown(tmp_path, FITTED)
    made(one, FITTED, exact_images)
    for crawl in ("ccc", "a"):
        add_crawl(one, crawl, pictures(crawl, 40), shard_rows=7)
        found = made(one, sorted(set(CRAWLS) - ({"a"} if crawl == "ccc" else set())), exact_images)
    whole = rebuilt(exact_images).found
    assert len(part_paths(whole["opinion"].table("evidence"))) > 1
    for name in STAGES:
        assert found[name].identity == whole[name].identity
        assert tables(found[name]) == tables(whole[name])
        assert one.current(f"evidence-{name}").identity == found[name].identity
    assert whole["neighbours"].facts["exact"] == (exact_images == 1000)


def test_a_cluster_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rebuilt: Callable[[int], Rebuilt]
) -> None:
    here = rebuilt(20).found
    monkeypatch.setattr(shelf, "LEAST_BYTES", 1)
    cluster = Posted(tmp_path / "scratch")
    there = made(grown(tmp_path / "there", CRAWLS), CRAWLS, 20, workers=cluster)
    for name in STAGES:
        assert tables(here[name]) == tables(there[name])


def test_a_crawl_more_costs_its_own_images(tmp_path: Path) -> None:
    store = grown(tmp_path, ["a", "bb"])
    made(store, ["a", "bb"])
    before = len(store.work())
    add_crawl(store, "ccc", pictures("ccc", 40), shard_rows=7)
    made(store, CRAWLS)
    told = computed(store, before)
    assert [name for name in told if name.startswith("judged-")] == [f"judged-{name}/ccc" for name in STAND]
    assert sorted(name for name in told if name.startswith("evidence-")) == sorted(
        f"evidence-{name}/all" for name in (*STAGES, "duplicates", "rank")
    )
    assert not any(name.startswith("texts/") for name in told)


def test_classes_that_no_later_crawl_has_are_linked(tmp_path: Path) -> None:
    """The later crawl has images of class 1 alone, so that class 0 is a part of the fitted crawl's table."""
    store = grown(tmp_path, FITTED)
    alone = made(store, FITTED)
    add_crawl(store, "ccc", [Picture(1, (0.5, 0.5), title="pear")], shard_rows=7)
    every = made(store, [*FITTED, "ccc"])
    for name, table in [(name, "evidence") for name in STAGES] + [("neighbours", "nearest"), ("fused", "moves")]:
        first, second = ([path.stat().st_ino for path in part_paths(one[name].table(table))] for one in (alone, every))
        assert [a == b for a, b in zip(first, second, strict=True)] == [True, False]
        assert len(rows(every[name], table)) == len(rows(alone[name], table)) + 1


def test_the_fitted_rows_stand(tmp_path: Path, rebuilt: Callable[[int], Rebuilt]) -> None:
    alone = made(grown(tmp_path, FITTED), FITTED)
    store, every = rebuilt(1000).store, rebuilt(1000).found
    order = ClassOrder.read(*([store.current(stage, crawl) for crawl in CRAWLS] for stage in ("listing", "images")))
    for name in STAGES:
        table = read_table(every[name].table("evidence"))
        assert table["image_id"].to_pylist() == order.image_id.tolist()
        held = rows(every[name])
        assert every[name].facts["images"] == len(order) == 123
        if name in STAND:
            assert {own: held[own] for own in rows(alone[name])} == rows(alone[name])


def test_doubles_are_judged_by_what_never_saw_them(rebuilt: Callable[[int], Rebuilt]) -> None:
    store, found = rebuilt(1000).store, rebuilt(1000).found
    folds = {own: row["fold"] for own, row in rows(found["opinion"]).items()}
    assert folds[103] == folds[203] == folds[303]
    near = {own: row["neighbours"] for own, row in rows(found["neighbours"], "nearest").items()}
    assert 203 not in [*near[103], *near[303]]
    assert all(200 <= other < 300 for own in near.values() for other in own)  # of the fitted crawl alone
    standing = Standing.of(store, CRAWLS, FITTED)
    assert standing is not None
    order = ClassOrder.read([store.current("listing", "a")], [store.current("images", "a")])
    groups = dict(zip(order.image_id.tolist(), standing.groups(order).tolist(), strict=True))
    assert groups == {own: 203 if own == 103 else own for own in groups}


def test_a_class_that_nothing_is_fitted_on_is_unknown(rebuilt: Callable[[int], Rebuilt]) -> None:
    store, found = rebuilt(1000).store, rebuilt(1000).found
    listed = read_table(store.current("listing", "ccc").table("listing"))
    label = dict(zip(listed["image_id"].to_pylist(), listed["class_index"].to_pylist(), strict=True))
    fresh = [own for own in rows(found["opinion"]) if label.get(own) == 2]
    assert len(fresh) > 5
    for own in fresh:
        assert rows(found["opinion"])[own]["confidence"] is None
        assert rows(found["neighbours"])[own]["agreement"] is None
        assert rows(found["keyword"])[own]["keyword"] is not None


def test_an_image_is_told_by_what_it_is_judged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for crawl in CRAWLS:  # by class, as a listing is
        add_crawl(store, crawl, sorted(pictures(crawl, 40), key=lambda one: (one.split, one.class_index)), shard_rows=7)
    found = made(store, CRAWLS)
    assert {name: one.facts["fitted_on"] for name, one in found.items()} == dict.fromkeys(STAGES, FITTED)
    sentence = "It is judged by the images of bb alone, as evidence.fitted_on says, in"
    for image in ("103", "203"):  # of a later crawl, and of that which is fitted on
        told, _ = explain_image(store, image, {})
        assert told.details == (f"{sentence} neighbours, opinion, keyword, semantic and fused.",)
    fresh = next(own for own, row in rows(found["opinion"]).items() if own >= 300 and row["confidence"] is None)
    silent = {one.source: one.silent for one in explain_image(store, str(fresh), {})[0].testimonies}
    assert silent["neighbours"].endswith("or the crawls that evidence is fitted on have no image of its class.")
    make_opinion(store, CRAWLS, OpinionSettings(folds=2), workers=1)
    told, _ = explain_image(store, "103", {})
    assert told.details == (f"{sentence} neighbours, keyword, semantic and fused.",)


def test_opinions_add_up(rebuilt: Callable[[int], Rebuilt]) -> None:
    store, opinion = rebuilt(1000).store, rebuilt(1000).found["opinion"]
    order = ClassOrder.read(*([store.current(stage, crawl) for crawl in CRAWLS] for stage in ("listing", "images")))
    said = read_table(opinion.table("evidence")).to_pandas().assign(label=np.array(order.class_index))
    issues = said[said.label_issue].groupby(["label", "opinion_class"]).size().to_dict()
    joint = read_table(opinion.table("joint")).to_pandas()
    assert list(zip(joint.given_class, joint.confident_class, strict=True)) == sorted(
        zip(joint.given_class, joint.confident_class, strict=True)
    )
    wrong = joint[joint.given_class != joint.confident_class]
    assert {(row.given_class, row.confident_class): row.images for row in wrong.itertuples()} == issues
    figures = read_table(opinion.table("classes")).to_pandas()
    assert figures.images.tolist() == [int(said[said.label == k].predicted_class.notna().sum()) for k in range(3)]
    sure = joint.groupby("given_class").images.sum()
    right = joint[joint.given_class == joint.confident_class].set_index("given_class").images
    assert figures.right_share.iloc[:2].tolist() == (right / sure).iloc[:2].tolist()
    assert opinion.facts["issues"] == int(said.label_issue.sum())
    assert opinion.facts["opinions"] == int(said.predicted_class.notna().sum())
    assert opinion.facts["agreeing"] == int((said.predicted_class == said.label).sum())
    assert opinion.facts["classes"] == 3


def test_naming_all_or_none_is_the_same_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    store = grown(tmp_path, ["a", "bb"])
    add_evidence(store, ["a", "bb"], "duplicates")
    first = make_opinion(store, ["a", "bb"], OpinionSettings(), workers=1)
    assert not make_opinion(store, ["a", "bb"], OpinionSettings(), fitted_on=["bb", "a"], workers=1).made
    assert first.identity == store.current("evidence-opinion").identity
    with pytest.raises(ValueError, match=r"fitted_on: 'd' is no crawl of the store, which has a, bb: name those"):
        make_keyword(store, ["a", "bb"], KeywordSettings(), fitted_on=["d"], workers=1)


@pytest.mark.parametrize("stage", ["neighbour_search._search_task", "merged._write"])
def test_a_killed_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rebuilt: Callable[[int], Rebuilt], stage: str
) -> None:
    whole = rebuilt(20).found  # searched in larger pieces
    monkeypatch.setattr(neighbour_index, "ASKING_ROWS", 16)
    monkeypatch.setattr(neighbour_search, "TASK_ROWS", 16)
    store = grown(tmp_path, FITTED)
    made(store, FITTED, 20)
    for crawl in ("a", "ccc"):
        add_crawl(store, crawl, pictures(crawl, 40), shard_rows=7)
    genuine, calls = _named(stage), 0

    def counting(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return genuine(*arguments)

    monkeypatch.setattr(f"pipeline.stages.{stage}", counting)
    with pytest.raises(KeyboardInterrupt):
        made(store, CRAWLS, 20, workers=1)
    found = made(store, CRAWLS, 20, workers=1)
    assert calls > 3
    for name in STAGES:
        assert tables(found[name]) == tables(whole[name])


def _named(stage: str) -> Any:
    module, name = stage.split(".")
    return getattr(importlib.import_module(f"pipeline.stages.{module}"), name)
