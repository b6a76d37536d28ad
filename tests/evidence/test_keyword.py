"""Keywords: the formula by hand and against a plain double loop, and the corolla of the slides."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as within
from hypothesis import strategies as st

from pipeline.evidence import vocabulary as vocabulary_module
from pipeline.evidence.keyword import HALF, KeywordIndex, KeywordSettings, Matches, count_texts
from pipeline.evidence.vocabulary import ClassWords, matched_words, says_something, vocabulary

FLOWER = ClassWords(
    ["corolla"],
    "(botany) the whorl of petals of a flower that collectively form an inner floral envelope or layer of the perianth",
)
CAR = ClassWords(["Corolla", "Toyota Corolla"], "a compact car sold by Toyota, mostly as a sedan")
FLOWER_TEXTS = [
    "pink corolla petals macro",
    "philosophy. There are philosophies as varied as the flowers of the field. flower, petal, stamen, corolla",
    "the corolla and the floral envelope",
]
CAR_TEXTS = [
    "2016 Toyota Corolla Ascent Auto",
    "New & Used Toyota Corolla Sedan cars for sale in Australia",
    "corolla car, compact and cheap",
]


def matched(classes: list[ClassWords], texts: list[str | None], own: list[int]) -> Matches:
    known, column = vocabulary(classes), pa.array(texts, pa.string())
    index = KeywordIndex(known, *count_texts(known, column), KeywordSettings())
    return index.match(column, np.array(own))


def test_the_flower_s_corolla_is_not_the_car_s() -> None:
    texts = [*FLOWER_TEXTS, *CAR_TEXTS]
    alone = matched([FLOWER], list(texts), [0] * 6).own
    assert alone[:3].min() > alone[3:].max()
    flower, car = (matched([FLOWER, CAR], list(texts), [own] * 6) for own in (0, 1))
    assert flower.own[:3].min() > flower.own[3:].max()
    assert car.own[3:].min() > car.own[:3].max()
    assert ((flower.own - flower.other)[:3] > 0).all()
    assert ((flower.own - flower.other)[3:] < 0).all()
    np.testing.assert_array_equal(flower.other, car.own)
    assert set(flower.other_class.tolist()) == {1}


def test_by_hand() -> None:
    shirt, shoe = ClassWords(["formal shirt"]), ClassWords(["shoe"], "worn on the foot", ["sandal"])
    texts: list[str | None] = ["formal shirt", "formal shoes", "blue", "a shirt, shirts", "foot sandals", None]
    found = matched([shirt, shoe], texts, [0, 0, 0, 0, 1, 1])
    formal, shirts, foot, sandal = (math.log(1 + 6 / (n + 1)) for n in (2, 2, 1, 1))
    context = 0.5 * (foot + sandal)
    np.testing.assert_allclose(
        found.own,
        [1, formal / (formal + shirts), 0, shirts / (formal + shirts), 0.3 * context / (context + HALF), np.nan],
        rtol=1e-6,
    )
    np.testing.assert_allclose(found.other, [0, 0.7, 0, 0, 0, np.nan], rtol=1e-6)
    assert found.other_class.tolist() == [-1, 1, -1, -1, -1, -1]


def test_what_says_nothing_is_unknown_and_what_says_something_else_is_not() -> None:
    silent = [
        None,
        "",
        " \t",
        "IMG_2034",
        "DSC00012.JPG",
        "2016-07-03 12:30",
        "9f86d081884c7d65",
        "the of and",
        "\U0001f338",
    ]
    silent += [
        "free stock photo download",
        "\u0440\u043e\u0437\u0430",
        "\u7ea2\u82b1",
        "http://a.com/corolla",
        "...",
        "x",
    ]
    told = ["unrelated", "IMG_2034 corolla", "r\u00f3sa \u0440\u043e\u0437\u0430"]
    found = matched([FLOWER, CAR], [*silent, *told], [0] * (len(silent) + len(told)))
    assert np.isnan(found.own).tolist() == np.isnan(found.other).tolist() == [True] * len(silent) + [False] * 3
    assert found.own[-3] == 0
    assert found.own[-2] == pytest.approx(0.7)
    says = says_something(pa.array(["\u0440\u043e\u0437\u0430", "IMG_1", None, "rose", "the photo"], pa.string()))
    assert says.tolist() == [True, False, False, True, False]


def test_a_word_of_the_class_speaks_even_if_it_is_a_stop_word_or_a_number() -> None:
    found = matched([ClassWords(["can"]), ClassWords(["747"])], ["can", "747", "the"], [0, 1, 0])
    assert found.own[:2].tolist() == [1, 1]
    assert np.isnan(found.own[2])


def test_classes_in_another_language_are_read_in_it() -> None:
    found = matched(
        [ClassWords(["\u0440\u043e\u0437\u0430"]), ClassWords(["\u7ea2\u82b1"])],
        ["\u0420\u043e\u0437\u0430!", "rose", "\u5927\u7ea2\u82b1"],
        [0, 0, 1],
    )
    assert found.own[[0, 2]].tolist() == [1, 1]
    assert np.isnan(found.own[1])


@pytest.mark.parametrize(
    ("lemma", "text", "score"),
    [
        ("sandal", "SANDALS", 1),
        ("sandals", "a sandal", 1),
        ("dress", "dresses", 1),
        ("scarf", "scarves", 1),
        ("cherry", "cherries", 1),
        ("woman", "women", 1),
        ("shorts", "short sleeves", 0),
        ("flip-flop", "flipflops here", 1),
        ("caf\u00e9", "CAFE", 1),
        ("bus", "bu stop", 0),
    ],
)
def test_spellings(lemma: str, text: str, score: float) -> None:
    assert matched([ClassWords([lemma])], [text], [0]).own.tolist() == [score]


def test_two_names_that_look_like_singular_and_plural_stay_two() -> None:
    known = vocabulary([ClassWords(["short pants", "shorts"]), ClassWords(["pant"])])
    assert known.forms["short"] != known.forms["shorts"]
    assert known.forms["pant"] != known.forms["pants"]


def test_gloss_words_that_many_classes_share_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = [ClassWords([f"name{letter}"], "garment of wool") for letter in "abcd"]
    assert all(vocabulary(classes).gloss)
    monkeypatch.setattr(vocabulary_module, "SHARED_CLASSES", 3)
    assert not any(vocabulary(classes).gloss)


WORDS = st.sampled_from(["rose", "petal", "car", "sedan", "toyota", "blue", "sky", "dog"])
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=12)
CLASSES = st.lists(
    st.builds(
        ClassWords,
        st.lists(st.lists(WORDS, min_size=1, max_size=2).map(" ".join), min_size=1, max_size=3),
        st.none() | st.lists(WORDS, max_size=4).map(" ".join),
        st.lists(WORDS, max_size=2),
    ),
    min_size=1,
    max_size=4,
)


def plainly(own: ClassWords, text: str, texts: list[str], settings: KeywordSettings) -> float:
    """The formula of the module's docstring, word by word."""
    said = sum(1 for one in texts if one)
    idf = lambda word: math.log(1 + (said + 1) / (1 + sum(word in one.split() for one in texts)))  # noqa: E731
    names = [set(lemma.split()) for lemma in own.lemmas]
    named = set().union(*names)
    gloss = set((own.gloss or "").split()) - named
    longer = [one for one in names if any(other < one for other in names)]
    added = set().union(*longer).difference(*(one for one in names if one not in longer))
    near = (set(own.near) - named - gloss) | added
    have = set(text.split())
    name = max(sum(map(idf, sorted(one & have))) / sum(map(idf, sorted(one))) for one in names)
    total = settings.gloss * sum(map(idf, gloss & have)) + settings.near * sum(map(idf, near & have))
    share = settings.name if gloss or near else 1
    return share * name + (1 - share) * total / (total + HALF)


