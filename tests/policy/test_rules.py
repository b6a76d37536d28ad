"""Every rule by hand on a few images."""

import numpy as np
import pytest

from pipeline.policy.catalogue import RULES
from tests.policy.tables import columns, decide, part, words


def test_the_baseline_counts_everything_once() -> None:
    decision = decide("baseline", columns([0, 0, 2]))
    assert (decision.weight.tolist(), decision.repeats.tolist()) == ([1, 1, 1], [1, 1, 1])
    assert words(decision) == ["counts as it is"] * 3


def test_class_reweight_gives_every_class_the_same_total() -> None:
    decision = decide("class-reweight", columns([3, 0, 0, 0]))
    assert decision.weight.tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    assert words(decision)[:2] == ["its class adds up to 1 image", "its class adds up to 3 images"]


def test_class_reweight_counts_what_images_count() -> None:
    table = columns([0, 0, 0]) | {"counts": np.array([0.5, 0.5, 3])}  # two doubles, and one that is seen three times
    assert decide("class-reweight", table).weight.tolist() == pytest.approx([0.25] * 3)


def test_the_effective_number_lies_between_all_alike_and_the_count() -> None:
    table = columns([0, 0, 0, 1])
    # beta .5: (1 - .5^3) / .5 = 1.75 and (1 - .5) / .5 = 1
    assert decide("class-reweight", table, beta=0.5).weight.tolist() == pytest.approx([1 / 1.75] * 3 + [1])
    assert decide("class-reweight", table, beta=0.0).weight.tolist() == [1] * 4
    assert decide("class-reweight", table, beta=1 - 1e-9).weight.tolist() == pytest.approx([1 / 3] * 3 + [1])


def test_the_official_baseline_draws_every_class_to_the_size_of_the_largest() -> None:
    table = columns([0] * 50 + [1] * 7 + [4])
    decision = decide("official-baseline", table)
    assert np.bincount(table["class_index"], weights=decision.repeats).tolist() == [50, 50, 0, 0, 50]
    assert decision.repeats[:50].tolist() == [1] * 50  # the largest is taken as it is
    assert len(set(decision.repeats[50:57].tolist())) > 1  # drawn, not dealt
    assert words(decision)[0] == "of the largest class, which is taken as it is"
    assert words(decision)[57] == "drawn 50 times"
    assert decide("official-baseline", table, seed=1).repeats.tolist() != decision.repeats.tolist()


def test_a_draw_hangs_on_the_class_alone() -> None:
    both = decide("official-baseline", columns([0] * 3 + [1] * 9)).repeats
    alone = decide("official-baseline", columns([0] * 3, largest=9)).repeats
    assert both[:3].tolist() == alone.tolist()


def test_an_image_never_drawn_is_left_out() -> None:
    decision = decide("official-baseline", columns([0] * 100 + [1] * 90))
    assert 0 in decision.repeats
    assert words(decision)[int(np.argmin(decision.repeats))] == "not drawn, left out"


def test_top_ranked_takes_the_best_and_repeats_the_best_once_more() -> None:
    table = columns([0, 0, 0, 0, 1, 1], position=[3, 1, 4, 2, 2, 1])
    decision = decide("top-ranked", table, k=3)
    assert decision.repeats.tolist() == [1, 1, 0, 1, 1, 2]
    assert words(decision)[2] == "ranked past the best 3 of its class, left out"
    assert words(decision)[5] == "seen 2 times an epoch"


def test_top_ranked_repeats_no_class_past_the_size_of_the_largest() -> None:
    table = columns([0, 0, 0, 1, 1], position=[1, 2, 3, 1, 2])
    assert decide("top-ranked", table).repeats.tolist() == [1, 1, 1, 2, 1]


def test_top_ranked_never_drops_what_nobody_ranked() -> None:
    table = columns([0, 0, 0, 0], largest=9, position=[None, 2, None, 1])
    assert decide("top-ranked", table, k=1).repeats.tolist() == [1, 0, 1, 1]
    assert decide("top-ranked", table, k=6).repeats.tolist() == [1, 2, 1, 2]  # ranked ones first
    without = decide("top-ranked", columns([0, 0, 0], largest=9, position=[None] * 3), k=5)
    assert without.repeats.tolist() == [2, 2, 1]
    assert words(without)[2] == "has no rank, seen 1 time an epoch"


