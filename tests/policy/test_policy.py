"""Parts put together, by hand."""

import numpy as np
import pytest

from pipeline.policy.policy import Policy
from tests.policy.tables import columns, part, words


def test_weights_and_repeats_multiply_and_reasons_are_joined() -> None:
    policy = Policy(parts=(part("top-ranked", k=4), part("agreement-weight", floor=0.0), part("density-curriculum")))
    table = columns([0, 0, 1], largest=9, position=[1, 2, 1], agreement=[0.75, 0.25, 0.5], density_level=[0, 1, 0])
    decision = policy.decide(table)
    assert decision.weight.tolist() == pytest.approx([1.5, 0.25, 1])
    assert decision.repeats.tolist() == [2, 2, 4]
    assert decision.stage.tolist() == [0, 1, 0]
    assert words(decision)[1] == (
        "seen 2 times an epoch; 25% of its nearest neighbours have its label; noisy by density, enters at stage 1"
    )


def test_a_stage_stays_whatever_comes_after() -> None:
    policy = Policy(parts=(part("density-curriculum"), part("baseline")))
    assert policy.decide(columns([0, 0], density_level=[0, 1])).stage.tolist() == [0, 1]


def test_a_part_sees_only_what_those_before_it_left() -> None:
    policy = Policy(parts=(part("density-clean"), part("class-reweight")))
    decision = policy.decide(columns([0, 0, 0, 1], density_level=[0, 0, 1, 0]))
    assert decision.weight.tolist() == pytest.approx([0.5, 0.5, 1, 1])
    assert decision.repeats.tolist() == [1, 1, 0, 1]
    assert words(decision)[2:] == ["noisy by density, left out", "clean by density; its class adds up to 1 image"]


def test_classes_are_balanced_last_over_what_images_count_by_then() -> None:
    policy = Policy(parts=(part("class-reweight"), part("top-ranked", k=6), part("density-curriculum")))
    table = columns([0, 0, 0, 1], largest=9, position=[1, 2, 3, 1], density_level=[0, 1, 2, 0])
    decision = policy.decide(table)
    total = np.bincount(table["class_index"], weights=decision.weight * decision.repeats)
    assert total.tolist() == pytest.approx([1, 1])
    assert words(decision)[3] == "seen 6 times an epoch; clean by density; its class adds up to 6 images"


def test_two_choices_never_empty_a_class() -> None:
    # the clean image's text does not match, the matching one is not clean
    policy = Policy(parts=(part("density-clean"), part("semantic-only", by="keyword")))
    table = columns([0, 0], density_level=[0, 1], keyword=[0, 1], keyword_other=[0.5, 0])
    assert policy.decide(table).repeats.tolist() == [1, 0]


def test_the_first_suggestion_stands() -> None:
    policy = Policy(parts=(part("confused"), part("opinion-weight")))
    table = columns(
        [0, 0, 0],
        owner_class=[7, None, 0],
        owner_share=[0.9, None, 0.9],
        own_share=[0.1, None, 0.9],
        confidence=[0.1, 0.1, 0.9],
        opinion_class=[8, 8, None],
    )
    assert policy.decide(table).suggested.tolist() == [7, 8, -1]


def test_what_weighs_nothing_is_not_seen() -> None:
    policy = Policy(parts=(part("agreement-weight", floor=0.0), part("baseline")))
    decision = policy.decide(columns([0, 0], agreement=[1, 0]))
    assert (decision.weight.tolist(), decision.repeats.tolist()) == ([2, 0], [1, 0])
    assert words(decision)[1] == "0% of its nearest neighbours have its label"


def test_the_evidence_of_all_parts_is_read_once() -> None:
    policy = Policy(parts=(part("kmeans-compact"), part("kmeans-size"), part("semantic", by="keyword")))
    assert policy.evidence == {
        "kmeans": ("cluster", "cluster_compactness", "cluster_share"),
        "keyword": ("keyword", "keyword_other"),
    }


def test_settings_and_order_are_part_of_what_a_policy_is() -> None:
    one = Policy(parts=(part("top-ranked", k=4), part("baseline"))).described()
    assert one == [
        {"rule": "top-ranked", "version": "1", "settings": {"k": 4}},
        {"rule": "baseline", "version": "1", "settings": {}},
    ]
    with pytest.raises(ValueError, match="at least one part"):
        Policy(parts=())


def test_no_image_at_all_is_no_mistake() -> None:
    policy = Policy(
        parts=(part("official-baseline"), part("kmeans-large"), part("density-clean"), part("class-reweight"))
    )
    decision = policy.decide(columns([], cluster=[], density_level=[]) | {"cluster": np.zeros(0, np.int32)})
    assert len(decision.weight) == 0