@within(deadline=None)
@given(CLASSES, TEXTS, st.data())
def test_equals_the_formula_word_by_word(classes: list[ClassWords], texts: list[str], data: st.DataObject) -> None:
    own = data.draw(st.lists(st.integers(0, len(classes) - 1), min_size=len(texts), max_size=len(texts)))
    settings = KeywordSettings(name=0.6, gloss=0.4, near=0.8)
    known = vocabulary(classes)
    found = KeywordIndex(known, *count_texts(known, pa.array(texts)), settings).match(pa.array(texts), np.array(own))
    for row, (text, label) in enumerate(zip(texts, own, strict=True)):
        if not text:
            assert np.isnan(found.own[row])
            continue
        scores = [plainly(one, text, texts, settings) for one in classes]
        others = [score for k, score in enumerate(scores) if k != label]
        assert found.own[row] == pytest.approx(scores[label], rel=1e-6)
        assert found.other[row] == pytest.approx(max(others, default=0), rel=1e-6)
        if others and max(others) > 0:
            assert scores[found.other_class[row]] == pytest.approx(max(others))
        else:
            assert found.other_class[row] == -1


def test_the_order_of_the_texts_and_of_the_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str | None] = [*FLOWER_TEXTS, *CAR_TEXTS, None, "IMG_1"]
    straight = matched([FLOWER, CAR], texts, [0] * 8)
    monkeypatch.setattr("pipeline.evidence.keyword._BLOCK_ROWS", 3)
    turned = matched([FLOWER, CAR], texts[::-1], [0] * 8)
    np.testing.assert_array_equal(straight.own, turned.own[::-1])
    np.testing.assert_array_equal(straight.other, turned.other[::-1])


def test_equal_matches_name_the_first_class() -> None:
    twins = [ClassWords(["rose"]), ClassWords(["dog"]), ClassWords(["dog"])]
    assert matched(twins, ["dog", "dog rose"], [0, 1]).other_class.tolist() == [1, 0]


def test_the_words_that_matched() -> None:
    texts = [FLOWER_TEXTS[1], "IMG_1", ""]
    assert matched_words(texts, FLOWER) == [("flowers", "flower", "petal", "corolla"), (), ()]
    assert matched_words(["a sedan on the road"], replace(CAR, near=("road",))) == [("sedan", "road")]


@pytest.mark.parametrize(("name", "value"), [("name", 0.0), ("name", 1.1), ("gloss", -1.0), ("near", math.inf)])
def test_settings_are_checked(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"keyword.{name} must be"):
        KeywordSettings(**{name: value})


def test_shapes_are_checked_and_nothing_is_something() -> None:
    known = vocabulary([FLOWER])
    with pytest.raises(ValueError, match="frequency must have"):
        KeywordIndex(known, np.zeros(1, np.int64), 1, KeywordSettings())
    index = KeywordIndex(known, np.zeros(known.size, np.int64), 0, KeywordSettings())
    with pytest.raises(ValueError, match="class_index must have 1 entries"):
        index.match(pa.array(["x"]), np.array([0, 0]))
    assert len(index.match(pa.array([], pa.string()), np.zeros(0, np.int64)).own) == 0
    empty = vocabulary([ClassWords(["!"])])
    assert KeywordIndex(empty, *count_texts(empty, pa.array(["rose"])), KeywordSettings()).match(
        pa.array(["rose"]), np.array([0])
    ).own.shape == (1,)
