"""Ensembles of stored predictions, by hand and against the pure functions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.ensemble.combine import average, majority_vote, weighted
from pipeline.ensemble.learn import EnsembleSettings, Learned
from pipeline.result_tables import ENSEMBLE_WEIGHTS
from pipeline.stages import ensemble, predicted
from pipeline.stages.ensemble import (
    TooFewCleanImagesError,
    combiner,
    current_ensemble,
    make_ensemble,
    make_training_ensemble,
)
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table
from tests.stages.predicted_store import add_predictions

SETTINGS = EnsembleSettings(folds=3, strengths=(1.0, 10.0))
SPLIT = ["val"] * 60 + ["test"] * 40
LABEL = np.random.default_rng(0).integers(0, 3, 100)


def logits_of(skill: float, seed: int) -> NDArray[Any]:
    noise = np.random.default_rng(seed).normal(size=(100, 3))
    return np.asarray(noise + skill * (np.arange(3) == LABEL[:, None]), np.float16)


MEMBERS = [logits_of(2.0, 1), logits_of(1.0, 2), logits_of(0.0, 3)]


def add_members(store: Store, logits: list[NDArray[Any]] = MEMBERS, **told: Any) -> list[Artifact]:
    return [add_predictions(store, f"m{i}@0", own, SPLIT, LABEL.tolist(), **told) for i, own in enumerate(logits)]


def stored(artifact: Artifact) -> NDArray[Any]:
    return np.array(read_table(artifact.table("predictions"))["logits"].to_pylist(), np.float16)


@pytest.mark.parametrize(("name", "combine"), [("ensemble-vote", majority_vote), ("ensemble-average", average)])
def test_rows_are_combined_and_all_else_is_the_members(tmp_path: Path, name: str, combine: Any) -> None:
    store = Store(tmp_path)
    members = add_members(store, part_rows=30)
    made = make_ensemble(store, name, 7, members, SETTINGS)
    np.testing.assert_array_equal(stored(made), combine(np.stack(MEMBERS)))
    theirs, ours = (read_table(each.table("predictions")) for each in (members[0], made))
    assert ours.select(["image_id", "split", "class_index"]) == theirs.select(["image_id", "split", "class_index"])
    assert set(ours["seed"].to_pylist()) == {7}
    assert store.current("predictions", f"{name}@7").identity == made.identity
    assert (made.facts["images"], made.facts["members"]) == (100, ["m0@0", "m1@0", "m2@0"])
    assert not make_ensemble(store, name, 7, members, EnsembleSettings(folds=9)).made  # it has no settings


def test_an_ensemble_of_one_is_stored_as_its_member(tmp_path: Path) -> None:
    store = Store(tmp_path)
    members = add_members(store, MEMBERS[:1])
    for name in ("ensemble-average", "ensemble-vote-average", "ensemble-learned"):
        np.testing.assert_array_equal(stored(make_ensemble(store, name, 0, members, SETTINGS)), MEMBERS[0])


def test_learned_weights_are_stored_shown_and_applied(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = make_ensemble(store, "ensemble-learned", 0, add_members(store), SETTINGS)
    weights = made.facts["weights"]
    assert weights["m2@0"] < 0.1 * weights["m1@0"] < 0.1 * weights["m0@0"]
    table = read_table(made.table("weights"))
    assert table.schema == ENSEMBLE_WEIGHTS
    whole = [row for row in table.to_pylist() if row["class_index"] is None]
    assert [row["weight"] for row in whole] == list(weights.values())
    assert list(made.facts["log_loss"]) == [
        "a weight per member",
        "per class, strength 1",
        "per class, strength 10",
    ]
    chosen = min(made.facts["log_loss"], key=made.facts["log_loss"].get)
    assert made.facts["strength"] == {"a weight per member": None}.get(chosen, 1.0 if chosen.endswith(" 1") else 10.0)
    np.testing.assert_array_equal(stored(made)[60:], combiner(made)(np.stack(MEMBERS))[60:])


@pytest.mark.parametrize("weights", [np.array([0.25, 1.5, 0]), np.arange(9.0).reshape(3, 3)])
def test_weights_read_back_are_those_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: NDArray[Any]
) -> None:
    learned = Learned(np.ones(3), weights, None, (), (weights,) * 3)
    monkeypatch.setattr(ensemble, "learn", lambda *_: learned)
    store = Store(tmp_path)
    made = make_ensemble(store, "ensemble-learned", 0, add_members(store), SETTINGS)
    np.testing.assert_array_equal(ensemble.read_weights(made), weights if weights.ndim == 2 else np.ones(3))
    np.testing.assert_array_equal(stored(made), weighted(np.stack(MEMBERS), weights))


@pytest.mark.parametrize("image", [0, 30])
def test_no_image_of_val_is_judged_by_weights_that_saw_its_label(tmp_path: Path, image: int) -> None:
    label = LABEL.copy()
    label[image] = (label[image] + 1) % 3
    found = []
    for number, truth in enumerate((LABEL, label)):
        store = Store(tmp_path / str(number))
        members = [add_predictions(store, f"m{i}@0", own, SPLIT, truth.tolist()) for i, own in enumerate(MEMBERS)]
        made = make_ensemble(store, "ensemble-learned", 0, members, EnsembleSettings(folds=3, strengths=()))
        found.append(stored(made))
    changed = (found[0] != found[1]).any(axis=1)
    assert not changed[image]
    assert changed[:60].any()
    assert changed[60:].any()


def test_without_val_votes_and_averages_work_and_learning_says_what_it_lacks(tmp_path: Path) -> None:
    store = Store(tmp_path)
    members = [add_predictions(store, f"m{i}@0", own, ["test"] * 100, LABEL.tolist()) for i, own in enumerate(MEMBERS)]
    assert make_ensemble(store, "ensemble-vote-average", 0, members, SETTINGS).facts["images"] == 100
    with pytest.raises(TooFewCleanImagesError, match="learns its weights on val, which has 0 usable images"):
        make_ensemble(store, "ensemble-learned", 0, members, SETTINGS)


def test_members_of_other_images_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = add_members(store)[0]
    own, label = MEMBERS[1], LABEL.tolist()
    for number, other in enumerate(
        (
            add_predictions(store, "moved@0", own, SPLIT, label, image_id=range(1, 101)),
            add_predictions(store, "short@0", own[:90], SPLIT[:90], label[:90]),
            add_predictions(store, "parted@0", own, SPLIT, label, part_rows=50),
            add_predictions(store, "wide@0", np.zeros((100, 4)), SPLIT, label),
            add_predictions(store, "renamed@0", own, SPLIT, ((LABEL + 1) % 3).tolist()),
        )
    ):
        with pytest.raises(ValueError, match=f"{other.partition} predicts other images than m0@0"):
            make_ensemble(store, "ensemble-average", number, [first, other], SETTINGS)


def test_an_ensemble_is_current_as_long_as_its_members_are(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = make_ensemble(store, "ensemble-average", 0, add_members(store), SETTINGS)
    found = current_ensemble(store, "ensemble-average", 0)
    assert found is not None
    assert found.identity == made.identity
    assert current_ensemble(store, "ensemble-vote", 0) is None
    add_members(store, [MEMBERS[1]])  # m0 is trained anew
    assert current_ensemble(store, "ensemble-average", 0) is None


def test_finished_parts_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    members = add_members(store, part_rows=40)
    read = []

    def side_by_side(parts: Any, of: Any) -> Any:
        read.append(parts[0].name)
        if len(read) == 2:
            raise KeyboardInterrupt
        return predicted.side_by_side(parts, of)

    monkeypatch.setattr(ensemble, "side_by_side", side_by_side)
    with pytest.raises(KeyboardInterrupt):
        make_ensemble(store, "ensemble-average", 0, members, SETTINGS)
    made = make_ensemble(store, "ensemble-average", 0, members, SETTINGS)
    assert read == ["part-00000.parquet", "part-00001.parquet", "part-00001.parquet", "part-00002.parquet"]
    np.testing.assert_array_equal(stored(made), average(np.stack(MEMBERS)))


def test_few_rows_at_a_time_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = Store(tmp_path / "a"), Store(tmp_path / "b")
    whole = make_ensemble(store, "ensemble-learned", 0, add_members(store), SETTINGS)
    monkeypatch.setattr(predicted, "_NUMBERS", 3 * 3 * 7)
    stepwise = make_ensemble(other, "ensemble-learned", 0, add_members(other), SETTINGS)
    np.testing.assert_array_equal(stored(whole), stored(stepwise))


@pytest.mark.parametrize("name", ["ensemble-vote-average", "ensemble-learned"])
def test_what_it_says_of_the_training_images(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    made = make_ensemble(store, name, 0, add_members(store), SETTINGS)
    rng = np.random.default_rng(9)
    logits = rng.normal(size=(3, 20, 3)).astype(np.float16)
    stage = "predictions-training"
    members = [
        add_predictions(store, f"m{i}@0", own, ["train"] * 20, [0] * 20, stage=stage) for i, own in enumerate(logits)
    ]
    training = make_training_ensemble(store, made, members)
    assert (training.stage, training.partition) == (stage, f"{name}@0")
    np.testing.assert_array_equal(stored(training), combiner(made)(logits))
    with pytest.raises(ValueError, match="not of"):
        make_training_ensemble(store, made, members[::-1])


def test_the_weights_are_fitted_on_as_many_images_as_allowed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    few = EnsembleSettings(folds=3, strengths=(), fit_images=12)
    made = make_ensemble(store, "ensemble-learned", 0, add_members(store), few)
    same = (stored(made) == weighted(np.stack(MEMBERS), ensemble.read_weights(made))).all(axis=1)
    assert same[60:].all()
    assert same[:60].sum() >= 48  # the others of val never met the fit
