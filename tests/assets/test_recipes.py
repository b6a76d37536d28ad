"""Recipes by name, and the list of them."""

import dataclasses
from pathlib import Path

import pytest

from assets.recipe_table import recipe_table
from assets.recipes import DEFAULT_RECIPES, RECIPES, recipe_named, teachers_first
from assets.settings import settings_of
from models.settings import TrainingSettings
from pipeline.evidence_tables import EVIDENCE
from pipeline.policy.catalogue import RULES
from pipeline.storage.artifacts import Store, identity

#: The source's tables of parts A to D and F, top-5 accuracy in percent.
PUBLISHED = {
    "official-baseline": 71.49,
    "baseline": 73.6,
    "class-reweight": 74.4,
    "top-ranked": 75.02,
    "kmeans-large": 69.7,
    "kmeans-compact": None,
    "kmeans-size": 74.6,
    "kmeans-top-ranked": 74.8,
    "confused": None,
    "density-clean": 70.8,
    "density-curriculum": 72.3,
    "density-weight": 74.8,
    "hdbscan-weight": None,
    "semantic-only": 65.5,
    "semantic": 75.35,
    "distill-baseline": 74.44,
    "distill-top-ranked": 75.02,
    "distill-ensemble": 77.3,
}


def test_every_row_of_the_source_is_a_recipe() -> None:
    assert {name: RECIPES[name].published for name in PUBLISHED} == PUBLISHED
    assert all(RECIPES[name].slide for name in PUBLISHED)
    assert set(DEFAULT_RECIPES) <= set(RECIPES)


def test_every_rule_is_a_recipe_and_reads_what_there_is() -> None:
    assert [name for name, recipe in RECIPES.items() if not recipe.teachers] == list(RULES)
    for recipe in RECIPES.values():
        assert recipe.summary
        for table, columns in recipe.policy.evidence.items():
            assert set(columns) <= set(EVIDENCE[table].names)


def test_every_rule_tells_its_slide_and_what_makes_it_count_more() -> None:
    for name, rule in RULES.items():
        told = rule.decide.__doc__ or ""
        assert f"`{name}`" in told
        published = RECIPES[name].published
        assert published is None or f"{published:g}" in told
        assert set(rule.rises + rule.falls) <= {c for cs in rule.evidence(rule.settings()).values() for c in cs}


def test_the_official_baseline_has_the_official_schedule() -> None:
    settings = dataclasses.replace(TrainingSettings(), **RECIPES["official-baseline"].training)
    assert (settings.schedule, settings.base_learning_rate, settings.warmup_epochs) == ("step", 0.1, 0)


def test_students_come_after_their_teachers_each_once() -> None:
    assert teachers_first(["distill-baseline", "baseline"], RECIPES) == ["baseline", "distill-baseline"]
    assert teachers_first(["semantic", "distill-ensemble", "distill-top-ranked"], RECIPES) == [
        "semantic",
        "top-ranked",
        "kmeans-top-ranked",
        "density-weight",
        "distill-ensemble",
        "distill-top-ranked",
    ]
    circle = {
        name: dataclasses.replace(RECIPES["baseline"], name=name, teachers=((teacher, 1.0),))
        for name, teacher in (("a", "b"), ("b", "c"), ("c", "b"))
    }
    with pytest.raises(ValueError, match="recipes teach each other: a learns from b learns from c learns from b"):
        teachers_first(["a"], circle)


def test_an_unknown_recipe_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'kmeans-siz'; did you mean kmeans-size\?"):
        recipe_named("kmeans-siz")
    with pytest.raises(ValueError, match="known are baseline, official-baseline"):
        recipe_named("xyzzy")


def test_the_list_tells_what_has_been_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for stage, partition in (
        ("manifest", "semantic"),
        ("manifest", "baseline"),
        ("predictions", "baseline@0"),
        ("predictions", "baseline@1"),
        ("predictions", "mine@1"),
    ):
        store.make(stage, partition, identity(stage, "made up", {}, []), lambda _: {})
    own = {"mine": {"parts": ["semantic", {"name": "top-ranked", "k": 5}]}}
    table = recipe_table(store, settings_of({"recipe": own, "seeds": [0, 1]}, "here"))
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    told = {row[0]: row for row in rows}
    assert list(told) == [*RECIPES, "mine"]
    assert {name: row[5] for name, row in told.items() if row[5] != "no"} == {
        "baseline": "yes",
        "semantic": "weighed",
        "mine": "seed 1",
    }
    assert told["semantic"][1:5] == (
        "Leverage meta information",
        "75.35",
        "An image counts once, and once more as far as its text matches its class.",
        "keyword, semantic",
    )
