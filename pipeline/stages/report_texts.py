"""The words by which the shown texts match their class."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.evidence.vocabulary import ClassWords, matched_words
from pipeline.report.choice import Choice, ChoiceGroup
from pipeline.report.class_view import ClassView
from pipeline.stages.report_gallery import Gallery

QUOTED = 120  # characters of a text beside its picture
READ = 20_000  # characters of a text in which matching words are looked for
WORDS = 8  # of those that match, so many are named


def with_words(
    groups: list[list[ChoiceGroup]], views: Sequence[ClassView], gallery: Gallery, words: Sequence[ClassWords]
) -> list[list[ChoiceGroup]]:
    """The groups, with the text itself and the words that matched told of every picture whose text is shown beside it.

    Args:
        groups: of each class.
        views: of the same classes.
        gallery: where the texts lie; only those shown are read.
        words: of all classes.
    """
    shown = [choice.position for own in groups for group in own for choice in group.choices if choice.beside]
    texts = gallery.texts(shown, ("title", "description", "tags"))

    def worded(choice: Choice, view: ClassView) -> Choice:
        if not choice.beside:
            return choice
        shown = [texts[at] for at in choice.position.tolist()]
        matched = map(_named, matched_words([_whole(text) for text in shown], words[view.index]))
        told = [(own, *facts, *_quoted(text)) for own, facts, text in zip(matched, choice.facts, shown, strict=True)]
        return replace(choice, facts=tuple(told))

    return [
        [replace(group, choices=tuple(worded(choice, view) for choice in group.choices)) for group in own]
        for own, view in zip(groups, views, strict=True)
    ]


def _whole(text: dict[str, Any]) -> str:
    return " ".join([text["title"] or "", text["description"] or "", *(text["tags"] or ())])[:READ]


def _named(found: Sequence[str]) -> str:
    """The words of a text that are words of its class, in words."""
    more = f" and {len(found) - WORDS} more" if len(found) > WORDS else ""
    return f"words that match: {', '.join(found[:WORDS])}{more}" if found else "no word matches"


def _quoted(text: dict[str, Any]) -> tuple[str, ...]:
    """What the image is described by beside its title."""
    tags = ", ".join(text["tags"] or ())
    told = [(text["description"] or "")[:QUOTED], f"tags: {tags}"[:QUOTED] if tags else ""]
    return tuple(filter(None, told))
