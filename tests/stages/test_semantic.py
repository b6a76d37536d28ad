"""The semantic stages: the corolla by the built-in encoder, each distinct text encoded once, resuming."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evidence.lsa import LsaSettings
from pipeline.evidence.semantic import Encoder, SemanticSettings
from pipeline.evidence.vocabulary import ClassWords
from pipeline.evidence_tables import SEMANTIC
from pipeline.stages import classes
from pipeline.stages.semantic import make_semantic
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import part_paths, read_table
from tests.stages.test_keyword import both_senses
from tests.stages.text_store import Told, add_texts

BUILT_IN = SemanticSettings()
OTHER = SemanticSettings(encoder="letters")


def letters(seen: list[list[str]]) -> Encoder:
    """An encoder that counts a and b, and remembers what it was given."""

    def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        seen.append(list(texts))
        counts = np.array([[text.count("a"), text.count("b")] for text in texts], np.float32).reshape(-1, 2)
        vectors: npt.NDArray[np.float32] = counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)
        return vectors

    return Encoder("letters", lambda: encode)


def test_each_sense_ranks_its_own_texts_first(tmp_path: Path) -> None:
    store = both_senses(tmp_path)
    made = make_semantic(store, ["a", "bb"], BUILT_IN, workers=1)
    table = read_table(made.table("evidence"))
    assert table.schema == SEMANTIC
    rows = {row["image_id"]: row for row in table.to_pylist()}
    assert list(rows) == [*range(100, 107), *range(201, 208)]
    assert rows[106] == {"image_id": 106, "semantic": None, "semantic_other": None, "semantic_class": None}
    assert rows[201]["semantic"] is None
    for first, other in ((100, 1), (202, 0)):
        right, wrong = (list(range(first + k, first + k + 3)) for k in (0, 3))
        assert min(rows[i]["semantic"] for i in right) > max(rows[i]["semantic"] for i in wrong)
        assert all(rows[i]["semantic"] > rows[i]["semantic_other"] for i in right)
        assert all(rows[i]["semantic"] < rows[i]["semantic_other"] for i in wrong)
        assert {rows[i]["semantic_class"] for i in right + wrong} == {other}
    assert made.facts == {"images": 14, "unknown": 2}
    assert store.current("text-vectors").facts == {"images": 14, "distinct": 6, "unknown": 2}


def test_one_worker_equals_many_and_settings_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    made = [
        make_semantic(both_senses(tmp_path / str(workers)), ["a", "bb"], BUILT_IN, workers=workers)
        for workers in (1, 3)
    ]
    one, many = (part_paths(artifact.table("evidence")) for artifact in made)
    assert len(one) == 2
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in many]
    store = both_senses(tmp_path / "1")
    assert not make_semantic(store, ["a", "bb"], BUILT_IN, workers=2).made
    assert make_semantic(store, ["a", "bb"], SemanticSettings(lsa=LsaSettings(dimensions=2)), workers=2).made


CLASSES = [ClassWords(["aaa"]), ClassWords(["bbb"]), ClassWords(["abab"])]
TOLD = [
    *(Told(0, title) for title in ("aba", "aba", "bbb", None, "xyz")),
    *(Told(1, title) for title in ("bbb", "abb")),
    *(Told(2, title) for title in ("aba", "IMG_1", "abb", "baa")),
]


def test_each_distinct_text_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 1)  # each class a stretch
    store, seen = Store(tmp_path), list[list[str]]()
    add_texts(store, "a", CLASSES, TOLD)
    done: list[int] = []
    made = make_semantic(store, ["a"], OTHER, letters(seen), workers=1, on_progress=done.append)
    assert seen == [["aaa", "bbb", "abab"], ["aba", "bbb", "xyz"], ["abb"], ["baa"]]
    assert sum(done) == len(TOLD)
    rows = read_table(made.table("evidence")).to_pylist()
    aba, half = 2 / 5**0.5, 3 / 10**0.5
    assert [row["semantic"] for row in rows] == [
        pytest.approx(value, abs=1e-3) if value is not None else None
        for value in (aba, aba, 0, None, None, 1, aba, half, None, half, half)
    ]
    assert rows[2]["semantic_other"] == pytest.approx(1, abs=1e-3)
    assert rows[2]["semantic_class"] == 1
    assert store.current("text-vectors").facts == {"images": 11, "distinct": 5, "unknown": 2}


def test_it_resumes_at_the_first_unfinished_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 1)
    store, seen = Store(tmp_path), list[list[str]]()
    add_texts(store, "a", CLASSES, TOLD)
    whole = letters(seen)

    def killed() -> Callable[[Sequence[str]], npt.NDArray[np.float32]]:
        def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
            if {"abb", "baa"} & set(texts):
                raise KeyboardInterrupt
            return whole.open()(texts)

        return encode

    with pytest.raises(KeyboardInterrupt):
        make_semantic(store, ["a"], OTHER, Encoder("letters", killed), workers=1)
    seen.clear()
    done: list[int] = []
    resumed = make_semantic(store, ["a"], OTHER, whole, workers=1, on_progress=done.append)
    assert seen == [["abb"], ["baa"]]
    assert sum(done) == 6
    other = Store(tmp_path / "other")
    add_texts(other, "a", CLASSES, TOLD)
    straight = make_semantic(other, ["a"], OTHER, whole, workers=2)
    assert read_table(resumed.table("evidence")).equals(read_table(straight.table("evidence")))


def test_vectors_outlive_what_is_made_from_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, seen = Store(tmp_path), list[list[str]]()
    add_texts(store, "a", CLASSES, TOLD)
    make_semantic(store, ["a"], OTHER, letters(seen), workers=1)
    monkeypatch.setattr("pipeline.stages.semantic.CODE_VERSION", "new")
    seen.clear()
    done: list[int] = []
    assert make_semantic(store, ["a"], OTHER, letters(seen), workers=1, on_progress=done.append).made
    assert seen == []
    assert sum(done) == len(TOLD)


def test_a_transformer_has_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"semantic\.encoder: 'letters' is not built in"):
        make_semantic(Store(tmp_path), ["a"], OTHER, workers=1)
