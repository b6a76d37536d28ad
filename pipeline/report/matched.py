"""Which words of an image's text are words of a class, and how much each of them tells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evidence.keyword import inverse_frequency
from pipeline.evidence.vocabulary import Vocabulary
from pipeline.evidence.words import spelled


@dataclass(frozen=True)
class MatchedWord:
    """A word that text and class share."""

    word: str  # as the text spells it, in lower case
    fields: tuple[str, ...]  # of the text: "title", "description", "tags"
    part: str  # of the class: "name", "definition" or "near word"
    texts: int | None  # of the crawls that have it; None where nobody has counted
    idf: float | None  # how rare that is: its weight in the match


def matched(
    fields: Mapping[str, str], label: int, known: Vocabulary, counted: tuple[npt.NDArray[np.int64], int] | None
) -> tuple[MatchedWord, ...]:
    """The words of a class that a text has, the rarest first.

    Args:
        fields: of the text, by name.
        label: the class.
        known: words of all classes.
        counted: (K,) texts with each keyword and the number of texts, or None.
    """
    parts = dict.fromkeys(known.near[label], "near word") | dict.fromkeys(known.gloss[label], "definition")
    parts |= dict.fromkeys((word for lemma in known.lemmas[label] for word in lemma), "name")
    found: dict[str, list[str]] = {}
    for name, words in zip(fields, spelled(list(fields.values()), known.scripts), strict=True):
        for word in dict.fromkeys(words):
            if known.forms.get(word) in parts:
                found.setdefault(word, []).append(name)
    idf = inverse_frequency(*counted) if counted else None
    told = []
    for word, where in found.items():
        keyword = known.forms[word]
        texts = int(counted[0][keyword]) if counted else None
        told.append(
            MatchedWord(word, tuple(where), parts[keyword], texts, float(idf[keyword]) if idf is not None else None)
        )
    return tuple(sorted(told, key=lambda one: -(one.idf or 0)))
