"""What holds for every rule, and for any parts put together, whatever the evidence says."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.policy.catalogue import RULES
from pipeline.policy.decision import Decision
from pipeline.policy.policy import Policy
from pipeline.policy.rule import Columns
from tests.policy.tables import columns, decide, part, words

SMALL: dict[str, dict[str, Any]] = {"top-ranked": {"k": 4}}  # settings at which a few images matter
CLASSES = 3
FEW = settings(max_examples=40)


def table_of(seed: int, n: int) -> dict[str, np.ndarray]:
    """Images with all evidence there is, drawn as the tables' rules allow it: ties, nulls and edges are frequent."""
    rng = np.random.default_rng(seed)

    def among(*values: float | None) -> list[Any]:
        return [values[i] for i in rng.integers(len(values), size=n)]

    def share() -> list[Any]:
        known = rng.choice([0, 0.25, 0.5, 1, rng.random()], n)
        return [None if missing else value for value, missing in zip(known, rng.random(n) < rng.random(), strict=True)]

    def cosine() -> list[Any]:
        return [None if value is None else float(value * 2 - 1) for value in share()]

    cluster = rng.integers(-1, 4, n)
    return columns(
        rng.integers(CLASSES, size=n).tolist(),
        position=among(None, *range(1, 9)),
        cluster=cluster.tolist(),
        cluster_share=np.where(cluster >= 0, rng.choice([0.01, 0.5, 1], n), 0).tolist(),
        cluster_compactness=share(),
        cluster_top_distance=share(),
        owner_class=among(None, *range(CLASSES)),
        owner_share=share(),
        own_share=share(),
        density_level=rng.integers(-1, 4, n).tolist(),
        hdbscan_cluster=rng.integers(-1, 3, n).tolist(),
        membership=rng.choice([0, 0.5, 1], n).tolist(),
        outlier=rng.choice([0, 0.5, 1], n).tolist(),
        keyword=share(),
        keyword_other=share(),
        semantic=cosine(),
        semantic_other=cosine(),
        agreement=share(),
        confidence=share(),
        opinion_class=among(None, *range(CLASSES)),
        right_probability=share(),
        fused_class=among(None, *range(CLASSES)),
        fused_probability=share(),
    ) | {"image_id": rng.permutation(n)}


images = st.builds(table_of, st.integers(0, 2**32), st.integers(1, 14))


def at(table: Columns, rows: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
    return {name: column[rows] for name, column in table.items()}


def same(moved: Decision, whole: Decision, rows: Sequence[int] | np.ndarray) -> None:
    """That `moved` says of its images what `whole` says of those rows."""
    assert moved.weight == pytest.approx(whole.weight[rows], rel=1e-9)
    for name in ("repeats", "stage", "suggested"):
        assert getattr(moved, name).tolist() == getattr(whole, name)[rows].tolist(), name
    assert words(moved) == [words(whole)[row] for row in rows]


def counted(decision: Decision) -> np.ndarray:
    return np.asarray(decision.weight * decision.repeats)


@pytest.mark.parametrize("rule", RULES)
@FEW
@given(table=images, data=st.data())
def test_row_order_does_not_matter(rule: str, table: dict[str, np.ndarray], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(table["image_id"]))))
    usual = SMALL.get(rule, {})
    same(decide(rule, at(table, order), **usual), decide(rule, table, **usual), order)


@pytest.mark.parametrize("rule", RULES)
@FEW
@given(table=images)
def test_classes_are_judged_apart(rule: str, table: dict[str, np.ndarray]) -> None:
    """So that it does not matter how the classes are cut into stretches."""
    whole = decide(rule, table, **SMALL.get(rule, {}))
    for label in np.unique(table["class_index"]):
        rows = np.flatnonzero(table["class_index"] == label)
        same(decide(rule, at(table, rows), **SMALL.get(rule, {})), whole, rows)


@pytest.mark.parametrize("rule", RULES)
@FEW
@given(table=images)
def test_every_class_that_has_an_image_keeps_one(rule: str, table: dict[str, np.ndarray]) -> None:
    kept = counted(decide(rule, table, **SMALL.get(rule, {}))) > 0
    assert set(table["class_index"][kept].tolist()) == set(table["class_index"].tolist())


