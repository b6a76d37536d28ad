"""Cross-fitted features of made-up networks: who speaks for which image, and in whose space."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evidence.alignment import Moments, align
from pipeline.stages.crossfit import FOLD_STAGE, fold_partition, make_crossfit_features
from pipeline.storage.arrays import ArrayShards, write_array
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Draft, Facts
from tests.stages.tiny_store import add_model, two_crawls

CRAWLS = ("a", "bb")
#: Crawl a holds ids 100, 101 | 103, 104, 105 in two parts (102 is quarantined, 105 of val), crawl bb 200, 201.
IDS = {"a": ((100, 101), (103, 104, 105)), "bb": ((200, 201),)}
TRAINED = (100, 101, 103, 104, 200, 201)
FOLD_0 = (100, 104, 201)  # what network 0 never saw; network 1 never saw the others


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return two_crawls(tmp_path)


@pytest.fixture
def models(store: Store) -> list[Artifact]:
    seen: list[dict[int, tuple[float | None, int]]] = [
        {ident: (1.0, 2) for ident in TRAINED if (ident in FOLD_0) == number} for number in (0, 1)
    ]
    # An image that was in a manifest but never came up has not been seen.
    return [add_model(store, f"fold-{k}", seen[k] | {FOLD_0[0] if k == 0 else 103: (None, 0)}) for k in (0, 1)]


def plain(store: Store, crawl: str) -> list[npt.NDArray[np.float16]]:
    return [np.asarray(part) for part in ArrayShards([store.current("features", crawl).table("features")]).shards]


def encode(store: Store, crawl: str, network: int, parts: Sequence[npt.NDArray[np.float16]]) -> None:
    """Publish the features of a network."""

    def build(draft: Draft) -> Facts:
        for number, part in enumerate(parts):
            path = draft.table("features") / f"part-{number:05d}.npy"
            with write_array(path, part.shape, np.float16) as stored:
                stored[:] = part
            draft.finish(number, {path: len(part)})
        return {}

    store.make(FOLD_STAGE, fold_partition(crawl, network), f"{network}", build)


def test_networks_that_agree_give_the_features_of_one(store: Store, models: list[Artifact]) -> None:
    expected = {crawl: plain(store, crawl) for crawl in CRAWLS}
    for crawl in CRAWLS:
        for network in (0, 1):
            encode(store, crawl, network, expected[crawl])
    for crawl in CRAWLS:
        made = make_crossfit_features(store, crawl, CRAWLS, models, workers=1)
        assert store.current("features", crawl) == make_crossfit_features(store, crawl, CRAWLS, models, workers=2)
        assert made.facts["agreement"] == [1.0]
        found = plain(store, crawl)
        assert [part.dtype for part in found] == [np.float16] * len(found)
        for ours, theirs in zip(found, expected[crawl], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_each_image_is_told_by_the_network_that_never_saw_it(store: Store, models: list[Artifact]) -> None:
    """Network 1 has turned the space and sees every image a little differently."""
    rng = np.random.default_rng(0)
    first = {crawl: plain(store, crawl) for crawl in CRAWLS}
    second = {
        crawl: [(part[:, ::-1] * 2 + rng.normal(0, 0.5, part.shape)).astype(np.float16) for part in first[crawl]]
        for crawl in CRAWLS
    }
    for crawl in CRAWLS:
        encode(store, crawl, 0, first[crawl])
        encode(store, crawl, 1, second[crawl])
    whole = align(Moments.of(*(np.concatenate([*space["a"], *space["bb"]]) for space in (second, first))))
    for crawl in CRAWLS:
        make_crossfit_features(store, crawl, CRAWLS, models, workers=2)
        for number, part in enumerate(plain(store, crawl)):
            for row, ident in enumerate(IDS[crawl][number]):
                ours, theirs = first[crawl][number][row], whole.apply(second[crawl][number][row : row + 1])[0]
                assert np.abs(ours - theirs).max() > 0.01
                own = ident in FOLD_0 or (ident not in TRAINED and ident % 2 == 0)
                np.testing.assert_allclose(part[row], ours if own else theirs, rtol=2e-3, atol=2e-3, err_msg=str(ident))


def test_it_goes_on_after_a_kill(store: Store, models: list[Artifact], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    for crawl in CRAWLS:
        for network in (0, 1):
            noise = [rng.normal(0, 1, part.shape).astype(np.float16) for part in plain(store, crawl)]
            encode(store, crawl, network, noise)

    def killed(path: Path, *told: Any) -> Any:
        if path.name == "part-00001.npy" and path.parent.name == "features":
            raise KeyboardInterrupt
        return write_array(path, *told)

    monkeypatch.setattr("pipeline.stages.crossfit.write_array", killed)
    with pytest.raises(KeyboardInterrupt):
        make_crossfit_features(store, "a", CRAWLS, models, workers=1)
    monkeypatch.undo()
    done: list[int] = []
    made = make_crossfit_features(store, "a", CRAWLS, models, workers=2, on_progress=done.append)
    assert done == [3]
    assert made.facts["images"] == 5
    assert made.facts["models"] == ["fold-0", "fold-1"]


def test_networks_that_all_saw_an_image_are_refused(store: Store, models: list[Artifact]) -> None:
    for crawl in CRAWLS:
        for network in (0, 1):
            encode(store, crawl, network, plain(store, crawl))
    both = add_model(store, "both", {103: (1.0, 1)})
    with pytest.raises(ValueError, match="every network was trained on 1 images, 103 for one"):
        make_crossfit_features(store, "a", CRAWLS, [models[0], both], workers=1)
