"""The stage `evidence-opinion` on made-up stores: by hand, against one pass over everything, and in its corners."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence.probe import OpinionSettings
from pipeline.evidence_tables import CLASS_OPINION, JOINT, OPINION
from pipeline.stages import classes, opinion, opinion_tables, probing
from pipeline.stages.opinion import make_opinion
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table
from tests.stages.tiny_store import Picture, add_crawl, add_evidence

NAN = float("nan")
Rows = dict[str, list[Any]]


def clouds(count: int = 60, seed: int = 0) -> list[Picture]:
    """Three classes in three places; every tenth image of class 0 lies where class 2 does."""
    rng = np.random.default_rng(seed)
    places = np.array([(0, 0), (8, 0), (0, 8)])
    label = np.repeat(np.arange(3), count)
    place = np.where((np.arange(len(label)) % 10 == 0) & (label == 0), 2, label)
    points = places[place] + 0.7 * rng.normal(size=(len(label), 2))
    return [Picture(int(c), (float(x), float(y))) for c, (x, y) in zip(label, points, strict=True)]


def store_of(folder: Path, pictures: list[Picture], **duplicates: list[int]) -> Store:
    store = Store(folder)
    add_crawl(store, "a", pictures, shard_rows=50)
    add_evidence(store, ["a"], "duplicates", **duplicates)
    return store


def made(store: Store, settings: OpinionSettings | None = None, workers: int = 1) -> Artifact:
    return make_opinion(store, ["a"], settings or OpinionSettings(), workers=workers)


def rows(artifact: Artifact, table: str = "evidence") -> Rows:
    found: Rows = read_table(artifact.table(table)).to_pydict()
    return found


def test_images_among_another_class_are_issues_with_that_class_suggested(tmp_path: Path) -> None:
    found = made(store_of(tmp_path, clouds()))
    table = read_table(found.table("evidence"))
    assert table.schema.equals(OPINION)
    told = table.to_pydict()
    strangers = [i % 10 == 0 and i < 60 for i in range(180)]
    threshold = np.mean(told["confidence"][120:])
    issues = [s and p >= threshold for s, p in zip(strangers, told["predicted_probability"], strict=True)]
    assert told["label_issue"] == issues
    assert told["opinion_class"] == [2 if issue else None for issue in issues]
    assert told["predicted_class"] == [2 if s else i // 60 for i, s in enumerate(strangers)]
    assert max(c for c, s in zip(told["confidence"], strangers, strict=True) if s) < 0.3
    assert min(c for c, s in zip(told["confidence"], strangers, strict=True) if not s) > 0.5
    assert all((m < 0) == s for m, s in zip(told["margin"], strangers, strict=True))
    joint = read_table(found.table("joint"))
    assert joint.schema.equals(JOINT)
    cells = {tuple(row.values())[:2]: row["images"] for row in joint.to_pylist()}
    assert cells[0, 2] == sum(issues) > 0
    assert set(cells) == {(0, 0), (0, 2), (1, 1), (2, 2)}
    figures = read_table(found.table("classes"))
    assert figures.schema.equals(CLASS_OPINION)
    assert figures["images"].to_pylist() == [60, 60, 60]
    assert figures["right_share"].to_pylist() == pytest.approx([cells[0, 0] / (cells[0, 0] + sum(issues)), 1, 1])
    own = np.array(told["confidence"]).reshape(3, 60)
    assert figures["threshold"].to_pylist() == pytest.approx(own.mean(axis=1).tolist())
    assert {k: found.facts[k] for k in ("images", "opinions", "agreeing", "issues")} == {
        "images": 180,
        "opinions": 180,
        "agreeing": 174,
        "issues": sum(issues),
    }


def test_the_stored_probe_says_the_same_again(tmp_path: Path) -> None:
    pictures = clouds()
    found = made(store_of(tmp_path, pictures), OpinionSettings(folds=3, seed=4))
    told = rows(found)
    for i in (0, 70, 179):
        probe = np.load(found.table("probe") / f"part-{told['fold'][i]:05d}.npy")
        logits = np.array(pictures[i].features, np.float16).astype(np.float32) @ probe[:-1] + probe[-1]
        chance = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        assert told["confidence"][i] == pytest.approx(chance[i // 60], abs=1e-5)
    assert told["fold"] == fold_of_groups(np.arange(100, 280), 3, 4).tolist()


def test_doubles_are_judged_together_and_never_by_each_other(tmp_path: Path) -> None:
    # Images 0 and 1 lie far from all others; were one trained on, it would vouch for the other.
    pictures = [Picture(0, (300, 300)), Picture(0, (300, 300)), *clouds()]
    ids = list(range(100, 100 + len(pictures)))
    apart, together = (
        rows(made(store_of(tmp_path / name, pictures, duplicate_group=group)))
        for name, group in (("apart", ids), ("together", [100, 100, *ids[2:]]))
    )
    assert together["fold"][0] == together["fold"][1]
    assert apart["fold"][0] != apart["fold"][1]
    assert apart["confidence"][0] > 0.9
    assert together["confidence"][0] < 0.5


@pytest.mark.parametrize("workers", [2, 5])
def test_it_is_the_same_for_any_number_of_workers_and_size_of_shards(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made(store_of(tmp_path / "one", clouds()))
    many = made(store_of(tmp_path / "many", clouds()), workers=workers)
    for path in sorted(p.relative_to(one.folder) for p in one.folder.rglob("part-*")):
        assert (one.folder / path).read_bytes() == (many.folder / path).read_bytes()
    monkeypatch.setattr(classes, "SHARD_IMAGES", 50)
    monkeypatch.setattr(probing, "BLOCK_IMAGES", 7)
    small = made(store_of(tmp_path / "small", clouds()), workers=workers)
    assert len(list(small.table("joint").glob("*"))) == 3
    for column, values in rows(one).items():
        assert rows(small)[column] == (pytest.approx(values, abs=1e-4) if column[0] != "o" else values)


def test_classes_of_no_one_and_two_images(tmp_path: Path) -> None:
    # Class 1 has one image, class 2 two that are doubles: none of them has another to be judged by.
    pictures = [
        *(p for p in clouds() if p.class_index == 0),
        Picture(1, (8, 0)),
        Picture(2, (0, 8)),
        Picture(2, (0, 8)),
    ]
    ids = list(range(100, 163))
    found = made(store_of(tmp_path, pictures, duplicate_group=[*ids[:61], 161, 161]))
    told = rows(found)
    for column in ("confidence", "margin", "predicted_class", "predicted_probability", "opinion_class"):
        assert told[column][60:] == [None] * 3
    assert told["label_issue"][60:] == [False] * 3
    assert None not in told["confidence"][:60]
    figures = rows(found, "classes")
    assert figures["images"] == [60, 0, 0]
    assert figures["threshold"][1:] == [None, None]
    assert figures["right_share"][1:] == [None, None]


def test_two_images_of_a_class_judge_each_other_where_their_folds_differ(tmp_path: Path) -> None:
    pictures = [*clouds()[:120], Picture(2, (0, 8)), Picture(2, (0, 8.5))]
    told = rows(made(store_of(tmp_path, pictures), OpinionSettings(folds=50)))
    assert told["fold"][120] != told["fold"][121]
    assert None not in told["confidence"]


def test_features_that_are_not_finite_have_no_opinion_and_harm_nobody(tmp_path: Path) -> None:
    pictures = clouds()
    clean = rows(made(store_of(tmp_path / "clean", pictures)))
    broken = rows(made(store_of(tmp_path / "broken", [*pictures, Picture(2, (NAN, 1)), Picture(2, (1, float("inf")))])))
    assert broken["confidence"][180:] == [None, None]
    assert broken["predicted_class"][180:] == [None, None]
    assert broken["confidence"][:180] == pytest.approx(clean["confidence"], abs=1e-5)


@pytest.mark.parametrize(
    "pictures",
    [
        [Picture(0, (1, 1))],
        [Picture(0, (1, 1), "val")],
        [Picture(0, (1, 1))] * 20,
        [Picture(0, (NAN, NAN)), Picture(1, (NAN, 0))],
    ],
    ids=["one image", "none to train on", "identical", "nothing finite"],
)
def test_crawls_that_say_nothing(tmp_path: Path, pictures: list[Picture]) -> None:
    store = store_of(tmp_path, pictures)
    told = rows(made(store))
    trained = sum(picture.split == "train" for picture in pictures)
    assert len(told["fold"]) == trained
    expected = [1.0] * 20 if trained == 20 else [None] * trained
    assert told["confidence"] == expected
    assert told["label_issue"] == [False] * trained


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 50)
    whole = made(store_of(tmp_path / "whole", clouds()))
    store = store_of(tmp_path / "killed", clouds())
    fails_at(opinion_tables, "confident_classes", 7, monkeypatch)  # in the second of three stretches
    with pytest.raises(KeyboardInterrupt):
        made(store)
    monkeypatch.undo()
    monkeypatch.setattr(classes, "SHARD_IMAGES", 50)
    fails_at(opinion, "train_probes", 0, monkeypatch)  # done already, as the thresholds are
    fails_at(opinion_tables, "class_thresholds", 0, monkeypatch)
    found = made(store)
    assert found.made
    assert rows(found) == rows(whole)
    assert found.facts == whole.facts
    assert not made(store).made


def fails_at(module: object, name: str, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a function be called so many times, then be interrupted."""
    genuine: Callable[..., object] = getattr(module, name)
    count = 0

    def failing(*arguments: object) -> object:
        nonlocal count
        count += 1
        if count > calls:
            raise KeyboardInterrupt
        return genuine(*arguments)

    monkeypatch.setattr(module, name, failing)


def test_only_what_changes_the_outcome_makes_another(tmp_path: Path) -> None:
    store = store_of(tmp_path, clouds())
    first = made(store)
    assert made(store, OpinionSettings(seed=1)).identity != first.identity
    add_evidence(store, ["a"], "duplicates", duplicate_group=[100] * 10 + list(range(110, 280)))
    assert made(store).identity != first.identity


def test_progress_counts_every_image_once(tmp_path: Path) -> None:
    seen: list[int] = []
    make_opinion(store_of(tmp_path, clouds()), ["a"], OpinionSettings(), workers=2, on_progress=seen.append)
    assert sum(seen) == 180
