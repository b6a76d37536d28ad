"""Everything the page shows, as plain values: what `render` makes HTML of."""

from dataclasses import dataclass

from pipeline.report.census import ClassRow, CrawlAccount
from pipeline.report.overview import ClassFigure, SourceRow
from pipeline.report.results import Gain, SplitResults
from pipeline.report.sheets import Sheet
from pipeline.report.trust import Calibration, TrustTable


@dataclass(frozen=True)
class RecipeNote:
    """A recipe of the run, and the top-5 in percent that its source published on its own data."""

    name: str
    published: float | None


@dataclass(frozen=True)
class Chart:
    """A picture of figures, and the same said in words."""

    uri: str
    alt: str


@dataclass(frozen=True)
class Charts:
    """Those that could be drawn."""

    accuracy: Chart | None
    curves: tuple[Chart, ...]
    sizes: Chart | None
    weights: Chart | None


@dataclass(frozen=True)
class Verdict:
    """What was found and what it gained; None where the run did not get that far."""

    baseline: str
    weighed: str | None  # the recipe whose weights are shown
    light: float | None  # share of usable training images that look wrong to it
    best: str | None
    split: str | None  # where the gain was measured
    gain: Gain | None


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
class PictureGroup:
    """Sheets of one class that belong together, and how to read them."""

    title: str
    note: str
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True)
class ClassPictures:
    """One class in pictures."""

    row: ClassRow
    groups: tuple[PictureGroup, ...]
    maps: tuple[Chart, ...]


@dataclass(frozen=True)
class ConfusedGroup:
    """Classes that a model takes for each other, and the clusters of all their images together."""

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str, float], ...]  # of a and b: share of both whose images are taken for the other
    clusters: tuple[Sheet, ...]
    more_clusters: int  # not pictured


@dataclass(frozen=True)
class Doubles:
    """Pictures that were listed more than once."""

    told: tuple[str, ...]  # how many, in words
    leaks: tuple[Sheet, ...]  # a sheet for each group that holds training images and images of val or test
    largest: tuple[Sheet, ...]  # a sheet for each of the largest other groups


@dataclass(frozen=True)
class EvidencePart:
    """What the evidence says, over all classes."""

    rows: tuple[SourceRow, ...]
    figures: tuple[ClassFigure, ...]  # each of all classes, in their order
    confused: tuple[ConfusedGroup, ...] | None  # None: nobody has looked
    more_confused: int  # groups that are not pictured
    doubles: Doubles | None  # None: nobody has looked


@dataclass(frozen=True)
class Trust:
    """How right classes and queries are as a whole, and how honest that is."""

    classes: TrustTable
    queries: TrustTable
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
class Page:
    """Everything the page shows, in its order."""

    accounts: tuple[CrawlAccount, ...]
    verdict: Verdict
    recipes: tuple[RecipeNote, ...]
    results: tuple[SplitResults, ...]
    mixed: Mixed | None
    charts: Charts
    class_split: str | None  # the split of the classes' accuracies
    classes: tuple[ClassRow, ...]
    evidence: EvidencePart
    trust: Trust | None  # None: nobody has estimated it
    pictures: tuple[ClassPictures, ...]
    pictured_by: str  # which classes are pictured: those with ...
    omitted: tuple[str, ...]  # names of classes with images but without contact sheets
    quarantine: tuple[DefectExamples, ...]
    tables: tuple[tuple[str, str], ...]  # what it is, pattern of its parts below the store's folder
    stages: tuple[StageCost, ...]
    missing: tuple[str, ...]  # sentences about what no run has made yet
