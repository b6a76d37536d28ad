"""The keyword stage: every usable training image once, unknown is null, the same on one worker or many."""

from pathlib import Path

import pytest

from pipeline.evidence.keyword import KeywordSettings
from pipeline.evidence_tables import KEYWORD
from pipeline.stages import classes
from pipeline.stages.keyword import make_keyword
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import part_paths, read_table
from tests.evidence.test_keyword import CAR, CAR_TEXTS, FLOWER, FLOWER_TEXTS
from tests.stages.text_store import Told, add_texts


def both_senses(folder: Path) -> Store:
    """Two crawls of both senses of *corolla*, some with the wrong one's label."""
    store = Store(folder)
    flower = [Told(0, text) for text in [*FLOWER_TEXTS, *CAR_TEXTS]]
    add_texts(store, "a", [FLOWER, CAR], [*flower, Told(0, "IMG_1"), Told(0, "corolla", split="val")])
    car = [Told(1, text) for text in [*CAR_TEXTS, *FLOWER_TEXTS]]
    add_texts(store, "bb", [FLOWER, CAR], [Told(0, FLOWER_TEXTS[0], broken=True), Told(0, None), *car])
    return store


def test_each_sense_ranks_its_own_texts_first(tmp_path: Path) -> None:
    made = make_keyword(both_senses(tmp_path), ["a", "bb"], KeywordSettings(), workers=1)
    table = read_table(made.table("evidence"))
    assert table.schema == KEYWORD
    rows = {row["image_id"]: row for row in table.to_pylist()}
    assert list(rows) == [*range(100, 107), *range(201, 208)]
    unknown = {"keyword": None, "keyword_other": None, "keyword_class": None}
    assert rows[106] == {"image_id": 106, **unknown}
    assert rows[201] == {"image_id": 201, **unknown}
    for first, other in ((100, 1), (202, 0)):
        right, wrong = (list(range(first + k, first + k + 3)) for k in (0, 3))
        assert min(rows[i]["keyword"] for i in right) > max(rows[i]["keyword"] for i in wrong)
        assert all(rows[i]["keyword"] > rows[i]["keyword_other"] for i in right)
        assert all(rows[i]["keyword"] < rows[i]["keyword_other"] for i in wrong)
        assert {rows[i]["keyword_class"] for i in right + wrong} == {other}
    assert made.facts == {"images": 14, "unknown": 2}


def test_one_worker_equals_many_and_settings_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    made = [
        make_keyword(both_senses(tmp_path / str(workers)), ["a", "bb"], KeywordSettings(), workers=workers)
        for workers in (1, 3)
    ]
    one, many = (part_paths(artifact.table("evidence")) for artifact in made)
    assert len(one) == 2
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in many]
    again = both_senses(tmp_path / "1")
    assert not make_keyword(again, ["a", "bb"], KeywordSettings(), workers=2).made
    assert make_keyword(again, ["a", "bb"], KeywordSettings(name=0.5), workers=2).made
