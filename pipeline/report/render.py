"""Pages of HTML: everything a crawl said is escaped, nothing is loaded, no script of a crawl can run."""

import base64
import functools
import hashlib
import itertools
from collections.abc import Sequence
from importlib import resources
from typing import Final

import jinja2
from markupsafe import Markup

from pipeline.records import SPLITS
from pipeline.report.comparison import ComparisonPage
from pipeline.report.explanation import Explanation
from pipeline.report.page import ClassTable, Frame
from pipeline.report.review_page import ReviewPage
from pipeline.visible import visible

_SHORT: Final = 80  # where many stand on one page
PART: Final = 1_700_000  # bytes of the rows of one page


def render_page(template: str, frame: Frame, page: object) -> bytes:
    """A page of the report as UTF-8 HTML; equal pages give equal bytes."""
    return _html(template, "site.css", frame=frame, page=page, splits=SPLITS)


def render_classes(frame: Frame, table: ClassTable, file: str) -> dict[str, bytes]:
    """The pages of a table of classes, by file name: as many as hold it with each below PART bytes.

    Args:
        frame: around each.
        table: a row per class.
        file: of the first part, without its ending.
    """
    line = _templates().get_template("class_lines.html").module.line  # type: ignore[attr-defined]
    lines = [line(row, figures, table.columns) for row, figures in table.rows]
    parts = _parted([len(one.encode()) for one in lines], PART)
    names = [f"{file}.html", *(f"{file}-{number}.html" for number in range(2, len(parts) + 1))]
    links = [(name, table.rows[part.start][0].name if part else "") for name, part in zip(names, parts, strict=True)]
    script = _text_file("classes.js")
    shown = {"title": table.title, "note": table.note, "other": table.other, "columns": table.columns}
    return {
        name: _html(
            "classes.html",
            "site.css",
            script,
            frame=frame,
            page=shown
            | {"lines": Markup("").join(lines[part.start : part.stop]), "part": k + 1}
            | {"links": links if len(links) > 1 else []},
        )
        for k, (name, part) in enumerate(zip(names, parts, strict=True))
    }


def _parted(sizes: Sequence[int], limit: int) -> list[range]:
    """Runs of rows that stay within `limit` bytes together; one at least, a row is never cut."""
    edges, total = [0], 0
    for k, size in enumerate(sizes):
        if total + size > limit and k > edges[-1]:
            edges.append(k)
            total = 0
        total += size
    return [range(first, last) for first, last in itertools.pairwise([*edges, len(sizes)])]


def render_explanation(explanation: Explanation) -> bytes:
    """The page about one image, by the same rules."""
    return _html("explain.html", told=explanation)


def render_comparison(page: ComparisonPage) -> bytes:
    """The page about two manifests, by the same rules."""
    return _html("comparison.html", page=page)


def render_review(page: ReviewPage) -> bytes:
    """The page that asks people: the only one with a script, its own, which the policy names by its hash."""
    return _html("review.html", "review.css", _text_file("review.js"), page=page)


def _html(template: str, more_style: str = "", script: str = "", **shown: object) -> bytes:
    style = _text_file("report.css") + (_text_file(more_style) if more_style else "")
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
    policy += f"script-src '{_digest(script)}'; " if script else ""
    policy += "base-uri 'none'; form-action 'none'"
    ours = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - no word of a crawl is in them
    html = _templates().get_template(template).render(policy=policy, **ours, **shown)
    return html.encode()


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def short(text: str) -> str:
    """A text made visible, cut where many stand on one page."""
    return visible(text, _SHORT)


def counted(number: int, one: str, many: str = "") -> str:
    """`1 image`, `1,200 images`; `many` where the plural is not formed by an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


@functools.cache
def _text_file(name: str) -> str:
    return resources.files("pipeline.report").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "short": short,
        "count": _count,
        "counted": counted,
        "percent": _percent,
        "points": _points,
        "seconds": _seconds,
        "memory": _memory,
        "words": words,
        "figure": figure,
    }
    return environment


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


def words(items: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def figure(value: float) -> str:
    """A figure of any size with three digits that count, at most three of them decimals."""
    if value == round(value):
        digits = 0
    else:
        digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")
