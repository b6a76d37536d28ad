"""Sealed records: any byte that changes is noticed; a history keeps its lines; documents are kept twice."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.documents import change_document, document_paths, read_document
from pipeline.storage.sealed import DamagedError, publish_sealed, read_sealed, sealed, unsealed
from pipeline.storage.work import add_work, read_work, sound_lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4), st.sampled_from([None, 1]))
def test_what_is_sealed_comes_back(value: dict[str, object], indent: int | None) -> None:
    assert unsealed(sealed(value, indent), indent) == value


@given(st.binary(max_size=40))
def test_what_was_never_sealed_is_refused(data: bytes) -> None:
    assert unsealed(data) is None


def test_keys_that_are_numbers_are_words_afterwards() -> None:
    assert unsealed(sealed({"counts": {10: 1, 9: 2}})) == {"counts": {"10": 1, "9": 2}}


def test_every_flip_of_every_bit_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    publish_sealed(path, {"identity": "x", "share": 0.5, "text": "\u00e9"})
    whole = path.read_bytes()
    for at in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        assert unsealed(bytes(flipped), 1) is None
    assert all(unsealed(whole[:end], 1) is None for end in range(len(whole)))
    path.write_bytes(whole[:-1])
    with pytest.raises(DamagedError, match=r"a\.json: not the bytes that were written.*winnow verify --repair"):
        read_sealed(path)


def test_a_history_names_the_damaged_line_and_the_others_are_sound(tmp_path: Path) -> None:
    path, lock = tmp_path / "work.jsonl", tmp_path / "lock"
    add_work(path, lock, [{"stage": "a"}, {"stage": "b"}])
    add_work(path, lock, [{"stage": "c"}])
    assert [line["stage"] for line in read_work(path)] == ["a", "b", "c"]
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"d"'))
    with pytest.raises(DamagedError, match=r"work\.jsonl: line 2 is not"):
        read_work(path)
    assert sound_lines(path) == [{"stage": "a"}, None, {"stage": "c"}]


def test_writers_of_one_document_lose_nothing_to_each_other(tmp_path: Path) -> None:
    def add(name: int) -> None:
        for _ in range(10):
            change_document(tmp_path, "crawls", {}, lambda known: known | {f"{name}-{len(known)}": name})

    writers = [threading.Thread(target=add, args=(name,)) for name in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_document(tmp_path, "crawls", {})) == 40
    original, copy = document_paths(tmp_path, "crawls")
    assert original.read_bytes() == copy.read_bytes()


def test_a_document_has_a_known_name(tmp_path: Path) -> None:
    assert read_document(tmp_path, "settings", {"k": 1}) == {"k": 1}
    with pytest.raises(ValueError, match="none of a store's documents"):
        read_document(tmp_path, "../settings", {})


def test_what_has_no_seal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"k": 2}')
    (tmp_path / "work.jsonl").write_text('{"stage": "a"}\n')
    with pytest.raises(DamagedError, match=r"settings\.json"):
        read_document(tmp_path, "settings", {})
    with pytest.raises(DamagedError, match="line 1"):
        read_work(tmp_path / "work.jsonl")
