"""The fuzzing itself: drawn by the seed alone, and not blind to a run that would have ended."""

import os
import signal
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.faults import fuzz, fuzz_documents
from benchmarks.faults.fuzz import breed, count_outcome, signature
from benchmarks.faults.mutate import BYTES, DOCUMENTS, mutated
from benchmarks.faults.seeds import documents, pictures
from benchmarks.faults.tally import Tally, table
from pipeline.crawl.decode import FORMATS, DecodeSettings, decode
from pipeline.crawl.detect import contents
from pipeline.crawl.workers import DecodePool

TEXTS = "texts of a query (JSON)"


def test_what_fuzzing_begins_with_is_sound(tmp_path: Path) -> None:
    assert set(pictures()) == set(FORMATS)
    for files in pictures().values():
        for data in files:
            assert decode(data, DecodeSettings(image_size=32)).pixels.shape == (32, 32, 3)
    for number, (kind, files) in enumerate(documents().items()):
        folder = fuzz_documents._crawl(tmp_path / str(number), kind)
        read = fuzz_documents.read_all(folder, folder / fuzz_documents._PLACES[kind], files)
        assert read == [("read", "")] * len(files), kind


@pytest.mark.parametrize(("changes", "sound"), [(BYTES, pictures()["PNG"]), (DOCUMENTS, documents()[TEXTS])])
def test_mutations_are_drawn_by_the_seed(changes: Any, sound: list[bytes]) -> None:
    def drawn() -> list[bytes]:
        return [mutated(sound[0], sound, np.random.default_rng([7, number]), changes) for number in range(200)]

    assert drawn() == drawn()
    assert len(set(drawn())) > 180
    assert sum(data != sound[0] for data in drawn()) > 190


def test_half_of_the_pngs_get_past_their_checksums() -> None:
    sound = pictures()["PNG"][:1]
    rng = np.random.default_rng(0)
    right = 0
    for _ in range(200):
        data = mutated(sound[0], sound, rng, BYTES)
        size = int.from_bytes(data[8:12], "big")
        right += zlib.crc32(data[12 : 16 + size]).to_bytes(4, "big") == data[16 + size : 20 + size]
    assert 80 < right < 190


def test_only_the_guided_half_goes_on_with_what_is_new() -> None:
    sound = [b"sound" * 20]
    grown: dict[str, list[list[bytes]]] = {}
    for half, children, learn in breed(sound, BYTES, 2 * 3 * fuzz.GENERATION, [0]):
        grown.setdefault(half, []).append(children)
        learn([("broken", "abcdefghij"[at % 10]) for at in range(len(children))])
    assert [len(children) for half in ("blind", "guided") for children in grown[half]] == [fuzz.GENERATION] * 6
    near = {half: sum(b"sound" * 8 in child for child in generations[2]) for half, generations in grown.items()}
    assert near["guided"] < near["blind"]  # its parents were mutated already


def test_numbers_and_quoted_words_do_not_make_a_signature() -> None:
    assert signature(("broken", "chunk b'IHDR' at 12")) == signature(("broken", "chunk b'IDAT' at 7"))
    assert signature(("broken", "a")) != signature(("broken", "b")) != signature(("empty", "b"))


def test_a_run_that_would_end_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fuzz_documents._crawl(tmp_path, TEXTS)
    place = folder / fuzz_documents._PLACES[TEXTS]
    files = [b"[{}]", b"die", b"[", b"raise", b"[{}]"]

    def traps(*told: Any) -> Any:
        if place.read_bytes() == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if place.read_bytes() == b"raise":
            raise KeyError("no refusal")
        return contents(*told)

    monkeypatch.setattr(fuzz_documents, "contents", traps)
    found = fuzz_documents.read_all(folder, place, files)
    assert [kind for kind, _ in found] == ["read", "dead", "refused", "dead", "read"]
    assert [found[1][1], found[3][1]] == ["exit status -9", "KeyError: 'no refusal'"]


def test_a_picture_that_ends_the_run_or_a_process_past_its_limit_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "pictures", lambda: {"PNG": pictures()["PNG"][:1]})
    monkeypatch.setattr(fuzz, "_look", lambda limits: limits.attempt("never"))
    monkeypatch.setattr(DecodePool, "decode", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    pngs, limits = fuzz.fuzz_pictures(tmp_path / "fuzz", 10, 0)
    assert (pngs.tries, pngs.survived, limits.tries) == (10, 0, 0)
    assert pngs.lost[0] == "blind: the run ended: OSError: gone"


def test_what_became_of_the_tries_is_a_table_of_its_own() -> None:
    tally, seen = Tally("pictures"), set[tuple[str, str]]()
    for outcome in (("usable", ""), ("broken", "at 1"), ("broken", "at 2"), ("timeout", "more than 2 seconds")):
        count_outcome(tally, "blind", outcome, seen)
    assert tally.found == {"taken": 1, "refused": 3, "timeout": 1, "signatures, blind": 2}
    told = table([tally.row(), Tally("another").row()]).splitlines()
    assert told[-3:] == [
        "| fault | refused | signatures, blind | taken | timeout |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| pictures | 3 | 2 | 1 | 1 |",
    ]
