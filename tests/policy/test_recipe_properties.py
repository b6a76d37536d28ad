"""What every recipe promises as it is run, with its own settings, whatever the evidence says."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.recipes import RECIPES
from pipeline.policy.catalogue import RULES
from tests.policy.tables import columns, decide, words
from tests.policy.test_properties import at, counted, images, same

FEW = settings(max_examples=25, deadline=None)

#: Recipes that read evidence of which no column alone makes an image count for more: whole clusters are chosen by how
#: many images they hold, and an image that moves weighs by another class's probability.
NOT_MONOTONE = {"kmeans-large", "relabel"}


@pytest.mark.parametrize("recipe", RECIPES)
@FEW
@given(table=images, data=st.data())
def test_row_order_changes_no_weight_and_every_class_keeps_an_image(
    recipe: str, table: dict[str, np.ndarray], data: st.DataObject
) -> None:
    policy = RECIPES[recipe].policy
    decision = policy.decide(table)
    order = np.array(data.draw(st.permutations(range(len(table["image_id"])))))
    moved = policy.decide(at(table, order))
    same(moved, decision, order)
    kept = counted(decision) > 0
    assert set(table["class_index"][kept].tolist()) == set(table["class_index"].tolist())
    assert "" not in words(decision)


@pytest.mark.parametrize("recipe", RECIPES)
@FEW
@given(table=images)
def test_stages_nest_and_the_first_has_every_class(recipe: str, table: dict[str, np.ndarray]) -> None:
    decision = RECIPES[recipe].policy.decide(table)
    kept = decision.repeats > 0
    stages = [set(np.flatnonzero(kept & (decision.stage <= k)).tolist()) for k in range(int(decision.stage.max()) + 1)]
    assert all(early <= late for early, late in itertools.pairwise(stages))
    assert stages[-1] == set(np.flatnonzero(kept).tolist())
    assert set(table["class_index"][sorted(stages[0])].tolist()) == set(table["class_index"].tolist())


def test_every_recipe_that_reads_evidence_says_in_which_it_is_monotone() -> None:
    reading = {name for name, rule in RULES.items() if rule.evidence(rule.settings())}
    saying = {name for name, rule in RULES.items() if rule.rises or rule.falls}
    assert reading - saying == NOT_MONOTONE
    for name in saying:
        read = {column for own in RULES[name].evidence(RULES[name].settings()).values() for column in own}
        claimed = {*RULES[name].rises, *RULES[name].falls}
        # the texts are read as the settings say: as keywords or by meaning
        assert read & claimed, name


@FEW
@given(
    st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(1, 9))), min_size=1, max_size=20),
    st.integers(20, 60),
    st.one_of(st.none(), st.integers(1, 12)),
)
def test_each_class_is_oversampled_to_the_floor_or_the_ceiling(
    rows: list[tuple[int, int | None]], largest: int, k: int | None
) -> None:
    """All classes at once, with ties and images without a rank; with the recipe's own k, the largest class decides."""
    label, position = zip(*rows, strict=True)
    table = columns(label, largest=largest, position=position)
    decision = RECIPES["top-ranked"].policy.decide(table) if k is None else decide("top-ranked", table, k=k)
    goal = largest if k is None else k
    for number, size in zip(*np.unique(label, return_counts=True), strict=True):
        of_class = np.array(label) == number
        repeats, ranked = decision.repeats[of_class], np.isfinite(table["position"][of_class])
        assert set(repeats.tolist()) <= {goal // size, -(-goal // size)}
        assert repeats.sum() == goal or (size > goal and not ranked.all() and repeats.sum() > goal)
