"""One settings object from a file and the command line; mistakes are refused by name."""

import dataclasses
import json
from pathlib import Path

import pytest

from assets.recipes import RECIPES, recipe_named
from assets.settings import Settings, SettingsError, overridden, read_settings, settings_of


def written(folder: Path, text: str) -> Path:
    path = folder / "winnow.toml"
    path.write_text(text)
    return path


def test_the_command_line_goes_over_the_file_and_both_over_the_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, 'recipes = ["baseline"]\nseeds = [3, 4]\n[training]\nepochs = 7\nnetwork = "resnet34"\n')
    settings = read_settings(file, {"training": {"epochs": 2, "network": None}, "kmeans": {"clusters": None}})
    assert settings.recipes == ("baseline",)
    assert settings.seeds == (3, 4)
    assert (settings.training.epochs, settings.training.network) == (2, "resnet34")
    assert settings.kmeans == Settings().kmeans


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nepoch = 3", "unknown key training.epoch; did you mean training.epochs?"),
        ("recipies = []", "unknown key recipies; did you mean recipes?"),
        ("[zzz]\na = 1", "unknown key zzz; known are confusion, crawl, "),
        ('[training]\nepochs = "three"', "training.epochs: "),
        ("[training]\nepochs = 0", "epochs must be at least 1"),
        ("[kmeans]\nclusters = 0", "kmeans.clusters must be at least 1, not 0"),
        ('recipes = ["kmeans-siz"]', "unknown recipe 'kmeans-siz'; did you mean kmeans-size?"),
        ('[training]\nnetwork = "resnt50"', "network 'resnt50' is unknown: did you mean 'resnet50'?"),
        ("recipes = []", "must each name at least one"),
        ('[evidence]\nfitted_on = "google"', "evidence.fitted_on must be a list, as ['google'], not 'google'"),
        ("seeds = 3", "seeds must be a list, as [3], not 3"),
        ("training = 3", "training must be a table, not 3"),
        ("[training\n", "not valid TOML"),
        ("[run]\nworkers = 0", "run.workers must be at least 1, not 0"),
        ('[run]\nengine = "spark"', "run.engine: Input should be 'local' or 'ray'"),
        ('[run]\nray_address = "auto"', 'run.ray_address is of no use without engine = "ray"'),
        (
            '[recipe.mine]\nparts = ["semantik"]',
            "recipe.mine.parts[0]: unknown rule 'semantik'; did you mean semantic?",
        ),
        (
            '[recipe.mine]\nparts = ["baseline", { name = "top-ranked", kk = 3 }]',
            "recipe.mine.parts[1]: unknown key kk; did you mean k?",
        ),
        (
            '[recipe.mine]\nparts = [{ name = "top-ranked", k = 0 }]',
            "recipe.mine.parts[0]: k must be at least 1, not 0",
        ),
        (
            '[recipe.mine]\nparts = [{ name = "top-ranked", k = "all" }]',
            "recipe.mine.parts[0].k: Input should be a valid integer",
        ),
        (
            '[recipe.mine]\nparts = [{ name = "baseline", k = 1 }]',
            "recipe.mine.parts[0]: unknown key k; baseline has no settings",
        ),
        (
            '[recipe.mine]\nparts = [{ name = "semantic", by = "keywords" }]',
            "recipe.mine.parts[0].by: Input should be 'keyword', 'semantic' or 'both'",
        ),
        ("[recipe.mine]\nparts = [3]", "recipe.mine.parts[0] must be a rule's name or a table with a name, not 3"),
        ("[recipe.mine]\nparts = []", "recipe.mine.parts must name at least one of baseline, "),
        ('[recipe.mine]\nparts = "semantic"', "recipe.mine.parts must be a list, as ['semantic'], not 'semantic'"),
        ('[recipe.mine]\npart = ["semantic"]', "unknown key recipe.mine.part; did you mean recipe.mine.parts?"),
        ("recipe.mine = 3", "recipe.mine must be a table, not 3"),
        ('[recipe.semantic]\nparts = ["baseline"]', "recipe.semantic: semantic is a recipe of Winnow's own"),
        ('[recipe.Mine]\nparts = ["baseline"]', "recipe.Mine: a recipe's name is of a-z, 0-9 and '-'"),
        (
            '[recipe.mine]\nparts = ["baseline"]\nteachers = ["basline"]',
            "unknown recipe 'basline'; did you mean baseline?",
        ),
        (
            '[recipe.mine]\nparts = ["baseline"]\nteachers = ["mine"]',
            "recipes teach each other: mine learns from mine",
        ),
        (
            '[recipe.mine]\nparts = ["baseline"]\nteachers = [{ name = "fused", weight = 2 }]',
            "recipe.mine.teachers[0] must be a recipe's name or a table of its name and share, not ",
        ),
        (
            '[recipe.mine]\nparts = ["baseline"]\nteachers = ["baseline", { name = "fused", share = 0 }]',
            "recipe.mine.teachers[1].share must be a number above 0, not 0",
        ),
        (
            '[recipe.mine]\nparts = ["baseline"]\ntraining = { schedul = "step" }',
            "recipe.mine.training: unknown key schedul; did you mean schedule?",
        ),
        (
            '[recipe.mine]\nparts = ["baseline"]\ntraining = { warmup_epochs = 16 }',
            "recipe.mine.training: warmup_epochs must be in [0, epochs], not 16",
        ),
        (
            'recipes = ["mina"]\n[recipe.mine]\nparts = ["baseline"]',
            "unknown recipe 'mina'; did you mean mine?",
        ),
    ],
)
def test_mistakes_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=r"winnow\.toml: ") as caught:
        read_settings(written(tmp_path, text), {})
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: no such file"):
        read_settings(tmp_path / "absent.toml", {})


