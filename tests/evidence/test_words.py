"""Texts to words: like a plain Python reading where that is easy, and unmoved by anything hostile."""

import json
import re
import tarfile
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evidence.word_keys import KeyTable, word_keys
from pipeline.evidence.words import (
    FIELD_CHARACTERS,
    LONGEST_WORD,
    SCRIPTS,
    join_fields,
    scripts_of,
    spelled,
    split_words,
)

ASCII = st.text(st.characters(max_codepoint=127, exclude_characters="&<:"), max_size=200)


def keys(words: list[list[str]]) -> list[int]:
    flat: list[int] = word_keys([word for text in words for word in text]).tolist()
    return flat


@settings(deadline=None)  # the first call loads Arrow's functions
@given(st.lists(ASCII, max_size=8))
def test_plain_text_is_read_as_a_regular_expression_would(texts: list[str]) -> None:
    expected = [[w for w in re.findall("[a-z0-9]+", text.lower()) if len(w) <= LONGEST_WORD] for text in texts]
    assert spelled(texts) == expected
    found = split_words(pa.array(texts, pa.string()))
    assert found.key.tolist() == keys(expected)
    assert np.diff(found.starts).tolist() == [len(words) for words in expected]


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), max_size=8), st.integers(0, 8))
def test_a_text_is_read_alike_in_any_company(texts: list[str], first: int) -> None:
    alone = [spelled([text])[0] for text in texts]
    assert spelled(texts) == alone
    column = pa.chunked_array([pa.array(texts[:first], pa.string()), pa.array(texts, pa.string()).slice(first)])
    assert split_words(column).key.tolist() == keys(alone)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Men's T-Shirt", "men s t shirt"),
        ("caf\u00e9 CAFE\u0301 na\u00efve \ufb01sh \uff26\uff35\uff2c\uff2c", "cafe cafe naive fish full"),
        ("rock &amp; roll &#233;t&eacute; &notaword; AT&T;", "rock roll ete notaword at t"),
        ("<a href='http://x.y/z'>big <b>dog</b></a> 1 < 2 > 0", "big dog 1 2 0"),
        ("see https://a.b/c?d=e and ftp://f now", "see and now"),
        ("co\u200brol\u00adla \u202egnorw\u202c \ufeffpetal", "corolla gnorw petal"),
        ("\U0001f338\u2764\ufe0f \U0001f468\u200d\U0001f469\u200d\U0001f467 rose\U0001f339bud", "rose bud"),
        ("z\u0336\u0321a\u0334l\u0353go", "zalgo"),
        ("a\x00b\x01c", "a b c"),
        ("\u0401\u0416 \u039c\u03ac\u03c4\u03b9\u03b1", "\u0435\u0436 \u03bc\u03b1\u03c4\u03b9\u03b1"),
        ("\u7ea2\u82b1\u74e3 \u82b1x", "\u7ea2\u82b1 \u82b1\u74e3 \u82b1 x"),
        ("\u0e14\u0e2d\u0e01", "\u0e14\u0e2d \u0e2d\u0e01"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("x" * 64 + " " + "y" * 65, "x" * 64),
        ("", ""),
    ],
)
def test_words_by_hand(text: str, words: str) -> None:
    assert spelled([text]) == [words.split()]


def test_words_that_tell_nothing() -> None:
    texts = "rose mp3 x 2016 img0001 dsc00012 photo12 deadbeefcafe1 a1b2 boeing747 b52s"
    found = split_words(pa.array([texts]))
    told = dict(zip(texts.split(), found.telling.tolist(), strict=True))
    assert [word for word, telling in told.items() if telling] == ["rose", "mp3", "photo12"]


def test_letters_of_other_scripts_part_words() -> None:
    texts = ["\u0440\u043e\u0437\u0430 rose \u5b57\u5178 12"]
    assert spelled(texts, ("Latin",)) == [["rose", "12"]]
    assert spelled(texts, ("Cyrillic",)) == [["\u0440\u043e\u0437\u0430", "12"]]
    assert scripts_of(texts) == ("Latin", "Cyrillic", "Han")
    with pytest.raises(ValueError, match="'Klingon' is no script"):
        split_words(pa.array(texts), ("Klingon",))


