"""The words of the classes: names, definitions and near words, in every spelling that a text may have them in."""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.plurals import plurals, singular
from pipeline.evidence.stopwords import STOP_WORDS
from pipeline.evidence.word_keys import KeyTable, word_keys
from pipeline.evidence.words import LONGEST_WORD, Words, once, scripts_of, spelled, split_words

#: Gloss and near words that more classes share than this, and than SHARED_PART of all, tell no class from another.
SHARED_CLASSES: Final = 5
SHARED_PART: Final = 0.02
_STOP: Final = -1  # the table's value of a stop word


@dataclass(frozen=True)
class ClassWords:
    """What a class is called, as the catalogue has it."""

    lemmas: Sequence[str]
    gloss: str | None = None
    near: Sequence[str] = ()


@dataclass(frozen=True)
class Vocabulary:
    """The words of all C classes: K keywords, numbered from 0; singular and plural are one keyword."""

    forms: dict[str, int]  # spelling -> keyword
    size: int  # K
    lemmas: list[list[list[int]]]  # of each class, the distinct keywords of each lemma
    gloss: list[list[int]]  # of each class, distinct, none of its lemmas'
    near: list[list[int]]  # of each class, distinct, and what a lemma adds to a shorter one: Toyota, to corolla
    scripts: tuple[str, ...]  # that the classes' words are written in

    @functools.cached_property
    def _table(self) -> KeyTable:
        stop = sorted(STOP_WORDS - self.forms.keys())
        values = np.array([*(number + 1 for number in self.forms.values()), *[_STOP] * len(stop)])
        return KeyTable(word_keys([*self.forms, *stop]), values)

    def look_up(self, texts: pa.Array | pa.ChunkedArray) -> "LookedUp":
        """The keywords of n texts."""
        words = split_words(texts, self.scripts)
        value = self._table.find(words.key)
        return LookedUp(words, value - 1, words.any((value > 0) | (words.telling & (value == 0))))


@dataclass(frozen=True)
class LookedUp:
    """The w words of n texts, as a vocabulary knows them."""

    words: Words
    keyword: npt.NDArray[np.int32]  # (w,) negative where the word is none
    says: npt.NDArray[np.bool_]  # (n,) whether the text has any word that tells something in a script we read

    def pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(text, keyword) of every keyword that a text has, once each, sorted."""
        hits = np.flatnonzero(self.keyword >= 0)
        row = np.searchsorted(self.words.starts, hits, side="right") - 1
        both = once(np.sort((row << 32) | self.keyword[hits]))
        return both >> 32, both & 0xFFFFFFFF


def vocabulary(classes: Sequence[ClassWords]) -> Vocabulary:
    """Number the words of the catalogue.

    Lemmas keep all their words. Stop words of glosses and near words are left out, and so is what more than
    SHARED_CLASSES classes, and more than SHARED_PART of all, have there.
    """
    names = [_lemmas(own.lemmas) for own in classes]
    told = [_content(words) for words in spelled([own.gloss or "" for own in classes])]
    close = [_content(words) for words in spelled([" . ".join(own.near) for own in classes])]
    forms = _forms({word for own in names for lemma in own for word in lemma}.union(*told, *close))
    lemmas = [[sorted({forms[word] for word in lemma}) for lemma in own] for own in names]
    named = [{keyword for lemma in own for keyword in lemma} for own in lemmas]
    gloss = [{forms[word] for word in words} - own for words, own in zip(told, named, strict=True)]
    near = [{forms[word] for word in words} - own for words, own in zip(close, named, strict=True)]
    near = [words - own | _added(names) for words, own, names in zip(near, gloss, lemmas, strict=True)]
    classes_of = Counter(keyword for pair in zip(gloss, near, strict=True) for keyword in pair[0] | pair[1])
    shared = {keyword for keyword, n in classes_of.items() if n > max(SHARED_CLASSES, SHARED_PART * len(classes))}
    return Vocabulary(
        forms,
        max(forms.values(), default=-1) + 1,
        lemmas,
        [sorted(words - shared) for words in gloss],
        [sorted(words - shared) for words in near],
        scripts_of([text for own in classes for text in (*own.lemmas, own.gloss or "", *own.near)]),
    )


def says_something(texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """(n,) whether a text, of any script, holds a word that is neither a stop word nor a number, code or file name."""
    words = split_words(texts)
    return words.any(words.telling & (_stop_table().find(words.key) == 0))


@functools.cache
def _stop_table() -> KeyTable:
    stop = sorted(STOP_WORDS)
    return KeyTable(word_keys(stop), np.full(len(stop), _STOP))


def matched_words(texts: Sequence[str], own: ClassWords) -> list[tuple[str, ...]]:
    """The words of each text that are words of their class, as `spelled` has them, in their order, each once."""
    known = vocabulary([own])
    return [
        tuple(dict.fromkeys(word for word in words if word in known.forms)) for words in spelled(texts, known.scripts)
    ]


def _lemmas(lemmas: Sequence[str]) -> list[list[str]]:
    """The words of each lemma, and of each of several words also the one word they make: tags are often so written."""
    found = [words for words in spelled(lemmas) if words]
    joined = ["".join(words) for words in found if len(words) > 1]
    return [*found, *([word] for word in joined if [word] not in found and len(word.encode()) <= LONGEST_WORD)]


def _added(lemmas: Sequence[Sequence[int]]) -> set[int]:
    """The keywords of lemmas that hold a shorter one, without those of the lemmas that hold none."""
    sets = [set(lemma) for lemma in lemmas]
    longer = [one for one in sets if any(other < one for other in sets)]
    return set().union(*longer).difference(*(one for one in sets if one not in longer))


def _content(words: Sequence[str]) -> set[str]:
    return {word for word in words if word not in STOP_WORDS and len(word) > 1}


def _forms(words: Iterable[str]) -> dict[str, int]:
    """Every spelling of a keyword: its singular, its plural, and as the classes have it."""
    own = sorted(words)
    number = {word: i for i, word in enumerate(sorted({singular(word) for word in own}))}
    derived = {plural: number[word] for word in reversed(number) for plural in plurals(word)}
    return derived | {word: number[singular(word)] for word in own} | number
