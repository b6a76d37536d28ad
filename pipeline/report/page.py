"""Everything the pages of the report show, as plain values: what `render` makes HTML of."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.census import ClassRow, CrawlAccount
from pipeline.report.overview import SourceRow
from pipeline.report.results import Gain, ResultRow, SplitResults
from pipeline.report.sheets import Sheet
from pipeline.report.tricks import Tricks
from pipeline.report.trust import Calibration, TrustTable


@dataclass(frozen=True)
class RecipeNote:
    """A recipe: what it does, and the top-5 in percent that its source published on its own data."""

    name: str
    published: float | None = None
    does: str = ""
    slide: str = ""  # where the source tells of it


@dataclass(frozen=True)
class Chart:
    """A picture of figures, and the same said in words."""

    uri: str
    alt: str


@dataclass(frozen=True)
class Frame:
    """What stands around every page."""

    root: str  # from the page to the folder of the entry page: "" or "../"
    here: str  # the entry of the menu that the page belongs to


@dataclass(frozen=True)
class Link:
    """A class, and its page."""

    index: int
    name: str  # untrusted


@dataclass(frozen=True)
class Next:
    """Something to look at: where it is, and why."""

    page: str  # from the entry page
    what: str  # untrusted
    why: str


@dataclass(frozen=True)
class Wrong:
    """How much was wrong; None where nobody has looked."""

    labels: float | None  # share of the training labels that are wrong, by all evidence
    doubles: int | None  # training images that repeat another
    leaks: int | None  # training images that repeat one of val or test
    light: float | None  # share of the usable training images that look wrong to the recipe shown


@dataclass(frozen=True)
class EntryPage:
    """What a busy person reads."""

    classes: int
    accounts: tuple[CrawlAccount, ...]
    wrong: Wrong
    weighed: "RecipePage | None"  # the recipe whose weights are shown
    trained: tuple[str, ...]
    seeds: int
    best: str | None
    baseline: str
    split: str | None  # where the gain was measured
    gain: Gain | None
    accuracy: Chart | None
    lightest: Sheet | None
    each: int  # pictures of a class on it, at most
    worst: tuple[Next, ...]  # classes
    queries: tuple[Next, ...]
    confused: tuple[Next, ...]
    missing: tuple[str, ...]  # sentences about what no run has made yet


Figures = tuple[float | None, ...]  # None where nothing is known


@dataclass(frozen=True)
class ClassTable:
    """Some figures of every class, to search and sort; in several parts where one would be too large."""

    title: str
    note: str
    other: tuple[str, str]  # the other such table: its page and what it is called
    columns: tuple[tuple[str, str], ...]  # heading, and how its figures are shown: count, percent or figure
    rows: Sequence[tuple[ClassRow, Figures]]


@dataclass(frozen=True)
class TricksPart:
    """The source's tables beside ours, the chain, and charts of the gains."""

    told: Tricks
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class ResultsPage:
    """What the recipes reached."""

    baseline: str
    recipes: tuple[RecipeNote, ...]
    others: tuple[RecipeNote, ...]  # not scored, but with a page
    results: tuple[SplitResults, ...]
    mixed: "Mixed | None"
    tricks: TricksPart | None  # None: nothing was put beside the source's tables
    accuracy: Chart | None
    curves: tuple[Chart, ...]


@dataclass(frozen=True)
class Change:
    """How a recipe treats one class."""

    row: ClassRow
    weight: float  # mean of its usable training images
    light: float  # share of them that look wrong


@dataclass(frozen=True)
class RecipePage:
    """One recipe: what it does to the images, and what its models reached."""

    note: RecipeNote
    baseline: str
    kept: float | None  # share of the usable training images that are trained on; None without a manifest
    light: float | None  # share that looks wrong
    moved: int  # images that it would train as another class
    weights: Chart | None
    heaviest: Sheet | None
    lightest: Sheet | None
    lifted: tuple[Change, ...]  # classes of the largest mean weight, largest first
    lowered: tuple[Change, ...]  # of the smallest, smallest first
    doubted: tuple[Change, ...]  # of the largest shares that look wrong
    results: tuple[tuple[SplitResults, ResultRow], ...]  # of each split
    curves: tuple[Chart, ...]


@dataclass(frozen=True)
class MixedPair:
    """Images of one class that a recipe took for another."""

    name: str  # of the true class
    taken_for: str
    times: int
    share: float  # of the class's predictions


@dataclass(frozen=True)
class Mixed:
    """What one recipe mixes up on the first split of the results."""

    recipe: str
    pairs: tuple[MixedPair, ...]  # most often first


@dataclass(frozen=True)
class Doubles:
    """Pictures that were listed more than once."""

    told: tuple[str, ...]  # how many, in words
    leaks: tuple[Sheet, ...]  # a sheet for each group that holds training images and images of val or test
    largest: tuple[Sheet, ...]  # a sheet for each of the largest other groups


@dataclass(frozen=True)
class Trust:
    """How right classes and queries are as a whole, and how honest that is."""

    classes: TrustTable
    queries: TrustTable | None  # None where no search term is told
    levels: bool  # whether the shares have a meaning beside their order
    calibration: Calibration | None  # None: no verdicts to judge by
    diagram: Chart | None  # of its held-out probabilities


@dataclass(frozen=True)
class DefectExamples:
    """Images quarantined for one reason."""

    reason: str
    images: int
    examples: tuple[tuple[str, str, str], ...]  # crawl, path, what the decoder said


@dataclass(frozen=True)
class StageCost:
    """What one stage took when its current partitions were last computed."""

    name: str
    partitions: tuple[str, ...]  # empty for a stage that has none
    seconds: float  # of all partitions together
    peak_mb: float  # of the greatest


@dataclass(frozen=True)
class EvidencePage:
    """What the evidence says of all classes together."""

    rows: tuple[SourceRow, ...]
    trust: Trust | None  # None: nobody has estimated it


@dataclass(frozen=True)
class ImagesPage:
    """Images that are listed more than once, and those that cannot be used."""

    doubles: Doubles | None  # None: nobody has looked
    quarantine: tuple[DefectExamples, ...]
    decoded: bool


@dataclass(frozen=True)
class RunPage:
    """Where everything went, lies, and what it took."""

    accounts: tuple[CrawlAccount, ...]
    sizes: Chart | None
    tables: tuple[tuple[str, str], ...]  # what it is, pattern of its parts below the store's folder
    stages: tuple[StageCost, ...]
    missing: tuple[str, ...]
