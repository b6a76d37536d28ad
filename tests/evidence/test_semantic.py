"""Cosines to the own class and the best other: a double loop, the corners, the settings."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evidence.semantic import SemanticSettings, class_text, closeness
from pipeline.evidence.vocabulary import ClassWords


def unit(rows: int, width: int, seed: int) -> npt.NDArray[np.float32]:
    made = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def test_equals_a_double_loop_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, classes = unit(23, 7, 0), unit(5, 7, 1)
    own = np.arange(23) % 5
    for rows in (4096, 4):
        monkeypatch.setattr("pipeline.evidence.semantic._BLOCK_ROWS", rows)
        found = closeness(texts, classes, own)
        for i in range(23):
            others = {k: float(texts[i] @ classes[k]) for k in range(5) if k != own[i]}
            assert found.own[i] == pytest.approx(float(texts[i] @ classes[own[i]]), abs=1e-6)
            assert found.other[i] == pytest.approx(max(others.values()), abs=1e-6)
            assert found.other_class[i] == max(others, key=lambda k: others[k])


def test_what_has_no_vector_is_unknown() -> None:
    texts = np.array([[1, 0], [0, 0], [0, 1]], np.float16)
    classes = np.array([[1, 0], [0, 0]], np.float32)
    found = closeness(texts, classes, np.array([0, 0, 1]))
    np.testing.assert_array_equal(found.own, [1, np.nan, np.nan])
    np.testing.assert_array_equal(found.other, [np.nan, np.nan, 0])
    assert found.other_class.tolist() == [-1, -1, 0]
    alone = closeness(texts[:1], classes[:1], np.array([0]))
    assert (alone.own[0], alone.other_class[0]) == (1, -1)
    assert len(closeness(texts[:0], classes, np.zeros(0, np.int64)).own) == 0


def test_equal_cosines_name_the_first_class() -> None:
    classes = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    assert closeness(classes[1:2], classes, np.array([0])).other_class.tolist() == [1]


def test_shapes_and_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="differ"):
        closeness(unit(2, 3, 0), unit(2, 4, 0), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"semantic\.tokens must be at least 3"):
        SemanticSettings(tokens=2)
    with pytest.raises(ValueError, match=r"semantic\.encoder must be"):
        SemanticSettings(encoder="")


def test_what_is_read_of_a_class() -> None:
    assert class_text(ClassWords(["tench", "Tinca tinca"], "a fish")) == "tench, Tinca tinca: a fish"
    assert class_text(ClassWords(["tench"])) == "tench"
