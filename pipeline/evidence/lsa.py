"""The built-in text encoder: latent semantic analysis of the crawl's own texts and the classes' definitions.

Source: Deerwester et al., Indexing by Latent Semantic Analysis, 1990; weights (1 + ln tf) * idf, rows of length 1,
then the right singular vectors of the sample's matrix (randomised SVD, Halko et al. 2011). Words that stand in the
same texts come to lie close, so that a text of petals and stamens is near the flower's definition without its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.stopwords import STOP_WORDS
from pipeline.evidence.word_keys import KeyTable
from pipeline.evidence.words import Words, split_words

_BLOCK_ROWS: Final = 16_384

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class LsaSettings:
    """How the built-in encoder is fitted."""

    #: dimensions of the vectors, at least 1; fewer where the sample has not as many texts or words
    dimensions: int = 256
    #: words kept, those in the most texts of the sample, at least 1
    words: int = 50_000
    #: seed of the singular value decomposition
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        for name in ("dimensions", "words"):
            if getattr(self, name) < 1:
                raise ValueError(f"semantic.lsa.{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Lsa:
    """A fitted encoder of V words in D dimensions."""

    table: KeyTable  # word key -> column + 1
    idf: Floats  # (V,)
    axes: Floats  # (V, D)

    def encode(self, texts: Sequence[str]) -> Floats:
        """(len(texts), D) vectors of length 1; zeros for a text without a known word."""
        column = pa.array(texts, pa.string())
        vectors = np.zeros((len(texts), self.axes.shape[1]), np.float32)
        for first in range(0, len(texts), _BLOCK_ROWS):
            weights = _weights(split_words(column.slice(first, _BLOCK_ROWS), singular=True), self.table, self.idf)
            projected = weights @ self.axes
            length = np.linalg.norm(projected, axis=1, keepdims=True)
            # What lies across all axes has a length of rounding errors, and no direction.
            np.divide(projected, length, out=vectors[first : first + _BLOCK_ROWS], where=length > 1e-4)
        return vectors


def fit_lsa(sample: Sequence[str], class_texts: Sequence[str], settings: LsaSettings) -> Lsa:
    """Fit the encoder.

    Args:
        sample: distinct texts of the crawl, in an order that does not depend on the crawl's.
        class_texts: names and definition of each class; their words are kept even if they stand there alone.
        settings: how many dimensions and words, which seed.
    """
    from sklearn.utils.extmath import randomized_svd  # noqa: PLC0415 - a second that the command line should not pay

    words = split_words(pa.array([*class_texts, *sample], pa.string()), singular=True)
    keys, texts = _known_words(words, len(class_texts), settings.words)
    table = KeyTable(keys, np.arange(1, len(keys) + 1))
    n = len(words.starts) - 1
    idf = np.log((1 + n) / (1 + texts)).astype(np.float32) + np.float32(1)
    weights = _weights(words, table, idf)
    dimensions = min(settings.dimensions, *weights.shape)
    if dimensions == 0:
        return Lsa(table, idf, np.zeros((len(keys), 1), np.float32))
    _, _, axes = randomized_svd(weights, dimensions, n_iter=4, random_state=settings.seed, flip_sign=False)
    strongest = axes[np.arange(dimensions), np.abs(axes).argmax(axis=1)]
    return Lsa(table, idf, np.ascontiguousarray((axes * np.sign(strongest)[:, None]).T, np.float32))


def _known_words(words: Words, class_texts: int, limit: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The keys of the words worth a column, ascending, and the number of texts with each.

    Worth it: telling, no stop word, and in two texts or in a class's; of those the `limit` in the most texts.
    """
    stop = np.unique(split_words(pa.array(sorted(STOP_WORDS)), singular=True).key)
    telling = np.flatnonzero(words.telling & (KeyTable(stop, np.ones(len(stop), np.int32)).find(words.key) == 0))
    row = np.searchsorted(words.starts, telling, side="right") - 1
    keys, column = np.unique(words.key[telling], return_inverse=True)
    pairs = np.unique(row * max(len(keys), 1) + column)
    texts = np.bincount(pairs % max(len(keys), 1), minlength=len(keys))
    kept = texts > 1
    kept[column[row < class_texts]] = True
    order = np.flatnonzero(kept)
    order = np.sort(order[np.argsort(-texts[order], kind="stable")[:limit]])
    return keys[order], texts[order]


def _weights(words: Words, table: KeyTable, idf: Floats) -> Any:
    """The texts as a sparse float32 matrix (n, V): (1 + ln tf) * idf, rows of length 1 or 0."""
    from scipy.sparse import csr_array  # noqa: PLC0415 - the command line should not pay for it

    column = table.find(words.key)
    known = np.flatnonzero(column)
    row = np.searchsorted(words.starts, known, side="right") - 1
    pairs, count = np.unique(row * max(len(idf), 1) + column[known] - 1, return_counts=True)
    row, column = np.divmod(pairs, max(len(idf), 1))
    value = (1 + np.log(count)) * idf[column]
    n = len(words.starts) - 1
    length = np.sqrt(np.bincount(row, value**2, minlength=n))
    where = np.searchsorted(row, np.arange(n + 1))
    return csr_array(((value / length[row]).astype(np.float32), column, where), shape=(n, len(idf)))
