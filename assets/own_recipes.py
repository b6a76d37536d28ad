"""Recipes that a user puts together in `winnow.toml` from our rules.

    [recipe.mine]
    parts = ["class-reweight", "semantic", { name = "top-ranked", k = 1000 }]

    teachers = ["baseline", { name = "fused", share = 2 }]
    training = { schedule = "step", warmup_epochs = 0 }

Then `mine` is a recipe like any other. Parts work in their order, each on the images that those before it left;
`class-reweight` works last wherever it is named, so that classes are even over what is trained on.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pydantic

from assets.recipes import RECIPES, Recipe, nearest
from models.settings import TrainingSettings
from pipeline.policy.catalogue import RULES
from pipeline.policy.policy import Policy
from pipeline.policy.rule import Part
from pipeline.stages.ensemble import ENSEMBLES

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class OwnRecipe:
    """A recipe as it stands in `winnow.toml`."""

    #: what it is made of, in order: a rule's name, or a table of its `name` and its settings
    parts: tuple[Any, ...]
    #: what `winnow recipes` says of it
    summary: str = ""
    #: whose models it learns from: a recipe's name, or a table of its `name` and its `share` in what they say together
    teachers: tuple[Any, ...] = ()
    #: settings of its training that differ from those of all recipes
    training: Mapping[str, Any] = field(default_factory=dict)


def built(name: str, told: OwnRecipe, training: TrainingSettings) -> Recipe:
    """The recipe that a user means.

    Args:
        name: of the recipe.
        told: what stands under that name.
        training: the settings of all recipes' trainings, which the recipe's own go over.

    Raises:
        ValueError: a name that is taken or unfit, an unknown rule or setting, a bad value; the message names the key.
    """
    key = f"recipe.{name}"
    if name in (*RECIPES, *ENSEMBLES):
        raise ValueError(f"{key}: {name} is a recipe of Winnow's own; call yours otherwise")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{key}: a recipe's name is of a-z, 0-9 and '-', at most 64 characters")
    if not told.parts:
        raise ValueError(f"{key}.parts must name at least one of {', '.join(RULES)}")
    parts = tuple(_part(part, f"{key}.parts[{number}]") for number, part in enumerate(told.parts))
    summary = told.summary or f"{' x '.join(part.rule.name for part in parts)}."
    over = {**dataclasses.asdict(training), **told.training}
    _settings(TrainingSettings, "training", over, f"{key}.training")  # refuses what cannot be
    teachers = tuple(_teacher(teacher, f"{key}.teachers[{number}]") for number, teacher in enumerate(told.teachers))
    return Recipe(
        name=name,
        policy=Policy(parts=parts),
        published=None,
        slide="",
        summary=summary,
        training=told.training,
        teachers=teachers,
    )


def _teacher(told: Any, key: str) -> tuple[str, float]:
    given = {"name": told} if isinstance(told, str) else told
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str) or not set(given) <= {"name", "share"}:
        raise ValueError(f"{key} must be a recipe's name or a table of its name and share, not {told!r}")
    share = given.get("share", 1)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < math.inf:
        raise ValueError(f"{key}.share must be a number above 0, not {share!r}")
    return given["name"], float(share)


def _part(told: Any, key: str) -> Part:
    given = {"name": told} if isinstance(told, str) else told
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ValueError(f"{key} must be a rule's name or a table with a name, not {told!r}")
    name, values = given["name"], {setting: value for setting, value in given.items() if setting != "name"}
    if name not in RULES:
        raise ValueError(f"{key}: unknown rule {name!r}; {nearest(name, RULES)}")
    return Part(rule=RULES[name], settings=_settings(RULES[name].settings, name, values, key))


def _settings(kind: type, name: str, values: Mapping[str, Any], key: str) -> Any:
    known = [item.name for item in dataclasses.fields(kind)]
    for setting in values:
        if setting not in known:
            hint = nearest(setting, known) if known else f"{name} has no settings"
            raise ValueError(f"{key}: unknown key {setting}; {hint}")
    try:
        return pydantic.TypeAdapter(kind).validate_python(dict(values))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        told = first.get("ctx", {}).get("error", first["msg"])
        raise ValueError(f"{key}{'.' + field if field else ''}: {told}") from None
