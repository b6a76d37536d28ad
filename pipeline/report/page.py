"""The report as one HTML page: everything a crawl said is escaped, nothing is loaded, no script can run."""

import base64
import functools
import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

import jinja2
from markupsafe import Markup

from pipeline.records import SPLITS
from pipeline.report.census import LIGHT, ClassRow, CrawlAccount
from pipeline.report.results import Gain, SplitResults
from pipeline.report.sheets import Sheet

#: Control, format (bidirectional overrides among them), private and unassigned characters, line and paragraph ends.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LONGEST: Final = 300  # characters shown of any text of a crawl


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
class ClassPictures:
    """One class's contact sheets."""

    row: ClassRow
    ends: tuple[Sheet, ...]  # heaviest, lightest
    clusters: tuple[Sheet, ...]  # largest first
    more_clusters: int  # not pictured


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
    charts: Charts
    class_split: str | None  # the split of the classes' accuracies
    classes: tuple[ClassRow, ...]
    pictures: tuple[ClassPictures, ...]
    omitted: tuple[str, ...]  # names of classes with images but without contact sheets
    quarantine: tuple[DefectExamples, ...]
    tables: tuple[tuple[str, str], ...]  # what it is, pattern of its parts below the store's folder
    stages: tuple[StageCost, ...]
    missing: tuple[str, ...]  # sentences about what no run has made yet


def render(page: Page) -> bytes:
    """The page as UTF-8 HTML; equal pages give equal bytes."""
    style = _text_file("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    html = _template().render(page=page, style=Markup(style), policy=policy, splits=SPLITS, light_limit=LIGHT)  # noqa: S704
    return html.encode()


def visible(text: str) -> str:
    """The text with every character that hides, reorders or breaks lines spelt out, cut at 300 characters.

    What comes back is still plain text: the template escapes it.
    """
    shown = "".join(
        f"\N{MATHEMATICAL LEFT ANGLE BRACKET}U+{ord(mark):04X}\N{MATHEMATICAL RIGHT ANGLE BRACKET}"
        if unicodedata.category(mark) in _UNSEEN
        else mark
        for mark in text[:_LONGEST]
    )
    return shown if len(text) <= _LONGEST else f"{shown}…"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 image`, `1,200 images`; `many` where the plural is not formed by an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _text_file(name: str) -> str:
    return resources.files("pipeline.report").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "visible": visible,
        "count": _count,
        "counted": counted,
        "percent": _percent,
        "points": _points,
        "seconds": _seconds,
        "memory": _memory,
        "words": _words,
    }
    return environment.from_string(_text_file("report.html"))


def _count(number: int) -> str:
    return f"{number:,}"


def _percent(share: float | None, digits: int = 1) -> str:
    return "\N{EN DASH}" if share is None else f"{100 * share:.{digits}f}"


def _points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def _seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _memory(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def _words(items: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
