"""Texts to words, a column at a time: letters of any script, lower case, without accents, entities, tags, addresses.

What is plain ASCII, nearly everything, is cut with a few passes of numpy over the column's bytes and no loop over
rows. Other rows are first written anew by Arrow's Unicode functions. Only two kinds of row are touched one by one in
Python: those with an HTML entity, and those in a script without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese),
whose runs become overlapping pairs of characters.

A word is known by a 64-bit key: the bytes themselves up to 8 of them, a hash beyond.
"""

import html
import html.entities
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evidence.word_keys import Keys, keys_at

#: Characters read of each title, description and list of tags; what comes after tells no more of the picture.
FIELD_CHARACTERS: Final = 4096
#: Bytes of the longest word; anything longer is an address or a code, and is no word.
LONGEST_WORD: Final = 64
_SCRIPTS: Final = """
Latin Greek Cyrillic Armenian Hebrew Arabic Syriac Thaana Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu
Kannada Malayalam Sinhala Thai Lao Tibetan Myanmar Georgian Ethiopic Khmer Mongolian Hangul Hiragana Katakana Han
"""
#: Scripts as Unicode names them: which of them the classes use decides what a reader of their language understands.
SCRIPTS: Final = tuple(_SCRIPTS.split())

_BLOCK_ROWS: Final = 16_384  # at usual lengths the passes over a block stay in the processor's cache
_ENTITY: Final = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});"
_ENTITY_RUN: Final = re.compile(_ENTITY)
_MARKUP: Final = r"</?[A-Za-z!][^<>]{0,512}>|(?:https?|ftp)://[^\s<>]+"
# Accents, emoji selectors and what cannot be seen: bidirectional marks, joiners, soft hyphens.
_UNSEEN: Final = r"[\x{0300}-\x{036f}\x{20d0}-\x{20ff}\x{fe00}-\x{fe0f}\x{e0100}-\x{e01ef}\p{Cf}]+"
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED_RUN: Final = re.compile(f"[{_UNSPACED}]+")
_EVERY_SCRIPT: Final = r"\p{L}\p{M}"


