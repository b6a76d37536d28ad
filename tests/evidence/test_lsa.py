"""The built-in encoder: scikit-learn's on plain words, the corolla of the slides, and the corners."""

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline.evidence.lsa import LsaSettings, fit_lsa
from pipeline.evidence.semantic import class_text, closeness
from tests.evidence.test_keyword import CAR, CAR_TEXTS, FLOWER, FLOWER_TEXTS

WORDS = "rose tulip petal stamen flower meadow engine wheel sedan motor driver garage".split()  # noqa: SIM905 - prose


def made_up(texts: int) -> list[str]:
    """Texts of two subjects, six words each, drawn from the first or the second half of WORDS."""
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS[6 * (i % 2) : 6 * (i % 2) + 6], 6)) for i in range(texts)]


def test_equals_scikit_learn_s_tf_idf_and_svd() -> None:
    texts = made_up(300)
    found = fit_lsa(texts, [], LsaSettings(dimensions=5)).encode(texts)
    weights = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    expected = TruncatedSVD(5, algorithm="arpack", random_state=0).fit_transform(weights)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=2e-3)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(300), abs=1e-5)


def test_words_of_the_same_texts_come_close_and_others_do_not() -> None:
    lsa = fit_lsa(made_up(300), ["a flower", "a sedan"], LsaSettings(dimensions=2))
    flower, petal, motor = lsa.encode(["flower", "petals", "motors"])
    assert flower @ petal > 0.9
    assert abs(flower @ motor) < 0.1


def test_each_sense_of_corolla_ranks_its_own_texts_first() -> None:
    texts = [*FLOWER_TEXTS, *CAR_TEXTS]
    told = [class_text(FLOWER), class_text(CAR)]
    lsa = fit_lsa(texts, told, LsaSettings())
    cosine = lsa.encode(texts) @ lsa.encode(told).T
    assert cosine[:3, 0].min() > cosine[3:, 0].max()
    assert cosine[3:, 1].min() > cosine[:3, 1].max()
    found = closeness(lsa.encode(texts), lsa.encode(told), np.zeros(6, np.int64))
    assert (found.own > found.other).tolist() == [True] * 3 + [False] * 3


def test_the_same_again_and_texts_encoded_alone() -> None:
    texts = made_up(60)
    first, second = (fit_lsa(texts, ["a flower"], LsaSettings(dimensions=3)) for _ in range(2))
    np.testing.assert_array_equal(first.axes, second.axes)
    together = first.encode(texts)
    np.testing.assert_allclose([first.encode([text])[0] for text in texts], together, atol=1e-6)
    strongest = first.axes[np.abs(first.axes).argmax(axis=0), np.arange(3)]
    assert (strongest > 0).all()


def test_a_text_without_a_known_word_has_no_direction() -> None:
    lsa = fit_lsa(made_up(60), ["a flower"], LsaSettings(dimensions=3))
    silent = lsa.encode(["", "unheard", "IMG_1234", "the of and", "\u0440\u043e\u0437\u0430", "rose"])
    assert silent.any(axis=1).tolist() == [False] * 5 + [True]
    for texts, told in (([], []), (["the"], ["of"]), ([], ["rose", "dog"])):
        fitted = fit_lsa(texts, told, LsaSettings())
        assert len(fitted.encode(["rose", "cat"])) == 2
        assert fitted.encode([]).shape == (0, fitted.axes.shape[1])


def test_what_is_worth_a_column() -> None:
    lsa = fit_lsa(["rose once", "rose dog", "dog"], ["gloss word"], LsaSettings())
    assert len(lsa.idf) == 4  # rose and dog stand in two texts, gloss and word in a class's
    assert len(fit_lsa(["rose once", "rose dog", "dog"], ["gloss"], LsaSettings(words=2)).idf) == 2


@pytest.mark.parametrize("name", ["dimensions", "words"])
def test_settings_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=rf"semantic\.lsa\.{name} must be at least 1"):
        LsaSettings(**{name: 0})
