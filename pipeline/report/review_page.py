"""The review queue as one HTML page: pictures, keys to mark them by, and the filled CSV as a download.

Everything a crawl said is escaped, nothing is loaded, and no script runs but the page's own, which its policy names by
its hash. What is marked stays in the browser until it is downloaded.
"""

import base64
import functools
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.report.render import visible


@dataclass(frozen=True)
class ClassOption:
    """A class that a person may name."""

    wnid: str
    name: str


@dataclass(frozen=True)
class Asked:
    """One image of the list; its texts are a crawl's words and untrusted."""

    told: dict[str, Any]  # a row of REVIEW
    line: str  # its line of the CSV without the verdict, safe in a spreadsheet
    uri: str  # of the picture


@dataclass(frozen=True)
class ReviewPage:
    """Everything the page shows."""

    recipe: str
    identity: str  # of the list: what is marked belongs to it
    options: tuple[ClassOption, ...]
    header: str  # of the CSV
    asked: tuple[Asked, ...]


def render_review(page: ReviewPage) -> bytes:
    """The page as UTF-8 HTML; equal pages give equal bytes."""
    style, script = _text_file("report.css") + _text_file("review.css"), _text_file("review.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    html = _template().render(page=page, style=Markup(style), script=Markup(script), policy=policy)  # noqa: S704 - ours
    return html.encode("utf-8", "replace")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text_file(name: str) -> str:
    return resources.files("pipeline.report").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    return environment.get_template("review.html")
