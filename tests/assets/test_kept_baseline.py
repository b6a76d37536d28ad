"""Where features come from when a crawl is added: from a baseline trained anew, or from the one they came from."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from assets.evidence import evidence_aum
from assets.progress import LogProgress
from assets.resources import StoreResource, record
from assets.settings import Settings
from assets.training import baseline_model, baseline_models, kept_baseline
from models.features import FeaturesSettings
from pipeline.stages.classes import current_features
from pipeline.storage.artifacts import Store
from pipeline.storage.draft import Draft, Facts

RETRAIN, KEEP = Settings(), Settings(features=FeaturesSettings(baseline="keep"))


def made(facts: Facts, _draft: Draft) -> Facts:
    return facts


def told(store: Store, model: str, **features: list[str]) -> Store:
    """A current baseline of some identity, and features of crawls that tell which networks they come from."""
    for crawl, networks in features.items():
        facts = {"networks": networks}
        store.make("features", crawl, f"{crawl}-{'-'.join(networks)}", partial(made, facts))
    store.make("model", "baseline@0", model, lambda _: {})
    return store


def test_a_kept_baseline_is_the_one_features_came_from(tmp_path: Path) -> None:
    store = told(Store(tmp_path), "first")
    assert kept_baseline(store, KEEP) == []  # no features yet: a baseline is trained
    told(store, "first", a=["first"])
    told(store, "second")  # the recipe `baseline`, trained on more crawls
    assert [model.identity for model in baseline_models(store, KEEP)] == ["first"]
    assert [model.identity for model in baseline_models(store, RETRAIN)] == ["second"]


def test_features_of_other_networks_keep_no_baseline(tmp_path: Path) -> None:
    """They come from given weights, from another seed's training, or from fewer networks than are asked for now."""
    store = told(Store(tmp_path), "first", a=["some-extractor"])
    assert kept_baseline(store, KEEP) == []
    told(store, "first", a=["first"])
    assert kept_baseline(store, replace(KEEP, seeds=(1,))) == []
    assert kept_baseline(store, replace(KEEP, features=FeaturesSettings(baseline="keep", folds=2))) == []


def test_features_of_two_spaces_are_not_read_together(tmp_path: Path) -> None:
    store = told(Store(tmp_path), "second", a=["first"], b=["second"])
    with pytest.raises(ValueError, match="features of a and b come from different networks"):
        current_features(store, ["a", "b"])
    told(store, "second", a=["second"])
    assert [one.partition for one in current_features(store, ["a", "b"])] == ["a", "b"]


def test_features_of_other_images_than_there_are_now_are_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for images in ("before", "now"):
        store.make("images", "a", images, lambda _: {})
    store.make("features", "a", "stale", lambda _: {"networks": ["first"], "pixels": "before"})
    with pytest.raises(ValueError, match="features of a were made of other images than it has now"):
        current_features(store, ["a"])
    store.make("features", "a", "fresh", lambda _: {"networks": ["first"], "pixels": "now"})
    assert [one.identity for one in current_features(store, ["a"])] == ["fresh"]


def test_with_given_weights_no_baseline_is_trained_and_nothing_waits_for_one(tmp_path: Path) -> None:
    """Both assets are there for Dagster, which would otherwise wait for them for ever; the store has neither."""
    store = Store(tmp_path)
    record(store, Settings(features=FeaturesSettings(weights="somewhere")), [])
    resources = {"store": StoreResource(root=str(tmp_path)), "progress": LogProgress()}
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([baseline_model, evidence_aum], instance=instance, resources=resources)
    made = {one.asset_key.to_user_string() for one in done.get_asset_materialization_events() if one.asset_key}
    assert made == {"baseline_model", "evidence_aum"}
    assert (store.partitions("model"), store.partitions("evidence-aum")) == ([], [])


def test_a_wrong_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"features\.baseline"):
        FeaturesSettings(baseline="freeze")  # type: ignore[arg-type]
