"""What a decision promises, and how it is told in words."""

import numpy as np
import pytest

from pipeline.policy.decision import Decision, Note, class_means, decided
from pipeline.policy.words import about, coarse, note_of, percents, plural


def test_class_means_by_hand() -> None:
    assert class_means(np.array([1.0, 3.0, 5.0]), np.array([2, 2, 0])).tolist() == [2, 2, 5]


def test_a_decision_is_checked() -> None:
    ones, note = np.ones(2, np.int32), Note(np.zeros(2, np.int32), [""])
    with pytest.raises(ValueError, match="repeats has 1 rows, weight has 2"):
        decided(np.ones(2), note, repeats=ones[:1])
    with pytest.raises(ValueError, match="note has 1 rows, weight has 2"):
        decided(np.ones(2), Note(np.zeros(1, np.int32), [""]))
    for bad in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="finite and not negative"):
            decided(np.array([1.0, bad]), note)
    with pytest.raises(ValueError, match="must not be negative"):
        decided(np.ones(2), note, stage=-ones)


def test_what_is_not_told_is_ordinary() -> None:
    decision = decided(np.ones(2), Note(np.array([0, -1]), ["why"]))
    assert (decision.repeats.tolist(), decision.stage.tolist()) == ([1, 1], [0, 0])
    assert decision.suggested.tolist() == [-1, -1]
    assert (decision.words(0), decision.words(1)) == ("why", "")


def test_notes_are_joined_and_the_silent_left_out() -> None:
    ones = np.ones(2, np.int32)
    notes = (Note(np.array([0, -1]), ["first"]), Note(np.array([1, 0]), ["a", "b"]))
    decision = Decision(np.ones(2), ones, ones, ones, notes)
    assert (decision.words(0), decision.words(1)) == ("first; b", "a")


def test_each_text_is_stored_once() -> None:
    note = note_of(np.array([7, 3, 7]), str)
    assert (note.texts, note.index.tolist()) == (["3", "7"], [1, 0, 1])


def test_numbers_in_words_are_few() -> None:
    assert coarse(np.array([0, 1, 99.4, 100, 104.9, 105.1, 3456, 16_000_000])).tolist() == [
        *(0, 1, 99, 100, 100, 110, 3500, 16_000_000),
    ]
    assert len(np.unique(coarse(np.arange(1, 20_000)))) < 320
    assert (about(99), about(3500)) == ("99", "about 3,500")
    assert (plural(0, "time"), plural(1, "time"), plural(3500, "time")) == ("0 times", "1 time", "about 3,500 times")
    assert percents(np.array([0.004, 0.006, 1, np.nan])).tolist() == [0, 1, 100, -1]