def test_the_largest_clusters_that_reach_the_share_are_kept() -> None:
    # class 0: clusters of 3, 2, 1; class 1: one of 1
    table = columns([0, 0, 0, 0, 0, 0, 1], cluster=[2, 2, 2, 0, 0, 1, 0])
    assert decide("kmeans-large", table, share=0.5).repeats.tolist() == [1, 1, 1, 0, 0, 0, 1]  # 3 of 6 are half of it
    assert decide("kmeans-large", table, share=0.51).repeats.tolist() == [1, 1, 1, 1, 1, 0, 1]
    assert decide("kmeans-large", table, share=1.0).repeats.tolist() == [1] * 7
    assert words(decide("kmeans-large", table))[5] == "its cluster is small for its class, left out"


def test_of_clusters_as_large_the_lower_number_is_kept() -> None:
    table = columns([0, 0, 0, 0], cluster=[1, 0, 1, 0])
    assert decide("kmeans-large", table).repeats.tolist() == [0, 1, 0, 1]


def test_an_image_without_a_cluster_is_kept_and_counts_for_no_share() -> None:
    table = columns([0, 0, 0, 0, 0, 0], cluster=[0, -1, -1, -1, 1, 0])
    decision = decide("kmeans-large", table, share=0.6)
    assert decision.repeats.tolist() == [1, 1, 1, 1, 0, 1]
    assert words(decision)[1] == "no cluster: its features are not finite"


def test_the_most_compact_clusters_are_kept_and_single_images_come_last() -> None:
    table = columns([0, 0, 0, 0, 0], cluster=[0, 0, 1, 1, 2], cluster_compactness=[4, 4, 2, 2, 0])
    assert decide("kmeans-compact", table, share=0.4).repeats.tolist() == [0, 0, 1, 1, 0]
    assert decide("kmeans-compact", table, share=0.7).repeats.tolist() == [1, 1, 1, 1, 0]
    alone = columns([0, 0], cluster=[0, -1], cluster_compactness=[0, None])
    assert decide("kmeans-compact", alone).repeats.tolist() == [1, 1]


def test_cluster_size_by_hand() -> None:
    # class 0: shares .75 .75 .75 .25, mean .625; class 1: one image in one cluster
    table = columns([0, 0, 1, 0, 0], cluster=[0, 0, 0, 1, 0], cluster_share=[0.75, 0.75, 1, 0.25, 0.75])
    decision = decide("kmeans-size", table)
    assert decision.weight.tolist() == pytest.approx([1.2, 1.2, 1.0, 0.4, 1.2])
    assert words(decision)[3] == "its cluster holds 25% of its class"


def test_an_image_without_a_cluster_counts_as_the_average_does() -> None:
    table = columns([0, 0, 0, 1], cluster=[0, 1, -1, -1], cluster_share=[0.6, 0.2, 0, 0])
    decision = decide("kmeans-size", table)
    assert decision.weight.tolist() == pytest.approx([1.5, 0.5, 1, 1])
    assert words(decision)[2] == "no cluster: its features are not finite"


def test_closeness_to_the_top_ranked_by_hand() -> None:
    # mean distance 2: closeness 1 and 1 / (1 + 4 / 2) = 1/3, mean 2/3
    table = columns([0, 0, 0, 1], cluster_top_distance=[0, 4, None, None])
    decision = decide("kmeans-top-ranked", table)
    assert decision.weight.tolist() == pytest.approx([1.5, 0.5, 1, 1])
    assert words(decision)[1] == "its cluster is 33% close to its class's top-ranked images"
    assert words(decision)[2] == "how far its cluster is from the top-ranked images is not known"
    assert decide("kmeans-top-ranked", columns([0, 0], cluster_top_distance=[0, 0])).weight.tolist() == [1, 1]