def test_settings_survive_being_kept_with_the_store() -> None:
    settings = read_settings(None, {"training": {"epochs": 3}, "seeds": (1, 2)})
    told = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert settings_of(told, "settings.json") == settings


def test_the_launchpad_changes_only_what_it_gives() -> None:
    settings = Settings()
    assert overridden(settings, "kmeans", {"clusters": None, "iterations": None}) == settings
    assert overridden(settings, "kmeans", {"clusters": 3, "seed": None}).kmeans.clusters == 3
    with pytest.raises(SettingsError, match=r"the launchpad: .*at least 1"):
        overridden(settings, "kmeans", {"clusters": 0})


OWN = """
recipes = ["baseline", "mine"]
[recipe.mine]
parts = ["class-reweight", "semantic", { name = "top-ranked", k = 1000 }]
[recipe.weights-of-levels]
parts = [{ name = "density-weight", weights = [1, 0.1] }]
summary = "Steeper."
"""


def test_a_recipe_of_the_user_s_own_is_one_like_any_other(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, OWN), {})
    mine = recipe_named("mine", settings.own_recipes())
    assert [part.rule.name for part in mine.policy.parts] == ["class-reweight", "semantic", "top-ranked"]
    assert mine.policy.parts[2].settings.k == 1000
    assert list(mine.policy.evidence) == ["keyword", "semantic", "rank"]
    assert mine.summary == "class-reweight x semantic x top-ranked."
    assert (mine.published, mine.slide) == (None, "")
    steep = settings.known_recipes()["weights-of-levels"]
    assert (steep.summary, steep.policy.parts[0].settings.weights) == ("Steeper.", (1.0, 0.1))
    assert list(settings.known_recipes()) == [*RECIPES, "mine", "weights-of-levels"]


def test_a_recipe_of_the_user_s_own_is_kept_with_the_store(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, OWN), {"training": {"epochs": 2}})
    told = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert settings_of(told, "settings.json").known_recipes() == settings.known_recipes()
    assert overridden(settings, "kmeans", {"clusters": 3}).recipes == ("baseline", "mine")


def test_a_recipe_of_the_user_s_own_has_its_training_and_its_teachers(tmp_path: Path) -> None:
    text = """
[training]
epochs = 40
[recipe.mine]
parts = ["baseline"]
teachers = ["distill-baseline", { name = "fused", share = 2 }]
[recipe.mine.training]
schedule = "step"
warmup_epochs = 20
"""
    settings = read_settings(written(tmp_path, text), {})
    mine = recipe_named("mine", settings.own_recipes())
    assert mine.teachers == (("distill-baseline", 1.0), ("fused", 2.0))
    assert mine.training == {"schedule": "step", "warmup_epochs": 20}
    kept = settings_of(json.loads(json.dumps(dataclasses.asdict(settings))), "settings.json")
    assert kept.own_recipes() == settings.own_recipes()
