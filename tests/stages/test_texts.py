"""Texts by position, the counts of words, and the sample: what adds up over crawls and shards."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evidence.vocabulary import ClassWords, vocabulary
from pipeline.stages import texts as stage
from pipeline.stages.texts import ListedTexts, make_texts, read_class_words, read_frequencies, read_sample
from pipeline.storage.artifacts import Store
from pipeline.storage.draft import Draft
from tests.stages.text_store import Told, add_texts

CLASSES = [ClassWords(["rose", "rosa"], "a flower with petals", ("plant",)), ClassWords(["car"])]
A = [
    Told(0, "red rose", "in a garden", ("rose", "red")),
    Told(0, "red rose", "in a garden", ("rose", "red")),  # the same again
    Told(0),
    Told(1, None, "a car"),
    Told(1, "a rose", split="val"),
]
B = [Told(0, "petals"), Told(1, "IMG_1"), Told(1, "cars and roses")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    add_texts(made, "a", CLASSES, A)
    add_texts(made, "bb", CLASSES, B)
    return made


def test_texts_by_position(store: Store) -> None:
    listed = ListedTexts([store.current("listing", crawl) for crawl in ("a", "bb")])
    found = listed.take(np.array([7, 0, 3, 2, 5])).to_pylist()
    assert found == ["cars and roses", "red rose. in a garden. rose, red", "a car", "", "petals"]
    assert listed.take(np.array([], np.int64)).to_pylist() == []


def test_class_words(store: Store) -> None:
    assert read_class_words(store.current("listing", "a")) == CLASSES


def test_words_are_counted_in_distinct_training_texts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    known = vocabulary(CLASSES)
    monkeypatch.setattr(stage, "SHARD_ROWS", 3)
    made = [make_texts(store, crawl, known) for crawl in ("a", "bb")]
    frequency, texts = read_frequencies(made)
    assert texts == 4
    counted = {word: int(frequency[number]) for word, number in known.forms.items()}
    assert {word: n for word, n in counted.items() if n} == {
        "rose": 2, "roses": 2, "car": 2, "cars": 2, "petal": 1, "petals": 1,
    }  # fmt: skip


def test_the_sample_is_the_smallest_hashes_whatever_the_crawls(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    known = vocabulary(CLASSES)
    made = [make_texts(store, crawl, known) for crawl in ("a", "bb")]
    whole = read_sample(made)
    assert sorted(whole) == ["a car", "cars and roses", "petals", "red rose. in a garden. rose, red"]
    assert read_sample(made[::-1], 3) == whole[:3]
    monkeypatch.setattr(stage, "SAMPLE_TEXTS", 2)
    assert read_sample([make_texts(store, crawl, known) for crawl in ("a", "bb")], 2) == whole[:2]


def test_it_resumes_at_the_first_unfinished_shard_and_is_found_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = vocabulary(CLASSES)
    monkeypatch.setattr(stage, "SHARD_ROWS", 2)
    finish = Draft.finish

    def killed(draft: Draft, shard: int, *rest: object) -> None:
        if shard == 1:
            raise KeyboardInterrupt
        finish(draft, shard, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Draft, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            make_texts(store, "a", known)
    done: list[int] = []
    made = make_texts(store, "a", known, on_progress=done.append)
    assert done == [2, 1]
    assert read_frequencies([made])[1] == 2
    assert not make_texts(store, "a", known).made
    assert make_texts(store, "a", vocabulary(CLASSES[:1])).made
