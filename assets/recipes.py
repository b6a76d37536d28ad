"""Named, complete recipes: what is weighed how, and what the source published for it."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.policy.catalogue import RULES
from pipeline.policy.policy import Policy
from pipeline.policy.rule import Part

BASELINE: Final = "baseline"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One row of the source's tables, or a user's own."""

    name: str
    policy: Policy
    #: top-5 accuracy on WebVision 2.0 in percent, where the source gives one
    published: float | None
    slide: str
    summary: str
    #: settings of the training that belong to the recipe, over the user's
    training: Mapping[str, Any] = field(default_factory=dict)
    #: recipes whose models of the same seed it learns from, each with its share in what they say together
    teachers: tuple[tuple[str, float], ...] = ()


def _row(name: str, published: float | None, slide: str, summary: str, **training: Any) -> Recipe:
    """The recipe that is one rule with its usual settings."""
    policy = Policy(parts=(Part(rule=RULES[name], settings=RULES[name].settings()),))
    return Recipe(name=name, policy=policy, published=published, slide=slide, summary=summary, training=training)


def _taught(name: str, published: float, summary: str, *teachers: str) -> Recipe:
    """A student, trained on the baseline's manifest."""
    policy = Policy(parts=(Part(rule=RULES[BASELINE], settings=RULES[BASELINE].settings()),))
    shares = tuple((teacher, 1.0) for teacher in teachers)
    return Recipe(
        name=name, policy=policy, published=published, slide="Model distillation", summary=summary, teachers=shares
    )


_TRAINING = "Training strategy"
_BALANCE = "Handle imbalance"
_CLUSTERS = "Clustering: how to use the result?"
_DENSITY = "Density clustering: how to use the result?"
_TEXT = "Leverage meta information"

_ALL = (
    _row(BASELINE, 73.60, _TRAINING, "Every usable image counts the same."),
    _row(
        "official-baseline",
        71.49,
        _TRAINING,
        "Every class is drawn, with replacement, to the size of the largest; rates fall as in WebVision's own code.",
        schedule="step",
        base_learning_rate=0.1,
        warmup_epochs=0.0,
    ),
    _row(
        "class-reweight",
        74.4,
        f"{_BALANCE} - reweight class",
        "An image weighs 1 / (images of its class), so that every class weighs the same.",
    ),
    _row(
        "top-ranked",
        75.02,
        f"{_BALANCE} - top ranked images + oversampling",
        "Each class's 3,500 best-ranked images; smaller classes are seen as often.",
    ),
    _row("kmeans-large", 69.7, _CLUSTERS, "The largest clusters of each class, as few as hold half of it."),
    _row("kmeans-compact", None, _CLUSTERS, "The most compact clusters of each class, as few as hold half of it."),
    _row("kmeans-size", 74.6, _CLUSTERS, "An image weighs as much as its k-means cluster is large within its class."),
    _row(
        "kmeans-top-ranked",
        74.8,
        _CLUSTERS,
        "An image weighs more, the closer its cluster is to its class's top-ranked images.",
    ),
    _row(
        "confused",
        None,
        "Handle noise - clustering",
        "An image weighs as much as its class has of its cluster among confused classes; the owner is suggested.",
    ),
    _row("density-clean", 70.8, _DENSITY, "The densest level of each class."),
    _row("density-curriculum", 72.3, _DENSITY, "The densest level first, then the noisy, then the highly noisy too."),
    _row("density-weight", 74.8, _DENSITY, "An image weighs as its level of density is clean."),
    _row("hdbscan-weight", None, _DENSITY, "An image weighs as HDBSCAN finds it a member of a cluster, no outlier."),
    _row("semantic-only", 65.5, _TEXT, "The images whose text matches their class better than any other."),
    _row("semantic", 75.35, _TEXT, "An image counts once, and once more as far as its text matches its class."),
    _row("agreement-weight", None, "", "An image weighs as many of its nearest neighbours have its label."),
    _row("opinion-weight", None, "", "An image weighs as likely a probe holds its label that never saw it."),
    _row("fused", None, "", "An image weighs as likely its label is right by all evidence together."),
    _row("relabel", None, "", "The same, but what is confidently of another class is trained on as that class."),
    _taught("distill-baseline", 74.44, "Learns from the labels and from the baseline's model.", BASELINE),
    _taught("distill-top-ranked", 75.02, "Learns from the labels and from the model of top-ranked.", "top-ranked"),
    _taught(
        "distill-ensemble",
        77.3,
        "Learns from the labels and from the mean of the source's four best single models.",
        "semantic",
        "top-ranked",
        "kmeans-top-ranked",
        "density-weight",
    ),
)

RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in _ALL}
#: What `winnow run` trains where nothing is said: one recipe more is one training more.
DEFAULT_RECIPES: Final = (BASELINE, "class-reweight", "kmeans-size")


def recipe_named(name: str, own: Mapping[str, Recipe] | None = None) -> Recipe:
    """The recipe of that name, ours or one of a user's own.

    Raises:
        ValueError: there is none; the message gives the nearest valid name.
    """
    known = RECIPES | dict(own or {})
    if name in known:
        return known[name]
    raise ValueError(f"unknown recipe {name!r}; {nearest(name, known)}")


def teachers_first(names: Iterable[str], known: Mapping[str, Recipe]) -> list[str]:
    """The recipes in an order in which each comes after its teachers, who are added where they are missing.

    Raises:
        ValueError: a teacher is unknown, or recipes teach each other.
    """
    ordered: list[str] = []

    def visit(name: str, students: tuple[str, ...]) -> None:
        if name in students:
            raise ValueError(f"recipes teach each other: {' learns from '.join((*students, name))}")
        if name not in ordered:
            for teacher, _ in recipe_named(name, known).teachers:
                visit(teacher, (*students, name))
            ordered.append(name)

    for name in names:
        visit(name, ())
    return ordered


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is none of those known."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
