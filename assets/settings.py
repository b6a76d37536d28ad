"""All settings of a run in one object: `winnow.toml`, then the command line over it, kept with the store."""

import dataclasses
import difflib
import functools
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pydantic

from assets.own_recipes import OwnRecipe, built
from assets.recipes import DEFAULT_RECIPES, RECIPES, Recipe, teachers_first
from models.features import FeaturesSettings
from models.search_settings import SearchSettings
from models.settings import TrainingSettings
from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.settings import CrawlSettings
from pipeline.ensemble.learn import EnsembleSettings
from pipeline.evidence.confusion import ConfusionSettings
from pipeline.evidence.density import DensitySettings
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence.hdbscan import HdbscanSettings
from pipeline.evidence.keyword import KeywordSettings
from pipeline.evidence.kmeans import KMeansSettings
from pipeline.evidence.neighbours import NeighbourSettings
from pipeline.evidence.probe import OpinionSettings
from pipeline.evidence.rank import RankSettings
from pipeline.evidence.semantic import SemanticSettings
from pipeline.retraining import RetrainingSettings
from pipeline.storage.artifacts import Store
from pipeline.storage.documents import read_document


class SettingsError(ValueError):
    """A setting is unknown or out of range; the message names it and the file it stands in."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How the work is spread over machines; nothing here changes what comes out of the data stages."""

    #: worker processes and threads of the data stages, at least 1
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    #: training processes (torchrun --nproc-per-node), at least 1
    processes: int = 1
    #: what shares the shards of the data stages out: "local", to this machine; "ray", to the machines of a Ray cluster
    engine: Literal["local", "ray"] = "local"
    #: HOST:PORT of the cluster, or "auto" for the one this machine belongs to; without it, a cluster of `workers` cores
    #: of this machine alone
    ray_address: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        if self.ray_address is not None and self.engine != "ray":
            raise ValueError('run.ray_address is of no use without engine = "ray"')
        for name in ("workers", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"run.{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class PredictionSettings:
    """What every trained model says, beside what it says of the clean splits."""

    #: logits of all training images too: 2 bytes an image and class of disk
    training: bool = False


@dataclass(frozen=True, kw_only=True)
class DeliverySettings:
    """Where new crawls come from."""

    #: folder or address (s3://bucket/prefix) whose subfolders are deliveries, each complete with its `_SUCCESS` marker
    folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvidenceSettings:
    """What images are judged by."""

    #: crawls that the evidence is fitted on, by name, so that those which come later cost their own images alone; all
    #: crawls where none is named
    fitted_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a user can decide; each part's settings are documented beside its algorithm."""

    #: recipes to train, by name
    recipes: tuple[str, ...] = DEFAULT_RECIPES
    #: every recipe is trained once for each
    seeds: tuple[int, ...] = (0,)
    deliveries: DeliverySettings = field(default_factory=DeliverySettings)
    retraining: RetrainingSettings = field(default_factory=RetrainingSettings)
    crawl: CrawlSettings = field(default_factory=CrawlSettings)
    images: DecodeSettings = field(default_factory=DecodeSettings)
    features: FeaturesSettings = field(default_factory=FeaturesSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    duplicates: DuplicateSettings = field(default_factory=DuplicateSettings)
    rank: RankSettings = field(default_factory=RankSettings)
    kmeans: KMeansSettings = field(default_factory=KMeansSettings)
    density: DensitySettings = field(default_factory=DensitySettings)
    hdbscan: HdbscanSettings = field(default_factory=HdbscanSettings)
    neighbours: NeighbourSettings = field(default_factory=NeighbourSettings)
    opinion: OpinionSettings = field(default_factory=OpinionSettings)
    confusion: ConfusionSettings = field(default_factory=ConfusionSettings)
    keyword: KeywordSettings = field(default_factory=KeywordSettings)
    semantic: SemanticSettings = field(default_factory=SemanticSettings)
    fused: FusionSettings = field(default_factory=FusionSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    predictions: PredictionSettings = field(default_factory=PredictionSettings)
    ensemble: EnsembleSettings = field(default_factory=EnsembleSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    run: RunSettings = field(default_factory=RunSettings)
    #: recipes of the user's own, by name
    recipe: dict[str, OwnRecipe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse unknown recipes and empty lists."""
        if not self.recipes or not self.seeds:
            raise ValueError("recipes and seeds must each name at least one")
        known = self.known_recipes()
        members = (name.partition("@")[0] for name in self.ensemble.members)
        teachers_first((*self.recipes, *members, *known), known)  # refuses unknown ones, and a circle of teachers

    def own_recipes(self) -> dict[str, Recipe]:
        """The recipes that `recipe` means, by name."""
        return {name: built(name, told, self.training) for name, told in self.recipe.items()}

    def known_recipes(self) -> dict[str, Recipe]:
        """Ours and the user's own, by name."""
        return RECIPES | self.own_recipes()


def read_settings(file: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Settings of a TOML file with `overrides` over it.

    Args:
        file: a `winnow.toml`, or None for the defaults.
        overrides: nested like the file; None values are left out, so that an option not given changes nothing.

    Raises:
        SettingsError: an unknown key, a wrong type or a value out of range.
    """
    where = str(file) if file is not None else "the command line"
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8")) if file is not None else {}
    except FileNotFoundError:
        raise SettingsError(f"{where}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{where}: not valid TOML: {error}") from None
    return settings_of(_merge(given, overrides), where)


def settings_of(given: Mapping[str, Any], where: str) -> Settings:
    """Settings from a nested mapping that came from `where`.

    Raises:
        SettingsError: an unknown key, a wrong type or a value out of range.
    """
    _refuse_unknown(Settings, given, "", where)
    try:
        return _reader().validate_python(given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "tuple_type":
            found = repr(first["input"])
            raise SettingsError(f"{where}: {key} must be a list, as [{found}], not {found}") from None
        told = first.get("ctx", {}).get("error", first["msg"])
        raise SettingsError(f"{where}: {key + ': ' if key else ''}{told}") from None


@functools.cache
def _reader() -> pydantic.TypeAdapter[Settings]:
    """Built once: it takes a tenth of a second, and every stage reads the settings."""
    return pydantic.TypeAdapter(Settings)


def recorded_settings(store: Store) -> Settings:
    """The settings of the last run over a store, or the defaults."""
    return settings_of(read_document(store.root, "settings", {}), str(store.root / "settings.json"))


def overridden(settings: Settings, section: str, values: Mapping[str, Any]) -> Settings:
    """The settings with some fields of one section replaced; None values change nothing."""
    told = {section: {name: value for name, value in values.items() if value is not None}}
    return settings_of(_merge(dataclasses.asdict(settings), told), "the launchpad")


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        if isinstance(value, Mapping):
            merged[key] = _merge(merged.get(key, {}), value)
        elif value is not None:
            merged[key] = value
    return merged


def _refuse_unknown(kind: type, given: Any, prefix: str, where: str) -> None:
    if not isinstance(given, Mapping):
        raise SettingsError(f"{where}: {prefix.rstrip('.')} must be a table, not {given!r}")
    known = section_types(kind)
    for key, value in given.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
            raise SettingsError(f"{where}: unknown key {prefix}{key}{hint}")
        if dataclasses.is_dataclass(known[key]):
            _refuse_unknown(known[key], value, f"{prefix}{key}.", where)
        elif typing.get_origin(known[key]) is dict and isinstance(value, Mapping):  # of tables under names of any kind
            for name, table in value.items():
                _refuse_unknown(typing.get_args(known[key])[1], table, f"{prefix}{key}.{name}.", where)


@functools.cache
def section_types(kind: type) -> Mapping[str, Any]:
    """The fields of a settings class and their types, `X | None` told as X."""
    hints = typing.get_type_hints(kind)
    return {item.name: _bare(hints[item.name]) for item in dataclasses.fields(kind)}


def _bare(hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        return inner[0] if len(inner) == 1 else hint
    return hint