@pytest.mark.parametrize("rule", RULES)
@FEW
@given(table=images)
def test_nobody_loses_a_say_without_a_word(rule: str, table: dict[str, np.ndarray]) -> None:
    assert "" not in words(decide(rule, table, **SMALL.get(rule, {})))


#: what each rule has of an image of which nothing is known
NOTHING: dict[str, Any] = {"cluster": -1, "cluster_share": 0, "density_level": -1}
NOTHING |= {"hdbscan_cluster": -1, "membership": 0, "outlier": 1}


@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if rule.evidence(rule.settings())])
@FEW
@given(table=images, data=st.data())
def test_what_is_unknown_counts_as_the_average_does(
    rule: str, table: dict[str, np.ndarray], data: st.DataObject
) -> None:
    image = data.draw(st.integers(0, len(table["image_id"]) - 1))
    for names in RULES[rule].evidence(RULES[rule].settings()).values():
        for name in names:
            table[name] = table[name] if name in NOTHING else table[name].astype(np.float64)
            table[name][image] = NOTHING.get(name, np.nan)
    decision = decide(rule, table, **SMALL.get(rule, {}))
    assert decision.weight[image] == 1
    assert decision.repeats[image] >= 1
    assert (decision.stage[image], decision.suggested[image]) == (0, -1)


MONOTONE = [
    (name, column, direction)
    for name, rule in RULES.items()
    for direction, named in ((1, rule.rises), (-1, rule.falls))
    for column in named
]


@pytest.mark.parametrize(("rule", "column", "direction"), MONOTONE)
@FEW
@given(table=images, data=st.data())
def test_more_evidence_for_an_image_never_makes_it_count_less(
    rule: str, column: str, direction: int, table: dict[str, np.ndarray], data: st.DataObject
) -> None:
    image = data.draw(st.integers(0, len(table["image_id"]) - 1))
    value = table[column][image]
    assume(np.isfinite(value) and value >= (0 if column in NOTHING else -1))
    if rule == "hdbscan-weight":  # of an image that it knows
        assume(table["hdbscan_cluster"][image] >= 0)
    whole = table[column].dtype.kind == "i" or column == "position"
    by = data.draw(st.sampled_from([1, 2, 3] if whole else [0.25, 0.5, 1]))
    more = {name: values.copy() for name, values in table.items()}
    more[column][image] = value + by
    before, after = (counted(decide(rule, t, **SMALL.get(rule, {})))[image] * direction for t in (table, more))
    assert after >= before - 1e-9


@given(st.integers(1, 12), st.integers(1, 30), st.data())
def test_oversampling_gives_every_image_the_floor_or_the_ceiling(n: int, k: int, data: st.DataObject) -> None:
    position = data.draw(st.lists(st.integers(1, 40), min_size=n, max_size=n))
    repeats = decide("top-ranked", columns([1] * n, largest=30, position=position), k=k).repeats
    assert repeats.sum() == k
    assert set(repeats.tolist()) <= {k // n, -(-k // n)}
    best_first = np.argsort(position, kind="stable")
    assert (np.diff(repeats[best_first]) <= 0).all() or len(set(position)) < n


@FEW
@given(images)
def test_curriculum_stages_nest_and_begin_with_every_class(table: dict[str, np.ndarray]) -> None:
    decision = decide("density-curriculum", table)
    stages = [set(np.flatnonzero(decision.stage <= stage).tolist()) for stage in range(int(decision.stage.max()) + 1)]
    assert all(early <= late for early, late in itertools.pairwise(stages))
    assert stages[-1] == set(range(len(decision.weight)))
    assert set(table["class_index"][sorted(stages[0])]) == set(table["class_index"])


@FEW
@given(images, st.lists(st.sampled_from(sorted(RULES)), min_size=1, max_size=4))
def test_parts_put_together_keep_every_class_and_ignore_row_order(
    table: dict[str, np.ndarray], names: list[str]
) -> None:
    policy = Policy(parts=tuple(part(name, **SMALL.get(name, {})) for name in names))
    decision = policy.decide(table)
    kept = counted(decision) > 0
    assert set(table["class_index"][kept].tolist()) == set(table["class_index"].tolist())
    assert "" not in words(decision)
    back = np.argsort(table["image_id"])
    same(policy.decide(at(table, back)), decision, back)
