"""Texts and class definitions as vectors: how close a text is to its own class, and to the closest other.

Source: slides 23-25, "Semantic matching" (Bag of Tricks for Learning from Web Data, 2019), where BERT encodes both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.evidence.lsa import LsaSettings
from pipeline.evidence.vocabulary import ClassWords

#: The encoder that needs no download.
BUILT_IN: Final = "lsa"
_BLOCK_ROWS: Final = 4096

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]  # n texts -> (n, D), each row of length 1, or 0 where it knows no word


@dataclass(frozen=True, kw_only=True)
class SemanticSettings:
    """What encodes the texts."""

    #: "lsa", the built-in encoder; or a transformer of Hugging Face: a local folder or a name on the hub
    encoder: str = BUILT_IN
    #: tokens of a text that a transformer reads, its own marks among them; what is longer is cut off, at least 3
    tokens: int = 64
    #: of the built-in encoder
    lsa: LsaSettings = field(default_factory=LsaSettings)

    def __post_init__(self) -> None:
        """Refuse what names no encoder or leaves no text."""
        if not self.encoder:
            raise ValueError('semantic.encoder must be "lsa", a folder or a name, not empty')
        if self.tokens < 3:
            raise ValueError(f"semantic.tokens must be at least 3, not {self.tokens}")


@dataclass(frozen=True)
class Encoder:
    """An encoder that is opened when there is something to encode."""

    identity: str  # equal for equal vectors: a hash of everything that they depend on
    open: Callable[[], Encode]
    accelerated: bool = False  # whether a GPU does the work, where there is one


def class_text(own: ClassWords) -> str:
    """What an encoder reads of a class: "lemma, lemma: gloss"."""
    names = ", ".join(own.lemmas)
    return f"{names}: {own.gloss}" if own.gloss else names


@dataclass(frozen=True)
class Closeness:
    """How close n texts are; NaN and -1 where the text has no vector."""

    own: Floats  # (n,) cosine to the own class, [-1, 1]; NaN also where the class has none
    other: Floats  # (n,) largest cosine to another class; NaN also where there is no other
    other_class: npt.NDArray[np.int32]  # (n,) that class, the first of equals; -1 where there is none


def closeness(
    vectors: npt.NDArray[np.floating[Any]], class_vectors: Floats, class_index: npt.NDArray[np.integer[Any]]
) -> Closeness:
    """Compare texts with classes.

    Args:
        vectors: (n, D) of the texts, each of length 1 or 0.
        class_vectors: (C, D) of the classes, each of length 1 or 0.
        class_index: (n,) the class of each text.

    Raises:
        ValueError: the shapes do not go together.
    """
    if vectors.ndim != 2 or vectors.shape[1:] != class_vectors.shape[1:] or len(vectors) != len(class_index):
        raise ValueError(f"vectors {vectors.shape}, classes {class_vectors.shape} and {len(class_index)} labels differ")
    n = len(vectors)
    found = Closeness(np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32), np.full(n, -1, np.int32))
    blank = ~class_vectors.any(axis=1)
    for first in range(0, n, _BLOCK_ROWS):
        rows = slice(first, min(first + _BLOCK_ROWS, n))
        texts, own = vectors[rows].astype(np.float32), class_index[rows]
        cosine = np.clip(texts @ class_vectors.T, -1, 1)
        cosine[~texts.any(axis=1)] = np.nan
        cosine[:, blank] = np.nan
        at = np.arange(len(texts))
        found.own[rows] = cosine[at, own]
        cosine[at, own] = np.nan
        cosine[np.isnan(cosine)] = -np.inf
        best = cosine.argmax(axis=1) if cosine.shape[1] else at
        value = cosine[at, best]
        there = value > -np.inf
        found.other[rows] = np.where(there, value, np.nan)
        found.other_class[rows] = np.where(there, best, -1)
    return found
