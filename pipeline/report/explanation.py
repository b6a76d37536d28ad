"""Everything that is told of one image, as plain values: what `render_explanation` makes HTML of."""

from dataclasses import dataclass
from typing import Final

from pipeline.records import Defect
from pipeline.report.image_view import ImageView, Testimony
from pipeline.report.matched import MatchedWord
from pipeline.report.sheets import Sheet

#: What a defect means, for people.
DEFECT_WORDS: Final[dict[Defect, str]] = {
    "missing": "the list names it, but the crawl does not hold it",
    "outside-crawl": "its path leads out of the crawl's folder, or to no plain file",
    "unreadable": "the file could not be read",
    "empty": "the file has no bytes",
    "too-many-bytes": "the file is larger than allowed",
    "unknown-format": "its bytes are of no image format",
    "format-not-allowed": "it is an image of a format that is not allowed",
    "too-many-pixels": "it has more pixels than allowed",
    "broken": "it is truncated or damaged, so that it cannot be decoded",
    "memory": "decoding it took more memory than allowed",
    "timeout": "decoding it took longer than allowed",
    "withdrawn": "it was withdrawn, and nothing of it is kept",
    "crashed": "decoding it killed the decoder",
}


@dataclass(frozen=True)
class Listed:
    """What the listing says of the image; every string is a crawl's and untrusted."""

    image_id: int
    crawl: str
    path: str
    split: str
    class_index: int
    class_name: str
    other_names: tuple[str, ...]  # of the class
    gloss: str
    query: str | None
    source: str | None
    rank: int | None
    title: str
    description: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Move:
    """One thing that moved the probability that the label is right."""

    name: str
    odds: float | None  # added to the log odds; None: it knows nothing of the image
    before: float  # the probability without it and all after it
    after: float


@dataclass(frozen=True)
class RecipeVerdict:
    """What one recipe made of the image."""

    recipe: str
    weight: float
    repeats: int
    stage: int
    kept: bool
    trained_as: str | None  # the class, where it is trained on as another one
    suggested: str | None
    reason: str


@dataclass(frozen=True)
class TextMatch:
    """The words that a text shares with one class."""

    class_name: str
    words: tuple[MatchedWord, ...]


@dataclass(frozen=True)
class Explanation:
    """One image, in the order of the page."""

    listed: Listed
    headline: str
    details: tuple[str, ...]  # sentences beside the headline
    picture: str | None  # address of its pixels; None for an image that cannot be used
    size: tuple[int, int] | None  # width and height as delivered
    testimonies: tuple[Testimony, ...]
    moves: tuple[Move, ...]
    matches: tuple[TextMatch, ...]  # its own class first; empty where its text has not been matched
    sheets: tuple[Sheet, ...]
    recipes: tuple[RecipeVerdict, ...]
    missing: tuple[str, ...]  # what has not been made, and the command that makes it

    @property
    def for_and_against(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The sources that speak for the label, and those against it; one may do both. `fused` is but their sum."""
        asked = [one for one in self.testimonies if one.source != "fused"]
        sides = [
            tuple(one.source for one in asked if any(figure.speaks == side for figure in one.figures))
            for side in ("for", "against")
        ]
        return sides[0], sides[1]

    @property
    def unknown_words(self) -> bool:
        """Whether no class shares a word with the text."""
        return not any(match.words for match in self.matches)


def verdict_words(view: ImageView) -> tuple[str, tuple[str, ...]]:
    """A headline about a usable training image, and sentences that explain it."""
    leak = view.knows("leak") and bool(view["leak"])
    details = ["It repeats a picture of val or test, so no recipe trains on it."] if leak else []
    if not view.knows("right_probability"):
        return "Nobody has estimated yet whether its label is right.", tuple(details)
    right = view["right_probability"]
    how = _how_sure(right)
    if view.named_other("fused_class"):
        share = f"{100 * view['fused_probability']:.0f}%"
        details.insert(0, f"It is rather {view.name('fused_class')}, by {share}.")
    elif right < 0.5:
        details.insert(0, "It seems to be of none of the classes, or nobody can tell of which.")
    return f"Its label is {how}: {_percent(right)} likely.", tuple(details)


def _how_sure(right: float) -> str:
    for least, words in ((0.95, "almost surely right"), (0.7, "probably right"), (0.3, "in doubt")):
        if right >= least:
            return words
    return "probably wrong" if right >= 0.05 else "almost surely wrong"


def _percent(share: float) -> str:
    if share in (0.0, 1.0):
        return f"{100 * share:.0f}%"
    return "below 1%" if share < 0.01 else "above 99%" if share > 0.99 else f"{100 * share:.0f}%"