@dataclass(frozen=True)
class Words:
    """The w words of n texts, one after another."""

    key: Keys  # (w,) equal words have equal keys
    telling: npt.NDArray[np.bool_]  # (w,) False: one letter, a number, a file's number, a hash or a code
    starts: npt.NDArray[np.int64]  # (n + 1,) where each text's words begin

    def any(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """(n,) whether any of a text's words is chosen, (w,)."""
        so_far = np.concatenate([[0], np.cumsum(chosen)])
        found: npt.NDArray[np.bool_] = so_far[self.starts[1:]] > so_far[self.starts[:-1]]
        return found


@dataclass(frozen=True)
class _Cut:
    """Where the words of a block of texts lie."""

    folded: npt.NDArray[np.uint8]  # lower case; readable 8 bytes past the last word
    begin: npt.NDArray[np.int64]  # (w,)
    length: npt.NDArray[np.int64]  # (w,) bytes
    telling: npt.NDArray[np.bool_]  # (w,)
    starts: npt.NDArray[np.int64]  # (n + 1,)


def split_words(
    texts: pa.Array | pa.ChunkedArray, scripts: Collection[str] = SCRIPTS, *, singular: bool = False
) -> Words:
    """The words of each text.

    Args:
        texts: n strings; null is an empty one.
        scripts: names of SCRIPTS; letters of others part words and are lost. All of them: any letter counts.
        singular: drop the s of a word of four letters or more that does not end in ss, us or is.

    Returns:
        Keys of the words in their order. Words of more than LONGEST_WORD bytes are left out.
    """
    cuts = list(_cuts(texts, scripts))
    keys = []
    for cut in cuts:
        length = _without_s(cut) if singular else cut.length
        keys.append(keys_at(cut.folded, cut.begin, length))
    ends = np.cumsum([0, *(len(cut.begin) for cut in cuts)])
    starts = [cut.starts[:-1] + end for cut, end in zip(cuts, ends, strict=False)]
    return Words(
        np.concatenate([np.zeros(0, np.uint64), *keys]),
        np.concatenate([np.zeros(0, np.bool_), *(cut.telling for cut in cuts)]),
        np.concatenate([*starts, ends[-1:]]).astype(np.int64),
    )


def spelled(texts: Sequence[str], scripts: Collection[str] = SCRIPTS) -> list[list[str]]:
    """The same words as `split_words` finds, spelled out: for a few texts, one by one."""
    found: list[list[str]] = []
    for cut in _cuts(pa.array(texts, pa.string()), scripts):
        letters = cut.folded.tobytes()
        words = [letters[a : a + n].decode() for a, n in zip(cut.begin.tolist(), cut.length.tolist(), strict=True)]
        found += [words[a:b] for a, b in zip(cut.starts[:-1], cut.starts[1:], strict=True)]
    return found


def scripts_of(texts: Sequence[str]) -> tuple[str, ...]:
    """The names of SCRIPTS that any of the texts holds a letter of."""
    strings = pa.array(texts, pa.string())
    return tuple(name for name in SCRIPTS if pc.any(pc.match_substring_regex(strings, rf"\p{{{name}}}")).as_py())


def join_fields(
    title: pa.Array | pa.ChunkedArray,
    description: pa.Array | pa.ChunkedArray,
    tags: pa.Array | pa.ChunkedArray,
) -> pa.Array | pa.ChunkedArray:
    """One text an image, "title. description. tag, tag", each field cut off at FIELD_CHARACTERS; "" where all lack."""
    fields = [_shortened(field) for field in (title, description, pc.binary_join(tags, ", "))]
    told = [pc.if_else(pc.equal(pc.binary_length(field), 0), None, field) for field in fields]
    # Arrow 26 drops a row whose fields are all null instead of giving an empty string.
    told[-1] = pc.if_else(pc.is_null(pc.coalesce(*told)), "", told[-1])
    return pc.binary_join_element_wise(*told, ". ", null_handling="skip")


def once(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each value of an ascending array once; numpy's own way would hash them, at five times the cost."""
    return values[np.diff(values, prepend=values[0] - 1) != 0] if len(values) else values


def _shortened(field: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    longest = pc.max(pc.binary_length(field)).as_py()
    return (
        field if longest is None or longest <= FIELD_CHARACTERS else pc.utf8_slice_codeunits(field, 0, FIELD_CHARACTERS)
    )


def _cuts(texts: pa.Array | pa.ChunkedArray, scripts: Collection[str]) -> Iterator[_Cut]:
    unknown = set(scripts) - set(SCRIPTS)
    if unknown:
        raise ValueError(f"scripts: {sorted(unknown)[0]!r} is no script that Unicode names so")
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        for first in range(0, len(chunk), _BLOCK_ROWS):
            block = chunk.slice(first, _BLOCK_ROWS)
            yield _cut(_rewritten(pc.fill_null(block, "") if block.null_count else block, scripts))


def _bytes(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The texts' bytes in one piece, and where each begins and the last ends in it."""
    _, where, data = texts.buffers()
    offsets = np.frombuffer(where, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    letters = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    return letters[offsets[0] : offsets[-1]], offsets - offsets[0]


def _rewritten(texts: pa.Array, scripts: Collection[str]) -> pa.Array:
    """The texts, those that are not plain ASCII prose written as words with blanks between."""
    letters, offsets = _bytes(texts)
    odd = (letters >= 128) | (letters == ord("&")) | (letters == ord("<"))
    odd[:-1] |= (letters[:-1] == ord(":")) & (letters[1:] == ord("/"))
    rows = once(np.searchsorted(offsets, np.flatnonzero(odd), side="right") - 1)
    if "Latin" not in scripts:
        rows = np.arange(len(texts))
    if not len(rows):
        return texts
    written = _prose(texts.take(pa.array(rows)), scripts)
    mask = np.zeros(len(texts), np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(texts, pa.array(mask), written)


def _prose(texts: pa.Array, scripts: Collection[str]) -> pa.Array:
    marked = pc.match_substring_regex(texts, _ENTITY)
    if pc.any(marked).as_py():
        texts = pc.replace_with_mask(
            texts, marked, pa.array(map(_unescaped, texts.filter(marked).to_pylist()), pa.string())
        )
    texts = pc.replace_substring_regex(texts, _MARKUP, " ")
    for form, pattern in (("NFKD", _UNSEEN), ("NFC", None)):
        texts = pc.utf8_normalize(texts, form)
        texts = pc.replace_substring_regex(texts, pattern, "") if pattern else texts
    known = _EVERY_SCRIPT if set(scripts) == set(SCRIPTS) else "".join(rf"\p{{{name}}}" for name in scripts)
    texts = pc.replace_substring_regex(pc.utf8_lower(texts), f"[^{known}0-9]+", " ")
    unspaced = pc.match_substring_regex(texts, f"[{_UNSPACED}]")
    if pc.any(unspaced).as_py():
        pairs = pa.array(map(_in_pairs, texts.filter(unspaced).to_pylist()), pa.string())
        texts = pc.replace_with_mask(texts, unspaced, pairs)
    return texts


def _unescaped(text: str) -> str:
    plain = _ENTITY_RUN.sub(lambda one: html.unescape(one[0]) if _is_entity(one[0]) else one[0], text)
    return plain.encode("utf-8", "replace").decode()  # &#xd800; is half a character


def _is_entity(written: str) -> bool:
    """Whether it is one as a whole: to HTML the first three letters of &notebook; are one."""
    return written[1] == "#" or written[1:] in html.entities.html5


def _in_pairs(text: str) -> str:
    """Each run of a script without spaces as its overlapping pairs; a single character stays."""
    return _UNSPACED_RUN.sub(lambda run: f" {' '.join(_pairs(run[0]))} ", text)


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(max(len(run) - 1, 1))]


def _cut(texts: pa.Array) -> _Cut:
    letters, offsets = _bytes(texts)
    folded = np.zeros(len(letters) + 8, np.uint8)
    capital = (letters - np.uint8(ord("A"))) < np.uint8(26)
    np.bitwise_or(letters, capital.view(np.uint8) << np.uint8(5), out=folded[: len(letters)])
    plain = folded[: len(letters)]
    digit = (plain - np.uint8(ord("0"))) < np.uint8(10)
    inside = ((plain - np.uint8(ord("a"))) < np.uint8(26)) | digit | (plain >= 128)
    begin, end = _edges(inside, offsets)
    length = end - begin
    telling = _telling(begin, length, np.flatnonzero(digit))
    if len(length) and length.max() > LONGEST_WORD:
        kept = length <= LONGEST_WORD
        begin, length, telling = begin[kept], length[kept], telling[kept]
    return _Cut(folded, begin, length, telling, np.searchsorted(begin, offsets))


def _edges(inside: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """Where words begin and end; a text's edge parts words too, though no blank stands there."""
    first, last = inside.copy(), inside.copy()
    first[1:] &= ~inside[:-1]
    last[:-1] &= ~inside[1:]
    at = offsets[:-1][offsets[:-1] < len(inside)]
    first[at] = inside[at]
    at = offsets[1:][offsets[1:] > 0] - 1
    last[at] = inside[at]
    return np.flatnonzero(first), np.flatnonzero(last) + 1


def _telling(
    begin: npt.NDArray[np.int64], length: npt.NDArray[np.int64], digits: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which words are more than one letter, a number (half of it digits, or three), or a long code with a digit."""
    telling: npt.NDArray[np.bool_] = length > 1
    if len(digits):
        word, count = np.unique(np.searchsorted(begin, digits, side="right") - 1, return_counts=True)
        own = length[word]
        telling[word] &= ~((count * 2 >= own) | (count >= 3) | (own >= 12))
    return telling


def _without_s(cut: _Cut) -> npt.NDArray[np.int64]:
    """The words' lengths without the s of a plural."""
    last = cut.folded[cut.begin + cut.length - 1]
    before = cut.folded[cut.begin + np.maximum(cut.length - 2, 0)]
    plural = (last == ord("s")) & (cut.length >= 4) & ~np.isin(before, np.frombuffer(b"sui", np.uint8))
    shortened: npt.NDArray[np.int64] = cut.length - plural
    return shortened
