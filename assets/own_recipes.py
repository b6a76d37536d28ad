"""Recipes that a user puts together in `winnow.toml` from our rules.

    [recipe.mine]
    parts = ["class-reweight", "semantic", { name = "top-ranked", k = 1000 }]

Then `mine` is a recipe like any other. Parts work in their order, each on the images that those before it left;
`class-reweight` works last wherever it is named, so that classes are even over what is trained on.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from assets.recipes import RECIPES, Recipe, nearest
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


def built(name: str, told: OwnRecipe) -> Recipe:
    """The recipe that a user means.

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
    return Recipe(name=name, policy=Policy(parts=parts), published=None, slide="", summary=summary)


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
