"""The source's eight tables with results: what was published, and which of our recipes stands for each row.

Source: Chen et al., "Bag of Tricks for Learning from Web Data", WebVision workshop 2019. A table is called as its slide
is. All are accuracies on the validation images of WebVision 2.0, of a ResNet-50 where nothing else is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from assets.ensembles import PUBLISHED as ENSEMBLES
from assets.recipes import BASELINE, RECIPES, Recipe
from models.names import SMALL
from pipeline.storage.artifacts import Artifact, Store, seeded
from pipeline.tricks import Bag, Kind, PublishedRow, PublishedTable

OFFICIAL: Final = "official-baseline"


@dataclass(frozen=True)
class _Row:
    """A row of a slide, percent: a recipe's or an ensemble's, or of whatever trained that network on that manifest."""

    name: str
    recipe: str
    top5: float | None
    top1: float | None = None
    network: str | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class _Table:
    key: str
    title: str
    rows: tuple[_Row, ...]


def _named(name: str, recipe: str) -> _Row:
    return _Row(name, recipe, ENSEMBLES[recipe] if recipe in ENSEMBLES else RECIPES[recipe].published)


def _pretrained(network: str, slide: str, epochs: int, top1_error: float, top5_error: float) -> _Row:
    """A network that the challenge's own code trained, on the manifest that it upsamples."""
    name = f"{slide} ({epochs} epochs)"
    return _Row(name, OFFICIAL, round(100 - top5_error, 2), round(100 - top1_error, 2), network, epochs)


_TABLES: Final = (
    _Table(
        "training",
        "Training strategy",
        (_named("Baseline (official)", OFFICIAL), _named("Our baseline", BASELINE)),
    ),
    _Table(
        "pretrained",
        "Pretrained models",
        (
            _pretrained("resnet50", "ResNet-50", 101, 54.28, 30.69),
            _pretrained("resnet50", "ResNet-50", 205, 52.10, 28.51),
            _pretrained("resnet101", "ResNet-101", 100, 52.21, 28.62),
            _pretrained("resnet101", "ResNet-101", 200, 50.12, 26.78),
            _pretrained("resnet101", "ResNet-101", 300, 48.97, 25.74),
            _pretrained("resnet101", "ResNet-101", 500, 48.38, 25.21),
            _pretrained("resnext101", "ResNeXt-101", 100, 50.62, 27.11),
            _pretrained("resnet152", "ResNet-152", 100, 51.23, 27.80),
            _pretrained("resnet152", "ResNet-152", 200, 48.98, 25.75),
            _pretrained("resnet152", "ResNet-152", 300, 48.05, 24.88),
            _pretrained("resnet152", "ResNet-152", 500, 47.31, 24.31),
            _pretrained("se-resnet152", "ResNet-152-SE", 100, 51.61, 28.02),
        ),
    ),
    _Table(
        "imbalance",
        "Handle imbalance: top ranked images + oversampling",
        (
            _named("Baseline", BASELINE),
            _named("Reweight class", "class-reweight"),
            _named("Top-3500 ranked images + oversampling", "top-ranked"),
        ),
    ),
    _Table(
        "clustering",
        "Summary of results based on clustering",
        (
            _named("Baseline", BASELINE),
            _named("Baseline + reweight class", "class-reweight"),
            _named("K-means + choose large cluster", "kmeans-large"),
            _named("K-means + choose compact cluster", "kmeans-compact"),
            _named("K-means + reweight based on cluster size", "kmeans-size"),
            _named("K-means + reweight based on distance to top ranked images", "kmeans-top-ranked"),
            _named("Confused classes clustered together", "confused"),
            _named("Density clustering + choose clean cluster", "density-clean"),
            _named("Density clustering + curriculum learning", "density-curriculum"),
            _named("Density clustering + reweight cluster", "density-weight"),
        ),
    ),
    _Table(
        "meta",
        "Summary of result based on meta information",
        (
            _named("Baseline", BASELINE),
            _named("Semantic Matching", "semantic-only"),
            _named("Baseline + Semantic Matching", "semantic"),
        ),
    ),
    _Table(
        "networks",
        "Model architecture",
        (
            _Row("ResNet-50 (baseline)", BASELINE, RECIPES[BASELINE].published, network="resnet50"),
            _Row("SE-ResNet-50", BASELINE, 73.12, network="se-resnet50"),
            _Row("ResNet-152", BASELINE, 76.61, network="resnet152"),
            _Row("ResNet-200", BASELINE, 76.25, network="resnet200"),
            _Row("ResNeXt-101", BASELINE, 75.3, network="resnext101"),
        ),
    ),
    _Table(
        "distillation",
        "Model distillation",
        (
            _named("baseline", BASELINE),
            _named("Distillation with baseline", "distill-baseline"),
            _named("Distillation with top ranked images + oversampling", "distill-top-ranked"),
            _named("Distillation with ensemble of models", "distill-ensemble"),
        ),
    ),
    _Table(
        "ensembles",
        "Results of ensemble",
        (
            _named("Simple ensemble: majority voting", "ensemble-vote"),
            _named("Simple ensemble: average combination", "ensemble-average"),
            _named("Simple ensemble: vote + average logits", "ensemble-vote-average"),
            _named("Learned ensemble", "ensemble-learned"),
        ),
    ),
)