def test_confused_weighs_by_the_own_share_and_suggests_the_owner() -> None:
    table = columns(
        [0, 0, 0, 0],
        owner_class=[0, 5, 5, None],
        owner_share=[0.75, 0.75, 0.4, None],
        own_share=[0.75, 0.25, 0.2, None],
    )
    decision = decide("confused", table, floor=0.0)
    assert decision.weight.tolist() == pytest.approx([0.75 / 0.4, 0.25 / 0.4, 0.5, 1])
    assert decision.suggested.tolist() == [-1, 5, -1, -1]  # 40% own no cluster for sure
    assert words(decision)[1:] == [
        "its class has 25% of its joint cluster, which belongs to another class",
        "its class has 20% of its joint cluster",
        "its class is confused with no other",
    ]


def test_density_clean_keeps_each_class_s_cleanest() -> None:
    table = columns([0, 0, 0, 1, 1, 0], density_level=[0, 1, 2, 2, 1, -1])
    decision = decide("density-clean", table)
    assert decision.repeats.tolist() == [1, 0, 0, 0, 1, 1]
    assert words(decision) == [
        "clean by density",
        "noisy by density, left out",
        "highly noisy by density, left out",
        "highly noisy by density, left out",
        "noisy by density",
        "how dense its surroundings are is not known",
    ]


def test_the_curriculum_adds_level_after_level() -> None:
    table = columns([0, 0, 0, 1, 1, 0], density_level=[0, 1, 2, 2, 1, -1])
    decision = decide("density-curriculum", table)
    assert decision.stage.tolist() == [0, 1, 2, 1, 0, 0]
    assert decision.weight.tolist() == [1, 0.5, 0.5, 0.5, 0.5, 1]
    assert words(decision)[2:4] == [
        "highly noisy by density, enters at stage 2",
        "highly noisy by density, enters at stage 1",
    ]
    assert decide("density-curriculum", table, loss_weights=(1.0, 0.25)).weight.tolist() == [
        1,
        0.25,
        0.25,
        0.25,
        0.25,
        1,
    ]


def test_density_weight_by_hand() -> None:
    table = columns([0, 0, 0, 0], density_level=[0, 1, 5, -1])
    decision = decide("density-weight", table, weights=(1.0, 0.5, 0.0625))
    mean = (1 + 0.5 + 0.0625) / 3
    assert decision.weight.tolist() == pytest.approx([1 / mean, 0.5 / mean, 0.0625 / mean, 1])
    assert words(decision)[2] == "level 5 by density"


def test_hdbscan_by_hand() -> None:
    table = columns([0, 0, 0], hdbscan_cluster=[0, -1, -1], membership=[1, 0, 0], outlier=[0, 0.5, 1])
    decision = decide("hdbscan-weight", table, floor=0.0)
    assert decision.weight.tolist() == pytest.approx([1 / 0.625, 0.25 / 0.625, 1])
    assert words(decision)[1:] == ["25% clean by HDBSCAN", "HDBSCAN knows nothing of it"]


def test_agreement_by_hand() -> None:
    decision = decide("agreement-weight", columns([0, 0, 0], agreement=[1, 0, None]))
    assert decision.weight.tolist() == pytest.approx([1 / 0.55, 0.1 / 0.55, 1])  # nobody is left out
    assert words(decision)[1:] == ["0% of its nearest neighbours have its label", "it has no neighbours to ask"]


def test_a_class_for_which_nothing_speaks_at_all_counts_as_it_is() -> None:
    decision = decide("agreement-weight", columns([0, 0, 1, 1], agreement=[0, 0, 0, 1]), floor=0.0)
    assert decision.weight.tolist() == [1, 1, 0, 2]


def test_opinion_by_hand() -> None:
    table = columns([0, 0, 0], confidence=[0.75, 0.25, None], opinion_class=[None, 4, None])
    decision = decide("opinion-weight", table, floor=0.0)
    assert decision.weight.tolist() == pytest.approx([1.5, 0.5, 1])
    assert decision.suggested.tolist() == [-1, 4, -1]
    assert words(decision)[1] == "its label is held 25% likely, another one more so"


TEXT = columns(
    [0, 0, 0, 0],
    keyword=[0.8, 0.2, None, 0],
    keyword_other=[0.4, 0.4, None, None],
    semantic=[0.5, 0.3, None, 0.1],
    semantic_other=[0.5, 0.2, None, 0.2],
)


