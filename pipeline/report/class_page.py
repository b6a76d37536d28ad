"""What the pages of the report show of one class, and of classes that are confused, as plain values."""

from dataclasses import dataclass, replace

from pipeline.report.census import ClassRow
from pipeline.report.page import Chart, Link
from pipeline.report.sheets import Sheet
from pipeline.report.trust import TrustRow


@dataclass(frozen=True)
class PictureGroup:
    """Sheets of one class that belong together, and how to read them."""

    title: str
    note: str
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True)
class ClassFacts:
    """One figure of a class, and where the class stands among all that have it."""

    name: str
    value: float
    percent: bool
    judged: bool  # whether a low one speaks against the labels
    place: int  # from 1, the lowest first
    of: int


@dataclass(frozen=True)
class Confused:
    """A class that another is taken for."""

    other: Link
    tested: float | None  # share of the class's images of `split` that the best recipe takes for it
    opinion: float | None  # share of the training images of both that are taken for the other, out of fold


@dataclass(frozen=True)
class ClassPage:
    """One class: its figures, its queries, what it is confused with, and its pictures."""

    row: ClassRow
    wnid: str
    before: Link | None  # in the catalogue
    after: Link | None
    facts: tuple[ClassFacts, ...]
    recipes: tuple[tuple[str, float | None, float | None, float | None], ...]  # name, mean weight, looks wrong, top-1
    trained: int  # the first so many of them are those asked for
    best: tuple[str, float] | None  # the recipe of the highest top-1 on `split`
    judge: str | None  # the recipe that takes it for other classes
    split: str | None
    shown: str | None  # the recipe whose weights order the pictures
    queries: tuple[TrustRow, ...]  # worst first
    more_queries: int
    confused: tuple[Confused, ...]
    group: int | None  # its confused group
    groups: tuple[PictureGroup, ...]
    maps: tuple[Chart, ...]
    worded: bool = True  # whether it is told what is known of each picture

    def wordless(self) -> "ClassPage":
        """The same without what is known of each picture."""
        groups = tuple(
            replace(group, sheets=tuple(sheet.wordless() if not sheet.beside else sheet for sheet in group.sheets))
            for group in self.groups
        )
        return replace(self, groups=groups, worded=False)


@dataclass(frozen=True)
class GroupLine:
    """Classes that a model takes for each other."""

    number: int  # of its page
    classes: tuple[Link, ...]
    pairs: tuple[tuple[Link, Link, float], ...]  # a, b: share of both whose images are taken for the other


@dataclass(frozen=True)
class GroupPage:
    """The clusters of all images of a confused group together."""

    line: GroupLine
    clusters: tuple[Sheet, ...]
    more_clusters: int  # not pictured
    before: int | None
    after: int | None
