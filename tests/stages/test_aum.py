"""Margins of trainings become a column of evidence; the trainings are made up."""

from pathlib import Path

import pytest

from pipeline.evidence_tables import AUM
from pipeline.stages.aum import make_aum
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import read_table
from tests.stages.tiny_store import add_model, two_crawls

A_MODEL = {100: (1.5, 2), 103: (-2.0, 4), 104: (None, 0), 900: (7.0, 3)}


def aum_of(artifact: Artifact) -> dict[int, tuple[float | None, int]]:
    rows = read_table(artifact.table("evidence")).to_pylist()
    return {row["image_id"]: (row["aum"], row["sightings"]) for row in rows}


def test_one_training(tmp_path: Path) -> None:
    """Ids 101, 200 and 201 were not in its manifest, 104 entered at a stage that never opened, 900 is of no crawl."""
    store = two_crawls(tmp_path)
    made = make_aum(store, ["a", "bb"], [add_model(store, "baseline", A_MODEL)], workers=1)
    table = read_table(made.table("evidence"))
    assert table.schema.equals(AUM)
    assert table["image_id"].to_pylist() == [100, 101, 103, 200, 104, 201]
    unseen = (None, 0)
    assert aum_of(made) == {100: (1.5, 2), 101: unseen, 103: (-2.0, 4), 200: unseen, 104: unseen, 201: unseen}
    assert not make_aum(store, ["a", "bb"], [store.current("model", "baseline")], workers=2).made


def test_several_trainings_share_their_sightings(tmp_path: Path) -> None:
    """Image 100: (2 * 1.5 + 4 * 3) / 6; an image one of them never saw takes what the other noted."""
    store = two_crawls(tmp_path)
    models = [add_model(store, "fold-0", A_MODEL), add_model(store, "fold-1", {100: (3.0, 4), 200: (0.25, 1)})]
    found = aum_of(make_aum(store, ["a", "bb"], models, workers=1))
    assert found[100] == (2.5, 6)
    assert found[103] == (-2.0, 4)
    assert found[200] == (0.25, 1)


def test_seen_with_no_other_class_to_lead_over(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    found = aum_of(make_aum(store, ["a", "bb"], [add_model(store, "m", {100: (None, 5)})], workers=1))
    assert found[100] == (None, 5)


def test_no_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        make_aum(two_crawls(tmp_path), ["a", "bb"], [], workers=1)
