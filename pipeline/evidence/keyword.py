"""Words of an image's text against the words of the classes.

Source: slides 23-25, "Meta information" (Bag of Tricks for Learning from Web Data, 2019): title, description and tags
are matched with the class's names and definition. For a text t and a class c:

    idf(w)    = ln(1 + (N + 1) / (n(w) + 1))          N distinct texts of the crawl, n(w) of them with the word
    name      = max over lemmas l of c:  sum of idf over the words of l in t  /  sum over all words of l
    S         = gloss * sum of idf over gloss words in t  +  near * sum of idf over near words in t
    context   = S / (S + HALF)
    score     = share * name + (1 - share) * context  where c has a gloss or near words, else name

So all words of "formal shirt" make name 1, and "formal" alone its share. A text that only names the class scores
`share`; what is above needs words of the definition too, which is what tells the flower's *corolla* from the car's.
What one of the class's names adds to a shorter one (Toyota, to corolla) counts as a near word.
Plurals are spelled out beside the keywords; texts are never stemmed. A lemma of several words also counts where it is
written as one (flipflop).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.vocabulary import Vocabulary

#: S at which the context counts half: about the idf of one word that stands in 1% of the texts.
HALF: Final = 5.0
_BLOCK_ROWS: Final = 16_384

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class KeywordSettings:
    """How much the parts of a class's words count."""

    #: share of the score that the class's names make, (0, 1]; the rest is the context's
    name: float = 0.7
    #: weight of a word of the gloss within the context, at least 0
    gloss: float = 0.5
    #: weight of a near word within the context, at least 0
    near: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no share or weight."""
        if not 0 < self.name <= 1:
            raise ValueError(f"keyword.name must be in (0, 1], not {self.name}")
        for part in ("gloss", "near"):
            if not 0 <= getattr(self, part) < np.inf:
                raise ValueError(f"keyword.{part} must be at least 0, not {getattr(self, part)}")


@dataclass(frozen=True)
class Matches:
    """How n texts match; NaN and -1 where the text says nothing."""

    own: npt.NDArray[np.float32]  # (n,) match with the own class, [0, 1]
    other: npt.NDArray[np.float32]  # (n,) best match with another class, [0, 1]
    other_class: npt.NDArray[np.int32]  # (n,) that class, the first of equals; -1 where no other matches


def count_texts(known: Vocabulary, texts: pa.Array | pa.ChunkedArray) -> tuple[Ints, int]:
    """(K,) how many of some texts have each keyword, and how many of them say anything. Give distinct texts."""
    found = known.look_up(texts)
    _, keyword = found.pairs()
    return np.bincount(keyword, minlength=known.size), int(found.says.sum())


def inverse_frequency(frequency: npt.NDArray[np.integer[Any]], texts: int) -> Floats:
    """(K,) idf of the keywords, given how many of so many texts have each."""
    return np.asarray(np.log1p((texts + 1) / (frequency + 1)), np.float64)


class KeywordIndex:
    """Scores texts against all classes of a vocabulary, given how many texts of the crawl have each word."""

    def __init__(
        self, known: Vocabulary, frequency: npt.NDArray[np.integer[Any]], texts: int, settings: KeywordSettings
    ) -> None:
        """Weigh the words.

        Args:
            known: K keywords of C classes.
            frequency: (K,) distinct texts of the crawl that have each keyword.
            texts: distinct texts of the crawl that say anything.
            settings: the weights.
        """
        if frequency.shape != (known.size,):
            raise ValueError(f"frequency must have {known.size} entries, one a keyword, not shape {frequency.shape}")
        self._known = known
        idf = inverse_frequency(frequency, texts)
        parts = _parts(known, idf, settings)
        self._part_class = np.array([part.class_index for part in parts], np.int64)
        self._part_named = np.array([part.named for part in parts], np.bool_)
        keyword = np.array([word for part in parts for word in part.keywords], np.int64)
        order = np.argsort(keyword, kind="stable")
        self._part = np.repeat(np.arange(len(parts)), [len(part.keywords) for part in parts])[order]
        self._weight = np.concatenate([np.zeros(0), *(part.weights for part in parts)])[order]
        self._from = np.searchsorted(keyword[order], np.arange(known.size + 1))  # where a keyword's parts begin
        told = [bool(gloss or near) for gloss, near in zip(known.gloss, known.near, strict=True)]
        self._share = np.where(told, settings.name, 1.0)

    def match(self, texts: pa.Array | pa.ChunkedArray, class_index: npt.NDArray[np.integer[Any]]) -> Matches:
        """Match n texts.

        Args:
            texts: n strings; null says nothing.
            class_index: (n,) the class of each.
        """
        if len(texts) != len(class_index):
            raise ValueError(f"class_index must have {len(texts)} entries, one a text, not {len(class_index)}")
        n = len(texts)
        matches = Matches(np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int32))
        for first in range(0, n, _BLOCK_ROWS):
            rows = slice(first, min(first + _BLOCK_ROWS, n))
            block = self._match_block(texts.slice(first, _BLOCK_ROWS), class_index[rows].astype(np.int64))
            matches.own[rows], matches.other[rows], matches.other_class[rows] = block
        return matches

    def _match_block(self, texts: pa.Array, own: Ints) -> tuple[Floats, Floats, Ints]:
        found = self._known.look_up(texts)
        row, class_index, score = self._scores(*found.pairs())
        unknown = np.where(found.says, 0, np.nan)
        mine, others, best_class = unknown.copy(), unknown.copy(), np.full(len(own), -1, np.int64)
        is_own = class_index == own[row]
        mine[row[is_own]] = score[is_own]
        row, class_index, score = row[~is_own], class_index[~is_own], score[~is_own]
        first = _changes(row)
        if len(first):
            best = np.maximum.reduceat(score, first)
            others[row[first]] = best
            reached = score == np.repeat(best, np.diff([*first, len(row)]))
            best_class[row[first]] = np.minimum.reduceat(np.where(reached, class_index, np.iinfo(np.int64).max), first)
        return mine, others, best_class

    def _scores(self, row: Ints, keyword: Ints) -> tuple[Ints, Ints, Floats]:
        """(text, class, score) of every class that a text has any word of, sorted, from (text, keyword)."""
        count = self._from[keyword + 1] - self._from[keyword]
        at = np.arange(count.sum()) + np.repeat(self._from[keyword] - (np.cumsum(count) - count), count)
        code = (np.repeat(row, count) << 32) | self._part[at]
        order = np.argsort(code, kind="stable")
        code, weight = code[order], self._weight[at][order]
        first = _changes(code)
        if not len(first):
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        row, part = code[first] >> 32, code[first] & 0xFFFFFFFF
        total = np.add.reduceat(weight, first)
        named, class_index = self._part_named[part], self._part_class[part]
        group = _changes((row << 32) | class_index)
        name = np.minimum(np.maximum.reduceat(np.where(named, total, 0), group), 1)
        context = np.add.reduceat(np.where(named, 0, total), group)
        class_index = class_index[group]
        share = self._share[class_index]
        return row[group], class_index, share * name + (1 - share) * context / (context + HALF)


@dataclass(frozen=True)
class _Part:
    """What a class's score is summed from: one of its lemmas, or its context."""

    class_index: int
    named: bool
    keywords: list[int]
    weights: Floats


def _parts(known: Vocabulary, idf: Floats, settings: KeywordSettings) -> list[_Part]:
    """The parts of all classes, those of a class together."""
    parts = []
    for number, (lemmas, gloss, near) in enumerate(zip(known.lemmas, known.gloss, known.near, strict=True)):
        parts += [_Part(number, True, words, idf[words] / idf[words].sum()) for words in lemmas]
        weights = np.concatenate([settings.gloss * idf[gloss], settings.near * idf[near]])
        parts.append(_Part(number, False, [*gloss, *near], weights))
    return parts


def _changes(values: Ints) -> Ints:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])) if len(values) else np.zeros(0, np.int64)
