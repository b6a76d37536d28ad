"""One settings object from a file and the command line; mistakes are refused by name."""

import dataclasses
import json
from pathlib import Path

import pytest

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
        ("[zzz]\na = 1", "unknown key zzz; known are crawl, "),
        ('[training]\nepochs = "three"', "training.epochs: "),
        ("[training]\nepochs = 0", "epochs must be at least 1"),
        ("[kmeans]\nclusters = 0", "kmeans.clusters must be at least 1, not 0"),
        ('recipes = ["kmeans-siz"]', "unknown recipe 'kmeans-siz'; did you mean kmeans-size?"),
        ('[training]\nnetwork = "resnt50"', "network 'resnt50' is unknown: did you mean 'resnet50'?"),
        ("recipes = []", "must each name at least one"),
        ("training = 3", "training must be a table, not 3"),
        ("[training\n", "not valid TOML"),
        ("[run]\nworkers = 0", "run.workers must be at least 1, not 0"),
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