def test_plurals_lose_their_s() -> None:
    singular = split_words(pa.array(["petal rose dress bus iris gas axes"]))
    plural = split_words(pa.array(["petals roses dress bus iris gas axe"]), singular=True)
    assert plural.key[:6].tolist() == singular.key[:6].tolist()
    assert split_words(pa.array(["axes"]), singular=True).key == split_words(pa.array(["axe"])).key


def test_keys_tell_long_words_apart() -> None:
    words = ["a" * n for n in range(1, 65)] + ["b" + "a" * 40, "a" * 40 + "b", "a" * 20 + "b" + "a" * 20]
    assert len(set(word_keys(words).tolist())) == len(words)
    assert word_keys(["rose"]).tolist() == [int.from_bytes(b"rose", "little")]


def test_nulls_and_slices_and_nothing_at_all() -> None:
    column = pa.array(["lost", None, "two words", ""]).slice(1)
    found = split_words(column)
    assert found.starts.tolist() == [0, 0, 2, 2]
    assert found.any(np.array([False, True])).tolist() == [False, True, False]
    for empty in (pa.array([], pa.string()), pa.chunked_array([], pa.string())):
        assert split_words(empty).starts.tolist() == [0]
    assert spelled([]) == []


def test_a_million_characters_are_cut_off_field_by_field() -> None:
    joined = join_fields(
        pa.array(["t", None, "\u00e9" * 10**6]), pa.array(["x " * 10**6, "", None]), pa.array([["a", "b c"], [], None])
    )
    assert joined.to_pylist() == ["t. " + "x " * (FIELD_CHARACTERS // 2) + ". a, b c", "", "\u00e9" * FIELD_CHARACTERS]
    assert len(split_words(pa.array(["word " * 200_000])).key) == 200_000


def test_naughty_strings_are_words_or_nothing(shared_data: Path) -> None:
    with tarfile.open(shared_data / "hostile" / "hostile.tar.gz") as archive:
        member = archive.extractfile("hostile/naughty_strings/blns.json")
        assert member is not None
        naughty = [text for text in json.load(member) if isinstance(text, str)]
    words = spelled(naughty)
    assert len(words) == len(naughty) > 400
    assert split_words(pa.array(naughty)).key.tolist() == keys(words)
    kinds = {unicodedata.category(letter)[0] for text in words for word in text for letter in word}
    assert kinds == {"L", "M", "N"}
    latin = {letter for text in spelled(naughty, ("Latin",)) for word in text for letter in word}
    assert all(letter.isdecimal() or unicodedata.name(letter).startswith(("LATIN", "MODIFIER")) for letter in latin)


@given(st.dictionaries(st.integers(1, 2**64 - 1), st.integers(1, 2**31 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_a_key_table_is_a_dictionary(told: dict[int, int], others: list[int]) -> None:
    table = KeyTable(np.array(list(told), np.uint64), np.array(list(told.values()), np.int64))
    asked = [*told, *others]
    assert table.find(np.array(asked, np.uint64)).tolist() == [told.get(key, 0) for key in asked]


def test_a_full_run_of_slots_is_walked() -> None:
    keys = np.arange(1, 5000, dtype=np.uint64) << np.uint64(40)
    table = KeyTable(keys, np.arange(1, 5000))
    assert table.find(keys).tolist() == list(range(1, 5000))
    with pytest.raises(ValueError, match="distinct"):
        KeyTable(np.array([3, 3], np.uint64), np.array([1, 2]))


def test_every_script_is_one_that_arrow_knows() -> None:
    assert split_words(pa.array(["\u00e9"]), SCRIPTS[:-1]).key.tolist() == word_keys(["e"]).tolist()
