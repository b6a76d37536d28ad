"""What is said of one image, and where it stands in its class, by hand."""

import numpy as np
import pytest

from pipeline.evidence.vocabulary import ClassWords, vocabulary
from pipeline.evidence_tables import EVIDENCE
from pipeline.report.explanation import verdict_words
from pipeline.report.image_sayings import SAYINGS
from pipeline.report.image_sentences import SILENT, ordinal
from pipeline.report.image_view import ImageView, standing_of, tell_all
from pipeline.report.matched import MatchedWord, matched

NAN = np.nan


def view(row: int = 0, **columns: list[float]) -> ImageView:
    """An image of class 0, `cat`."""
    return ImageView(0, ["cat", "dog"], row, {name: np.array(values, float) for name, values in columns.items()})


def told(one: ImageView, source: str) -> list[tuple[str, str, str]]:
    """Sentence, figure and side of one source."""
    (found,) = tell_all(one, SAYINGS, SILENT, [source])
    return [(figure.sentence, figure.value, figure.speaks) for figure in found.figures]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([5, 1, 2, 3], "higher than all of its class"),
        ([0, 1, 2, 3], "lower than all of its class"),
        ([2, 1, 1, 3], "higher than 67% of its class"),
        ([2, 2, 2, 3], "the same as 67% of its class"),
        ([2, 1, 3, 2], "in the middle of its class"),
        ([2, NAN, np.inf, 1], "higher than all of its class"),
    ],
)
def test_where_a_figure_stands(values: list[float], words: str) -> None:
    found = standing_of(np.array(values), 0)
    assert found is not None
    assert found.words == words


def test_nobody_to_compare_with() -> None:
    assert standing_of(np.array([1.0, NAN]), 0) is None


def test_the_place_lies_between_the_ends_of_the_class() -> None:
    values = np.array([1.0, 0, 4])
    places = [one.place for k in range(3) if (one := standing_of(values, k))]
    assert places == [0.25, 0, 1]
    inside = standing_of(np.array([2.0, 0.5]), 0, (0, 1))
    assert inside is not None
    assert inside.place == 1  # outside of the bounds, at the end
    flat = standing_of(np.array([1.0, 1]), 0)
    assert flat is not None
    assert flat.place == 0.5


def test_neighbours_speak_for_their_label() -> None:
    one = view(agreement=[0.25, 0.5], neighbour_class=[1, 0], neighbour_similarity=[0.5, 0.5])
    assert told(one, "neighbours")[0] == (
        "25% of the images most like it, of all classes, carry its label; most of them are dog.",
        "25%",
        "against",
    )
    other = view(1, agreement=[0.25, 0.5], neighbour_class=[1, 0], neighbour_similarity=[0.5, 0.5])
    assert told(other, "neighbours")[0][2] == "for"


def test_a_text_that_matches_another_class_better_speaks_against() -> None:
    sides = []
    for own, other in ((0.5, 0.7), (0.7, 0.5), (0, 0)):
        one = view(keyword=[own, 0], keyword_other=[other, 0], keyword_class=[1 if other else NAN, NAN])
        ((sentence, _, side),) = told(one, "keyword")
        sides.append(side)
        assert ("dog fits better, with 0.70" in sentence) == (other > own)
    assert sides == ["against", "for", ""]


def test_a_source_that_knows_nothing_says_why() -> None:
    (found,) = tell_all(view(keyword=[NAN], keyword_other=[NAN], keyword_class=[NAN]), SAYINGS, SILENT, ["keyword"])
    assert found.figures == ()
    assert "says nothing" in found.silent


def test_every_source_can_be_told_and_can_be_silent() -> None:
    assert {saying.source for saying in SAYINGS} == set(EVIDENCE) == set(SILENT)
    for saying in SAYINGS:
        assert saying.column in EVIDENCE[saying.source].names


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_every_saying_holds_for_edges_where_nothing_else_is_known(value: float) -> None:
    """A figure of each column, everything else of its table that may be null is null, and -1 stands for none."""
    for saying in SAYINGS:
        schema = EVIDENCE[saying.source]
        columns = {name: np.array([NAN if schema.field(name).nullable else -1.0]) for name in schema.names}
        one = ImageView(0, ["cat", "dog"], 0, columns | {saying.column: np.array([value])})
        assert saying.value(one)
        assert saying.sentence(one).endswith(".")


def test_the_headline_says_how_sure() -> None:
    def headline(right: float, other: float = NAN) -> tuple[str, tuple[str, ...]]:
        return verdict_words(view(right_probability=[right], fused_class=[other], fused_probability=[0.6], leak=[0]))

    assert headline(1.0)[0] == "Its label is almost surely right: 100% likely."
    assert headline(0.999)[0] == "Its label is almost surely right: above 99% likely."
    assert headline(0.7)[0] == "Its label is probably right: 70% likely."
    assert headline(0.5)[0] == "Its label is in doubt: 50% likely."
    assert headline(0.2, 1) == ("Its label is probably wrong: 20% likely.", ("It is rather dog, by 60%.",))
    assert headline(0.001)[0] == "Its label is almost surely wrong: below 1% likely."
    assert "none of the classes" in headline(0.1)[1][0]
    assert verdict_words(view(leak=[1]))[1] == ("It repeats a picture of val or test, so no recipe trains on it.",)


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (112, "112th"), (1021, "1,021st")],
)
def test_ordinals(number: int, words: str) -> None:
    assert ordinal(number) == words


def test_matched_words_say_where_and_of_what() -> None:
    known = vocabulary(
        [ClassWords(["corolla"], "the petals of a flower", ("blossom",)), ClassWords(["car"], "a vehicle")]
    )
    fields = {"title": "Corollas and petals", "description": "no blossom, a petal", "tags": "corolla, vehicle"}
    frequency = np.zeros(known.size, np.int64)
    frequency[known.forms["corolla"]] = 9
    found = matched(fields, 0, known, (frequency, 9))
    rare, common = float(np.log1p(10 / 1)), float(np.log1p(10 / 10))
    assert {one.word: one for one in found} == {
        "petals": MatchedWord("petals", ("title",), "definition", 0, rare),
        "petal": MatchedWord("petal", ("description",), "definition", 0, rare),
        "blossom": MatchedWord("blossom", ("description",), "near word", 0, rare),
        "corollas": MatchedWord("corollas", ("title",), "name", 9, common),
        "corolla": MatchedWord("corolla", ("tags",), "name", 9, common),
    }
    assert [one.idf for one in found] == sorted((one.idf or 0 for one in found), reverse=True)
    assert matched({"title": "nothing"}, 0, known, None) == ()
    (uncounted,) = matched({"title": "vehicle"}, 1, known, None)
    assert (uncounted.texts, uncounted.idf) == (None, None)