def test_semantic_by_hand() -> None:
    # keyword: .8, .2 x .2 / .4 = .1, unknown, 0
    decision = decide("semantic", TEXT, by="keyword")
    mean = (0.9 + 0.55 + 0.5) / 3
    assert decision.weight.tolist() == pytest.approx([0.9 / mean, 0.55 / mean, 1, 0.5 / mean])
    assert words(decision)[1:3] == ["its text matches its class to 10%", "its text says nothing"]
    # vectors: .5, .3, unknown, .1 x .1 / .2 = .05; the mean of both: .65, .2, unknown, .025
    both = decide("semantic", TEXT, floor=0.0).weight
    assert (both[0] / both[1], both[1] / both[3]) == pytest.approx((0.65 / 0.2, 0.2 / 0.025))


def test_semantic_only_keeps_what_matches_and_what_is_unknown() -> None:
    assert decide("semantic-only", TEXT, by="keyword").repeats.tolist() == [1, 0, 1, 0]
    assert decide("semantic-only", TEXT).repeats.tolist() == [1, 1, 1, 0]  # one of the two will do
    assert decide("semantic-only", TEXT, by="keyword", ahead=3.0).repeats.tolist() == [1, 0, 1, 0]  # the nearest
    assert decide("semantic-only", TEXT, by="semantic", ahead=0.5).repeats.tolist() == [1, 1, 1, 1]
    assert words(decide("semantic-only", TEXT, by="keyword", ahead=3.0)) == [
        "no text of its class matches, its own is among the nearest",
        "its text does not match its class, left out",
        "its text says nothing",
        "its text does not match its class, left out",
    ]


def test_the_sources_of_a_text_rule_decide_what_it_reads() -> None:
    assert part("semantic", by="keyword").evidence == {"keyword": ("keyword", "keyword_other")}
    assert list(part("semantic-only").evidence) == ["keyword", "semantic"]


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        ("class-reweight", {"beta": 1.5}, r"beta must be in \[0, 1\], not 1.5"),
        ("official-baseline", {"seed": -1}, "seed must be at least 0"),
        ("top-ranked", {"k": 0}, "k must be at least 1"),
        ("kmeans-large", {"share": 0.0}, r"share must be in \(0, 1\], not 0"),
        ("confused", {"sure": 2.0}, "sure must be in"),
        ("confused", {"floor": -1.0}, "floor must be in"),
        ("agreement-weight", {"floor": float("nan")}, "floor must be in"),
        ("density-curriculum", {"loss_weights": (0.5, 1.0)}, "none above the one before"),
        ("density-weight", {"weights": (1.0, 0.0)}, "above 0"),
        ("density-weight", {"weights": ()}, "above 0"),
        ("semantic", {"floor": 1.1}, "floor must be in"),
        ("semantic-only", {"ahead": 0.0}, "ahead must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(rule: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RULES[rule].settings(**settings)


def test_fused_weighs_as_likely_as_the_label_is_right() -> None:
    decision = decide("fused", columns([0, 0, 0], right_probability=[1, 0.2, None]), floor=0)
    assert decision.weight == pytest.approx([1 / 0.6, 0.2 / 0.6, 1])
    assert words(decision) == [
        "its label is 100% likely right",
        "its label is 20% likely right",
        "nothing is known of its label",
    ]


def test_relabel_moves_what_is_confidently_of_another_class_and_leaves_one() -> None:
    table = columns(
        [0, 0, 0, 1, 1],
        right_probability=[0.1, 0.5, 0.2, 0.1, 0.1],
        fused_class=[1, 0, 1, 0, 0],
        fused_probability=[0.9, 0.5, 0.79, 0.9, 0.9],
    )
    decision = decide("relabel", table, floor=0)
    assert decision.suggested.tolist() == [1, -1, -1, -1, 0]  # equally unlikely ones: the lowest id stays
    assert decision.weight == pytest.approx([0.9 * 3 / 1.6, 0.5 * 3 / 1.6, 0.2 * 3 / 1.6, 0.2, 1.8])
    assert decide("relabel", table, sure=0.95).suggested.tolist() == [-1] * 5


@pytest.mark.parametrize("sure", [0.5, 0, 1.1])
def test_relabel_wants_another_class_to_be_likelier(sure: float) -> None:
    with pytest.raises(ValueError, match="sure must be"):
        decide("relabel", columns([0]), sure=sure)
