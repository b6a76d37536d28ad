"""The stages that train and encode, on a store of the tiny crawls, their jobs run in this process."""

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from models.begin import last_model
from models.gang import Gang
from models.specification import EncodingJob, read_job
from models.stages import Trainer
from models.worker import run_encoding, run_training
from pipeline.result_tables import MARGINS
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import read_table, write_table
from tests.models.conftest import CLASSES, SETTINGS, TinyCrawl

NAMES = ("a", "b")


def run_here(path: Path, _processes: int, on_event: Callable[[dict[str, Any]], None]) -> None:
    job = read_job(path)
    if isinstance(job, EncodingJob):
        run_encoding(job, Gang(), on_event)
    else:
        run_training(job, Gang(), on_event, lambda: False)


def copied(folders: Sequence[Path], facts: Facts, draft: Draft) -> Facts:
    for folder in folders:
        shutil.copytree(folder, draft.folder / folder.name)
    return facts


@pytest.fixture
def store(crawls: list[TinyCrawl], tmp_path: Path) -> Store:
    """Both crawls, as listing and images."""
    store = Store(tmp_path / "store")

    for name, crawl in zip(NAMES, crawls, strict=True):
        own = crawl.folders
        store.make("listing", name, "l", partial(copied, [own.listing], {"classes": CLASSES}))
        usable = {"usable": int(crawl.usable.sum())}
        store.make("images", name, "i", partial(copied, [own.images, own.pixels], usable))
    return store


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def trainer(store: Store, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Trainer:
    monkeypatch.setattr("models.stages.launch", run_here)
    return Trainer(store, NAMES, 1, events.append)


def network(store: Store, trained: Path, number: int, sign: float) -> Artifact:
    """The trained model under another name: it saw ids of one parity, and with sign -1 it sees pictures in negative."""

    def build(draft: Draft) -> Facts:
        shutil.copytree(trained, draft.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("ledger"))
        told = read_table(trained / "margins")
        seen = told.filter(told["image_id"].to_numpy() % 2 == number)
        write_table(draft.folder / "margins" / "part-00000.parquet", MARGINS, [seen])
        weights = safetensors.torch.load_file(trained / "model.safetensors")
        weights["backbone.conv1.weight"] *= sign
        safetensors.torch.save_file(weights, draft.folder / "model.safetensors")
        draft.finish(0, {path: 1 for path in sorted(draft.folder.rglob("*")) if path.is_file()})
        return {}

    return store.make("model", f"baseline.fold-{number}@3", f"model-{number}", build)


def features(store: Store, stage: str, partition: str) -> np.ndarray[Any, Any]:
    shards = ArrayShards([store.current(stage, partition).table("features")])
    return np.concatenate([np.asarray(part) for part in shards.shards])


def test_one_model_encodes_one_crawl(trainer: Trainer, trained: Path, events: list[dict[str, Any]]) -> None:
    made = trainer.make_features("a", [network(trainer.store, trained, 0, 1)])
    assert (made.stage, made.partition, made.facts["images"]) == ("features", "a", 56)
    assert features(trainer.store, "features", "a").shape == (56, 512)
    assert trainer.store.partitions("features-fold") == []
    assert events[-1]["done"] == events[-1]["total"] == 56


def test_several_networks_encode_every_crawl_once(
    trainer: Trainer, trained: Path, crawls: list[TinyCrawl], events: list[dict[str, Any]]
) -> None:
    """Network 1 sees the pictures in negative: nothing alike, so the features tell whose they are."""
    store, models = trainer.store, [network(trainer.store, trained, number, 1 - 2 * number) for number in (0, 1)]
    made = trainer.make_features("a", models)
    assert store.partitions("features-fold") == ["a.fold-0", "a.fold-1", "b.fold-0", "b.fold-1"]
    shown = [event["done"] for event in events if event["event"] == "progress"]
    assert shown == sorted(shown)
    assert shown[-1] == 2 * (56 + 28)
    events.clear()
    trainer.make_features("b", models)
    assert events == []  # all has been encoded
    assert not trainer.make_features("a", models).made
    ids = crawls[0].image_id[crawls[0].usable]
    own = features(store, "features-fold", "a.fold-0")
    taken = (features(store, "features", "a") == own).all(1)
    # Network 0 saw even ids; those no network saw are dealt out by their remainder, even ids to network 0.
    trained_on = crawls[0].trained_on()[crawls[0].usable]
    assert taken.tolist() == np.where(trained_on, ids % 2 == 1, ids % 2 == 0).tolist()
    assert made.facts["agreement"][0] < 1


def test_another_order_of_networks_is_another_space(trainer: Trainer, trained: Path) -> None:
    models = [network(trainer.store, trained, number, 1 - 2 * number) for number in (0, 1)]
    first = trainer.make_features("a", models)
    assert trainer.make_features("a", models[::-1]).identity != first.identity
    assert dataclasses.replace(trainer.make_features("a", models), made=True) == dataclasses.replace(first, made=True)


def test_predictions_of_clean_and_of_training_images(
    trainer: Trainer, trained: Path, crawls: list[TinyCrawl], events: list[dict[str, Any]]
) -> None:
    model = network(trainer.store, trained, 0, 1)
    clean, training = (trainer.make_predictions(model, training=asked) for asked in (False, True))
    assert (clean.stage, training.stage) == ("predictions", "predictions-training")
    assert clean.partition == training.partition == model.partition
    for made, splits in ((clean, {"val", "test"}), (training, {"train"})):
        table = read_table(made.table("predictions"))
        wanted = np.concatenate([crawl.image_id[crawl.usable & np.isin(crawl.split, list(splits))] for crawl in crawls])
        assert sorted(table["image_id"].to_pylist()) == sorted(wanted.tolist())
        assert set(table["split"].to_pylist()) == splits
        assert made.facts["images"] == len(wanted)
    rows = table.to_pydict()
    truth = {own: label for crawl in crawls for own, label in zip(crawl.image_id, crawl.class_index, strict=True)}
    assert rows["class_index"] == [truth[own] for own in rows["image_id"]]
    guess = np.array(rows["logits"]).argmax(1)
    assert (guess == rows["class_index"]).mean() > 0.7  # of what it was trained on; chance is a third
    events.clear()
    assert not trainer.make_predictions(model, training=True).made
    assert events == []


Train = Callable[..., Artifact]


@pytest.fixture
def train(trainer: Trainer, manifest: Path) -> Train:
    """Train a recipe for one epoch; keywords change its settings."""

    def build(draft: Draft) -> Facts:
        shutil.copytree(manifest, draft.table("manifest"), dirs_exist_ok=True)
        return {}

    def make(recipe: str = "mine", teachers: Sequence[tuple[Artifact, float]] = (), **settings: Any) -> Artifact:
        trainer.store.make("manifest", recipe, "m", build)
        told = dataclasses.replace(SETTINGS, **{"epochs": 1, **settings})
        return trainer.make_model(recipe, 3, told, teachers)

    return make


def test_options_that_are_off_leave_a_model_what_it_was(trainer: Trainer, train: Train) -> None:
    """Its identity tells what there was before there were options; and what is of teaching, only to a student."""
    made = train()
    assert made.made
    first = {name: getattr(SETTINGS, name) for name in list(dataclasses.asdict(SETTINGS))[:12]} | {"epochs": 1}
    told = {"settings": first, "seed": 3, "processes": 1}
    sources = [trainer.store.current("manifest", "mine"), *(trainer.store.current("images", name) for name in NAMES)]
    assert made.identity == identity("model", "2", told, inputs_of(sources))
    assert not train(temperature=4.0, label_share=0.1, teacher_view="stored").made
    assert train(accumulate=2).identity != made.identity


def test_a_student_depends_on_its_teachers_and_what_they_say_is_stored_once(trainer: Trainer, train: Train) -> None:
    teacher, plain = train("teacher"), train()
    student = train(teachers=[(teacher, 1.0)])
    assert student.made
    assert student.facts["teachers"] == ["teacher@3"]
    assert trainer.store.partitions("teaching") == []
    stored = train(teachers=[(teacher, 1.0)], teacher_view="stored")
    halves = train(teachers=[(teacher, 1.0), (plain, 1.0)])
    others = train(teachers=[(teacher, 1.0), (plain, 3.0)])
    assert len({each.identity for each in (plain, student, stored, halves, others)}) == 5
    said = trainer.store.current("teaching", "teacher@3")
    assert said.facts == {"images": 56 + 28, "model": "teacher@3"}
    assert not trainer.make_teaching(teacher).made
    assert not train(teachers=[(teacher, 1.0)]).made


def test_given_weights_are_told_by_what_they_are_and_not_by_where_they_lie(
    train: Train, trained: Path, tmp_path: Path
) -> None:
    weights = trained / "model.safetensors"
    (tmp_path / "moved").mkdir()
    shutil.copy(weights, tmp_path / "moved" / "w.safetensors")
    first = train(weights=str(weights))
    assert first.made
    assert not train(weights=str(tmp_path / "moved")).made
    assert str(tmp_path) not in (first.folder / "specification.json").read_text()
    with pytest.raises(ValueError, match=r"training.weights must be a file of weights"):
        train(weights=str(tmp_path / "absent"))


def test_a_training_goes_on_from_the_last_model_of_its_recipe_and_never_from_itself(
    trainer: Trainer, train: Train, manifest: Path, events: list[dict[str, Any]]
) -> None:
    """The first has nothing to go on from, so it is what it is anyway; another manifest makes another due."""
    first = train(begin="last")
    assert first.identity == train().identity
    assert not train(begin="last").made

    def another(draft: Draft) -> Facts:
        shutil.copytree(manifest, draft.table("manifest"), dirs_exist_ok=True)
        return {}

    trainer.store.make("manifest", "mine", "m2", another)
    settings = dataclasses.replace(SETTINGS, epochs=1, begin="last")
    events.clear()
    second, again = trainer.make_model("mine", 3, settings), trainer.make_model("mine", 3, settings)
    assert (second.facts["begun"], second.made) == (first.identity, True)
    assert (again.identity, again.made) == (second.identity, False)
    assert "are taken from model.safetensors" in str(events)
    for network, begun in (("resnet18", second.identity), ("resnet34", None)):  # another network's weights fit nothing
        assert last_model(trainer.store, "mine@3", network, lambda _: "another") == begun
