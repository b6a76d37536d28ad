"""The source's tables, and which of our recipes stand in them."""

from pathlib import Path

import pytest

from assets.published import Trained, bag_of, published_tables
from assets.recipes import RECIPES
from assets.settings import settings_of
from pipeline.stages.ensemble import ENSEMBLES
from pipeline.storage.artifacts import Store, identity
from pipeline.storage.draft import Draft, Facts

#: The slides' tables of more than the recipes' own figures, in percent.
NETWORKS = {"ResNet-50 (baseline)": 73.6, "SE-ResNet-50": 73.12, "ResNet-152": 76.61, "ResNet-200": 76.25}
ENSEMBLED = {"Simple ensemble": 80.4, "Learned ensemble": 81.3}


def stand(trained: dict[str, Trained]) -> dict[tuple[str, str], str | None]:
    return {(t.key, row.name): row.recipe for t in published_tables(trained, RECIPES) for row in t.rows}


def test_the_eight_tables_hold_what_the_slides_do() -> None:
    tables = {table.key: table for table in published_tables({}, RECIPES)}
    assert list(tables) == [
        *("training", "pretrained", "imbalance", "clustering", "meta", "networks", "distillation", "ensembles")
    ]
    assert [len(table.rows) for table in tables.values()] == [2, 12, 3, 10, 3, 5, 4, 4]
    assert [row.top5 for row in tables["training"].rows] == [0.7149, 0.736]
    assert {row.name: row.top5 for row in tables["networks"].rows} == {
        **{name: pytest.approx(value / 100) for name, value in NETWORKS.items()},
        "ResNeXt-101": 0.753,
    }
    for row in tables["ensembles"].rows:
        assert row.top5 == pytest.approx(ENSEMBLED[row.name.partition(":")[0]] / 100)
    last = tables["pretrained"].rows[-2]
    assert (last.name, last.top1, last.top5) == ("ResNet-152 (500 epochs)", 0.5269, 0.7569)
    errors = {row.name: (row.top1, row.top5) for row in tables["pretrained"].rows}
    assert errors["ResNet-50 (205 epochs)"] == (0.479, 0.7149)  # the official baseline of the first table


def test_every_recipe_with_a_published_figure_stands_in_a_table() -> None:
    named = {row.recipe for table in published_tables({}, RECIPES) for row in table.rows}
    assert {name for name, recipe in RECIPES.items() if recipe.published is not None} | set(ENSEMBLES) <= named
    assert named - {None} <= {*RECIPES, *ENSEMBLES}


def test_a_network_row_is_given_to_what_trained_it_on_the_same_images() -> None:
    found = stand(
        {
            "class-reweight": Trained("resnet152", 9),  # other images
            "baseline": Trained("resnet152-small", 9),
            "official-baseline": Trained("resnext101_32x8d", 100),
        }
    )
    assert found["networks", "ResNet-152"] == "baseline"
    assert found["networks", "ResNet-50 (baseline)"] is None
    assert found["networks", "ResNeXt-101"] is None
    assert found["pretrained", "ResNeXt-101 (100 epochs)"] == "official-baseline"
    assert stand({"official-baseline": Trained("resnet50", 100)})["pretrained", "ResNet-50 (101 epochs)"] is None


def test_kinds_and_networks_are_those_of_what_was_run(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def build(_: Draft) -> Facts:
        return {"network": "resnet200", "epochs": 3}

    own = {"deep": {"parts": ["baseline"], "training": {"network": "resnet200"}}, "mine": {"parts": ["semantic"]}}
    store.make("model", "deep@1", identity("model", "made up", {}, []), build)
    bag = bag_of(store, ["baseline", "deep"], [1], settings_of({"recipe": own}, "here").known_recipes())
    assert bag.networks == {"deep": "resnet200"}
    assert {row.name: row.recipe for table in bag.tables for row in table.rows}["ResNet-200"] == "deep"
    told = [bag.kinds.get(name) for name in ("baseline", "mine", "distill-baseline", "ensemble-vote", "deep")]
    assert told == ["baseline", "manifest", "student", "ensemble", None]
    assert "official-baseline" not in bag.kinds
