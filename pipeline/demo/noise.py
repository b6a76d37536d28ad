"""What the demo's searches find: how often they are right, how they go wrong, which files are copies or broken."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np

from pipeline.demo.catalogue import CLASS_OF, CLASSES, QUERIES, DemoClass
from pipeline.demo.scenes import STRANGERS
from pipeline.records import Split

Kind = Literal["right", "confusable", "other-sense", "cross-class", "no-class", "undecodable"]
Damage = Literal["truncated", "empty", "html", "missing"]
DAMAGES: Final[tuple[Damage, ...]] = get_args(Damage)

NO_CLASS: Final = -1
UNDECODABLE: Final = -2

#: Sources, and the share of a query's results each delivers.
SOURCES: Final = {"google": 0.6, "flickr": 0.4}
#: Share of right results at a query's first rank, and by how much it has fallen at its last.
PRECISION_TOP, PRECISION_FALL = 0.85, 0.30
#: By how much the bare word with two meanings is less often right.
AMBIGUITY = 0.15
#: Of the wrong results of a class with an other sense: share that shows it, for the bare word and for other queries.
OTHER_SENSE_BARE, OTHER_SENSE = 0.8, 0.3
#: The remaining wrong results.
_WRONG: Final[dict[Kind, float]] = {"confusable": 0.4, "cross-class": 0.25, "no-class": 0.35}
#: Images of the largest class for each of the smallest.
IMBALANCE = 4.0
COPIES, BROKEN = 0.03, 0.0125
_EXTENSIONS: Final = {"jpg": 0.94, "png": 0.02, "gif": 0.02, "webp": 0.02}

# What a generator is for: one stream each, so that a draw more for the text leaves the picture as it was.
PLAN, PICTURE, TEXT, FILE = range(4)


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """How much is drawn, and from which seed."""

    #: Every picture and word follows from it. At least 0.
    seed: int = 7
    #: Listed training images, broken files and copies among them. At least 500: fewer leave some kind of error out.
    train_images: int = 2400
    #: Clean images, spread evenly over the classes. At least one a class.
    val_images: int = 250
    test_images: int = 350

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, least in (("seed", 0), ("train_images", 500), ("val_images", 10), ("test_images", 10)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One listed file: where it stands in the crawl, and what it truly is."""

    number: int  # unique in the crawl; keys every random draw
    split: Split
    label: int  # class index the crawl gives it
    scene: str
    kind: Kind
    source: str = ""  # val and test were not searched for: no source, query or rank
    query: int = 0  # query id, 1-based
    rank: int = 0  # 1-based among the query's results at the source
    extension: str = "jpg"
    copy_of: int | None = None  # number of the shot that it repeats
    damage: Damage | None = None

    @property
    def true_label(self) -> int:
        """Class index of what is to be seen, NO_CLASS or UNDECODABLE."""
        return UNDECODABLE if self.damage else CLASS_OF.get(self.scene, NO_CLASS)

    @property
    def path(self) -> str:
        """The file's place in the crawl."""
        if self.split == "train":
            return f"{self.source}/q{self.query:04d}/{self.number:05d}.{self.extension}"
        return f"{self.split}_images/{self.split}{self.number:06d}.{self.extension}"


def generator(seed: int, number: int, stream: int) -> np.random.Generator:
    """The random numbers of one image and purpose, whatever is drawn before or after it."""
    return np.random.default_rng([seed, number, stream])


def plan(settings: DemoSettings) -> list[Shot]:
    """Every listed file of the crawl: the results in order of class, query, source and rank, then val and test."""
    shots: list[Shot] = []
    for label, size in enumerate(class_sizes(settings.train_images)):
        originals: list[Shot] = []
        for query, source, results in _searches(label, size):
            for rank in range(1, results + 1):
                rng = generator(settings.seed, len(shots), PLAN)
                scene, kind = _find(rng, CLASSES[label], query, (rank - 1) / max(results - 1, 1))
                found = Shot(
                    number=len(shots),
                    split="train",
                    source=source,
                    query=query,
                    rank=rank,
                    label=label,
                    scene=scene,
                    kind=kind,
                    extension=str(rng.choice(list(_EXTENSIONS), p=list(_EXTENSIONS.values()))),
                )
                shot = _spoil(rng, found, originals)
                shots.append(shot)
                if shot is found:
                    originals.append(shot)
    shots += _clean("val", settings.val_images, len(shots))
    shots += _clean("test", settings.test_images, len(shots))
    return shots


def _clean(split: Split, images: int, first: int) -> list[Shot]:
    """Rightly labelled images numbered from `first`, class after class in turn."""
    labels = [place % len(CLASSES) for place in range(images)]
    return [
        Shot(number=number, split=split, label=label, scene=CLASSES[label].scene, kind="right")
        for number, label in enumerate(labels, start=first)
    ]


def class_sizes(images: int) -> list[int]:
    """How many of the images each class gets: falling evenly (in ratio) from first to last, IMBALANCE to 1."""
    weights = IMBALANCE ** -np.linspace(0, 1, len(CLASSES))
    ends = np.round(np.cumsum(weights) / weights.sum() * images).astype(int)
    return [int(size) for size in np.diff(ends, prepend=0)]


def precision(place: float, *, ambiguous: bool) -> float:
    """Probability that a result is right; `place` 0 at the first rank, 1 at the last."""
    return PRECISION_TOP - PRECISION_FALL * place - (AMBIGUITY if ambiguous else 0)


def _searches(label: int, size: int) -> Iterator[tuple[int, str, int]]:
    """(query id, source, number of results) of one class; the numbers add up to `size`."""
    queries = [number for number, (index, _) in enumerate(QUERIES, start=1) if index == label]
    shares = [(query, source, share / len(queries)) for query in queries for source, share in SOURCES.items()]
    ends = np.round(np.cumsum([share for *_, share in shares]) * size).astype(int)
    for (query, source, _), results in zip(shares, np.diff(ends, prepend=0), strict=True):
        yield query, source, int(results)


def _find(rng: np.random.Generator, wanted: DemoClass, query: int, place: float) -> tuple[str, Kind]:
    """The scene a search result shows, and in which way that is right or wrong."""
    bare = bool(wanted.other_sense) and QUERIES[query - 1][1] == wanted.queries[0]
    if rng.random() < precision(place, ambiguous=bare):
        return wanted.scene, "right"
    if wanted.other_sense and rng.random() < (OTHER_SENSE_BARE if bare else OTHER_SENSE):
        return str(rng.choice(wanted.other_sense)), "other-sense"
    kind = list(_WRONG)[rng.choice(len(_WRONG), p=list(_WRONG.values()))]
    if kind == "confusable":
        return wanted.confusable, kind
    if kind == "no-class":
        return str(rng.choice(STRANGERS)), kind
    return str(rng.choice(sorted(CLASS_OF.keys() - {wanted.scene, wanted.confusable, *wanted.other_sense}))), kind


def _spoil(rng: np.random.Generator, found: Shot, originals: list[Shot]) -> Shot:
    """The result as delivered: mostly as it is, now and then a copy of an earlier one of its class, or broken."""
    fate = rng.random()
    if fate < BROKEN:
        damage = DAMAGES[rng.integers(len(DAMAGES))]
        return replace(found, kind="undecodable", extension="jpg", damage=damage)
    if fate < BROKEN + COPIES and originals:
        first = originals[rng.integers(len(originals))]
        return replace(found, scene=first.scene, kind=first.kind, extension="jpg", copy_of=first.number)
    return found
