"""What the page of the review queue shows: pictures, keys to mark them by, and the filled CSV as a download.

What is marked stays in the browser until it is downloaded.
"""

from dataclasses import dataclass
from typing import Any


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
