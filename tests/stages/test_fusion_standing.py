"""Fused by a mixture that stands: what it is fitted to, what is linked, what verdicts change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evidence.fusion import FusionSettings
from pipeline.stages import classes
from pipeline.stages.aum import make_aum
from pipeline.stages.fusion import make_fused
from pipeline.stages.fusion_fitted import FOLDER, Fitted
from pipeline.stages.fusion_parts import Judge
from pipeline.stages.fusion_tables import Verified
from pipeline.storage.arrays import open_array
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store
from pipeline.storage.tables import part_paths, read_table
from tests.stages.test_standing import CRAWLS, FITTED, STAND, grown, made, pictures, tables
from tests.stages.tiny_store import Picture, add_crawl, add_evidence, add_model

NAMES = [*STAND, "rank"]
FOLDERS = ("evidence", "moves", "queries", "classes")
ONE_MORE = [Picture(1, (0.5, 0.5), title="pear", query_id=4)]  # class 0 is another stretch


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 25)


def fused(store: Store, crawls: Sequence[str], verified: Verified | None = None, **more: Any) -> Artifact:
    run: dict[str, Any] = {"fitted_on": FITTED, "workers": 2, **more}
    return make_fused(store, crawls, NAMES, FusionSettings(), verified, **run)


def linked(first: Artifact, second: Artifact, folder: str = "evidence") -> list[bool]:
    """Which parts of the second are those of the first."""
    found = [[path.stat().st_ino for path in part_paths(one.table(folder))] for one in (first, second)]
    return [own in found[0] for own in found[1]]


def verdicts(*image_id: int) -> Verified:
    return Verified.of(np.array(image_id), np.arange(len(image_id)) % 2 == 0)


def test_the_mixture_is_that_of_the_fitted_crawls(tmp_path: Path) -> None:
    alone = grown(tmp_path / "alone", FITTED)
    first = made(alone, FITTED)["fused"]
    store = grown(tmp_path / "all", CRAWLS)
    found = made(store, CRAWLS)["fused"]
    assert found.facts["fitted"] == first.identity
    base = store.find("evidence-fused", WHOLE, first.identity)
    assert base is not None
    assert tables(base) == tables(first)
    for name in ("knots", "edges", "ratio", "class_share", "common"):
        own, other = (open_array(one.table(FOLDER) / f"{name}.npy") for one in (first, found))
        np.testing.assert_array_equal(own, other)
    queries = read_table(found.table("queries"))
    fitted = np.isin(queries["crawl"].to_pylist(), FITTED)
    np.testing.assert_array_equal(
        Fitted.read(found).mixture.query_share[fitted], Fitted.read(first).mixture.query_share
    )
    assert set(queries["crawl"].to_pylist()) == set(CRAWLS)


def test_what_a_later_crawl_does_not_touch_is_linked(tmp_path: Path) -> None:
    store = grown(tmp_path, FITTED)
    first = made(store, FITTED)["fused"]
    add_crawl(store, "ccc", ONE_MORE)
    second = made(store, [*FITTED, "ccc"])["fused"]
    assert [linked(first, second, folder) for folder in FOLDERS] == [[True, False]] * 4
    told = read_table(second.table("queries")).to_pylist()
    assert [(row["crawl"], row["query_id"], row["images"]) for row in told][-1] == ("ccc", 4, 1)


def test_verdicts_teach_and_parts_are_linked_while_they_stay(tmp_path: Path) -> None:
    store = grown(tmp_path, [*FITTED, "a"])
    crawls, listing = ["a", *FITTED], read_table(store.current("listing", "bb").table("listing")).to_pylist()
    own = [row["image_id"] for row in listing if row["class_index"] == 0][:3]  # the class that gets no image
    seen = verdicts(*own)
    made(store, crawls)
    first = fused(store, crawls)
    taught = fused(store, crawls, seen)
    assert taught.facts["verified"] == 3
    assert not any(linked(first, taught))
    assert fused(store, crawls, seen).identity == taught.identity
    add_crawl(store, "ccc", ONE_MORE)
    made(store, [*crawls, "ccc"])
    more = fused(store, [*crawls, "ccc"], seen)
    assert linked(taught, more) == [True, False]
    assert read_table(more.table("judged"))["image_id"].to_pylist() == own


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = grown(tmp_path / "whole", CRAWLS)
    made(store, CRAWLS)
    whole = fused(store, CRAWLS, verdicts(103, 200, 301))
    other = grown(tmp_path / "killed", CRAWLS)
    made(other, CRAWLS)
    genuine, calls = Judge.write, 0

    def counting(*arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return genuine(*arguments)

    monkeypatch.setattr(Judge, "write", counting)
    with pytest.raises(KeyboardInterrupt):
        fused(other, CRAWLS, verdicts(103, 200, 301), workers=1)
    found = fused(other, CRAWLS, verdicts(103, 200, 301), workers=1)
    assert calls > 2
    assert tables(found) == tables(whole)


def test_margins_in_training_are_those_of_the_fitted_crawls(tmp_path: Path) -> None:
    store = grown(tmp_path, FITTED)
    model = add_model(store, "baseline@0", {200 + i: (i / 10 - 2, 1) for i in range(30)})
    names = [*NAMES, "aum"]

    def both(crawls: Sequence[str]) -> Artifact:
        made(store, crawls)
        make_aum(store, crawls, [model], workers=1)
        return make_fused(store, crawls, names, FusionSettings(), fitted_on=FITTED, workers=1)

    first = both(FITTED)
    add_crawl(store, "a", pictures("a", 40), shard_rows=7)
    assert both(["a", *FITTED]).facts["fitted"] == first.identity


def test_evidence_that_is_not_fitted_on_them_is_refused(tmp_path: Path) -> None:
    store = grown(tmp_path, CRAWLS)
    made(store, CRAWLS)
    add_evidence(store, CRAWLS, "keyword")
    with pytest.raises(NotMadeError, match=r"evidence-keyword of the crawls that evidence.fitted_on names"):
        fused(store, CRAWLS)
