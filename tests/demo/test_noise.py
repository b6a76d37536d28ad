"""What the plan of the demo's crawl promises about its errors."""

from collections import Counter

import numpy as np
import pytest

from pipeline.demo.catalogue import CLASS_OF, CLASSES, QUERIES
from pipeline.demo.noise import (
    DAMAGES,
    IMBALANCE,
    NO_CLASS,
    UNDECODABLE,
    DemoSettings,
    Shot,
    class_sizes,
    generator,
    plan,
    precision,
)

SETTINGS = DemoSettings()


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    return plan(SETTINGS)


@pytest.fixture(scope="module")
def found(shots: list[Shot]) -> list[Shot]:
    return [shot for shot in shots if shot.split == "train"]


@pytest.mark.parametrize(
    "wrong",
    [{"seed": -1}, {"train_images": 499}, {"val_images": 9}, {"test_images": 9}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DemoSettings(**wrong)


def test_class_sizes_by_hand() -> None:
    sizes = class_sizes(1000)
    assert sum(sizes) == 1000
    # Weights 4**(-k/9) add up to 5.498 over ten classes: the first gets 1000/5.498, the last a quarter of that.
    assert sizes[0] == 182
    assert sizes[-1] in (45, 46)
    assert sizes == sorted(sizes, reverse=True)


def test_as_many_images_as_asked_for(shots: list[Shot]) -> None:
    assert Counter(shot.split for shot in shots) == {"train": 2400, "val": 250, "test": 350}
    assert [shot.number for shot in shots] == list(range(3000))
    assert len({shot.path for shot in shots}) == 3000


def test_classes_are_imbalanced_in_training_and_balanced_in_val_and_test(shots: list[Shot]) -> None:
    sizes = Counter(shot.label for shot in shots if shot.split == "train")
    assert max(sizes.values()) / min(sizes.values()) == pytest.approx(IMBALANCE, rel=0.03)
    for split, each in (("val", 25), ("test", 35)):
        assert Counter(shot.label for shot in shots if shot.split == split) == dict.fromkeys(range(10), each)


def test_val_and_test_are_clean(shots: list[Shot]) -> None:
    clean = [shot for shot in shots if shot.split != "train"]
    assert all(shot.true_label == shot.label and shot.kind == "right" for shot in clean)
    assert all(shot.damage is None and shot.copy_of is None for shot in clean)


@pytest.mark.parametrize("seed", [SETTINGS.seed, 0, 1])
def test_about_three_in_ten_labels_are_wrong(seed: int) -> None:
    judged = [s for s in plan(DemoSettings(seed=seed)) if s.split == "train" and s.true_label != UNDECODABLE]
    assert 0.25 <= np.mean([shot.true_label != shot.label for shot in judged]) <= 0.35


def test_kind_says_in_which_way_the_label_is_wrong(found: list[Shot]) -> None:
    for shot in found:
        known = CLASSES[shot.label]
        expected = {
            "right": shot.label,
            "confusable": CLASS_OF[known.confusable],
            "undecodable": UNDECODABLE,
            "no-class": NO_CLASS,
            "other-sense": CLASS_OF.get(shot.scene, NO_CLASS),
        }
        if shot.kind == "cross-class":
            assert shot.true_label not in (shot.label, CLASS_OF[known.confusable], NO_CLASS, UNDECODABLE)
        else:
            assert shot.true_label == expected[shot.kind]
        if shot.kind == "other-sense":
            assert shot.scene in known.other_sense
    assert min(Counter(shot.kind for shot in found).values()) >= 20


def test_precision_falls_with_the_rank(found: list[Shot]) -> None:
    last = Counter((shot.source, shot.query) for shot in found)
    plain = [
        shot for shot in found if not CLASSES[shot.label].other_sense and shot.damage is None and shot.copy_of is None
    ]
    place = np.array([(shot.rank - 1) / (last[shot.source, shot.query] - 1) for shot in plain])
    right = np.array([shot.kind == "right" for shot in plain])
    # Expected: the mean of 0.85 - 0.30 place over each third; 0.06 is three standard errors of some 500 draws.
    for low, expected in ((0, 0.80), (1 / 3, 0.70), (2 / 3, 0.60)):
        assert right[(place >= low) & (place < low + 1 / 3)].mean() == pytest.approx(expected, abs=0.06)


def test_the_bare_ambiguous_word_finds_both_senses(found: list[Shot]) -> None:
    ambiguous = [known for known in CLASSES if known.other_sense]
    assert [known.queries[0] for known in ambiguous] == ["corolla", "apple"]
    for known in ambiguous:
        bare = next(number for number, (_, term) in enumerate(QUERIES, start=1) if term == known.queries[0])
        scenes = Counter(shot.scene for shot in found if shot.query == bare)
        assert scenes[known.scene] >= 50
        assert all(scenes[other] >= 8 for other in known.other_sense)
    assert precision(0.5, ambiguous=True) == pytest.approx(0.55)


def test_other_sense_of_one_word_is_a_class_and_of_the_other_none(found: list[Shot]) -> None:
    senses = {(shot.label, shot.true_label) for shot in found if shot.kind == "other-sense"}
    assert senses == {(CLASS_OF["corolla"], CLASS_OF["car"]), (CLASS_OF["apple"], NO_CLASS)}


def test_both_sources_and_every_query_are_used_with_ranks_from_one(found: list[Shot]) -> None:
    ranks: dict[tuple[str, int], list[int]] = {}
    for shot in found:
        ranks.setdefault((shot.source, shot.query), []).append(shot.rank)
        assert QUERIES[shot.query - 1][0] == shot.label
    assert set(ranks) == {(source, query) for source in ("google", "flickr") for query in range(1, len(QUERIES) + 1)}
    assert all(given == list(range(1, len(given) + 1)) for given in ranks.values())


def test_copies_repeat_an_intact_earlier_result_of_the_same_class(found: list[Shot]) -> None:
    copies = [shot for shot in found if shot.copy_of is not None]
    assert 40 <= len(copies) <= 110
    for copy in copies:
        assert copy.copy_of is not None
        original = found[copy.copy_of]
        assert (original.copy_of, original.damage) == (None, None)
        assert original.number < copy.number
        assert (original.label, original.scene, original.kind) == (copy.label, copy.scene, copy.kind)


def test_every_way_of_being_broken_occurs(found: list[Shot]) -> None:
    broken = Counter(shot.damage for shot in found if shot.damage)
    assert set(broken) == set(DAMAGES)
    assert 15 <= broken.total() <= 50


def test_streams_are_keyed_by_image_and_purpose() -> None:
    draws = {generator(seed, number, stream).random() for seed in (0, 1) for number in (0, 1) for stream in (0, 1)}
    assert len(draws) == 8
    assert generator(3, 5, 1).random() == generator(3, 5, 1).random()