@dataclass(frozen=True)
class Trained:
    """What a recipe's current model is."""

    network: str
    epochs: int


def bag_of(store: Store, names: Sequence[str], seeds: Sequence[int], known: Mapping[str, Recipe]) -> Bag:
    """The source's tables, with what was run in its rows.

    Args:
        store: with a model of each recipe named.
        names: recipes and ensembles that have been run.
        seeds: of the run.
        known: every recipe, by name.
    """
    made = set(store.partitions("model"))
    trained = {
        name: _trained(store.current("model", seeded(name, seeds[0])))
        for name in names
        if name in known and seeded(name, seeds[0]) in made
    }
    kinds: dict[str, Kind] = dict.fromkeys(ENSEMBLES, "ensemble")
    kinds |= {name: kind for name, recipe in known.items() if (kind := _kind(recipe)) is not None}
    networks = {name: own.network for name, own in trained.items()}
    return Bag(tables=published_tables(trained, known), kinds=kinds, networks=networks)


def published_tables(trained: Mapping[str, Trained], known: Mapping[str, Recipe]) -> tuple[PublishedTable, ...]:
    """The tables as shares; a row of a network is given the first recipe that trained it so.

    Args:
        trained: what each recipe's model is, by name.
        known: every recipe, by name.
    """
    return tuple(
        PublishedTable(
            table.key,
            table.title,
            tuple(
                PublishedRow(row.name, _stands_for(row, trained, known), _share(row.top5), _share(row.top1))
                for row in table.rows
            ),
        )
        for table in _TABLES
    )


def _stands_for(row: _Row, trained: Mapping[str, Trained], known: Mapping[str, Recipe]) -> str | None:
    if row.network is None:
        return row.recipe
    policy = known[row.recipe].policy
    alike: Iterable[str] = (name for name in trained if known[name].policy == policy and not known[name].teachers)
    return next((name for name in alike if _same(row, trained[name])), None)


def _same(row: _Row, trained: Trained) -> bool:
    """Whether that is the row's network, with whichever stem and width, trained as long."""
    own = trained.network.removeprefix("torchvision:").removesuffix(SMALL).partition("_")[0]
    return own == row.network and row.epochs in (None, trained.epochs)


def _kind(recipe: Recipe) -> Kind | None:
    """Its step of the chain; a recipe with a training of its own is none, for its gain is not that of its images."""
    if recipe.name == BASELINE:
        return "baseline"
    if recipe.training:
        return None
    return "student" if recipe.teachers else "manifest"


def _trained(model: Artifact) -> Trained:
    return Trained(model.facts["network"], model.facts["epochs"])


def _share(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 6)
