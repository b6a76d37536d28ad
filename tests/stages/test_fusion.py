"""Fusing a small store: rows, verdicts, trust, resuming, missing tables."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence_tables import CLASS_TRUST, FUSED, JUDGED, MOVES, QUERY_TRUST
from pipeline.stages import classes
from pipeline.stages.fusion import make_fused
from pipeline.stages.fusion_tables import Verified
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.tables import read_table
from tests.stages.tiny_store import Picture, add_crawl, add_evidence, two_crawls

CRAWLS = ["a", "bb"]
NAMES = ["neighbours", "keyword", "rank", "kmeans"]
SETTINGS = FusionSettings()


def ready(folder: Path) -> Store:
    store = two_crawls(folder)
    add_evidence(store, CRAWLS, "duplicates", training_copies=[1, 1, 1, 1, 1, 1])
    add_evidence(
        store,
        CRAWLS,
        "neighbours",
        agreement=[1, 0.8, 0.1, 0.9, 0.9, None],
        neighbour_class=[0, 0, 2, 0, 2, None],
        neighbour_share=[1, 0.8, 0.9, 0.9, 0.9, None],
    )
    add_evidence(store, CRAWLS, "keyword", keyword=[0.9, 0.8, 0, 0.7, None, None], keyword_other=[0, 0, 0.8, 0, 0, 0])
    add_evidence(store, CRAWLS, "rank", position=[1, 2, 4, 3, None, None])
    return store


def test_every_usable_training_image_has_a_probability(tmp_path: Path) -> None:
    artifact = make_fused(ready(tmp_path), CRAWLS, NAMES, SETTINGS, workers=1)
    table = read_table(artifact.table("evidence"))
    assert table.schema.equals(FUSED)
    rows = {row["image_id"]: row for row in table.to_pylist()}
    assert list(rows) == [100, 101, 103, 200, 104, 201]
    right = {i: row["right_probability"] for i, row in rows.items()}
    assert min(right[100], right[101], right[200]) > right[103]  # whose neighbours and words are of another class
    assert (rows[100]["fused_class"], rows[100]["fused_probability"]) == (0, right[100])
    assert artifact.facts["sources"] == ["neighbours", "keyword", "rank"]
    assert artifact.facts["images"] == 6


def test_queries_and_classes_are_means_of_their_images(tmp_path: Path) -> None:
    artifact = make_fused(ready(tmp_path), CRAWLS, NAMES, SETTINGS, workers=1)
    rows = {row["image_id"]: row for row in read_table(artifact.table("evidence")).to_pylist()}
    queries, kinds = read_table(artifact.table("queries")), read_table(artifact.table("classes"))
    assert (queries.schema, kinds.schema) == (QUERY_TRUST, CLASS_TRUST)
    told = {(row["crawl"], row["query_id"], row["class_index"]): row for row in queries.to_pylist()}
    assert {key: row["images"] for key, row in told.items()} == {
        ("a", None, 0): 3,
        ("bb", None, 0): 1,
        ("a", None, 2): 1,
        ("bb", None, 2): 1,
    }
    own = np.mean([rows[i]["right_probability"] for i in (100, 101, 103)])
    assert told["a", None, 0]["right_share"] == pytest.approx(own)
    assert rows[103]["query_right_share"] == pytest.approx(own)
    whole = np.mean([rows[i]["right_probability"] for i in (100, 101, 103, 200)])
    assert kinds.to_pylist()[0] == {"class_index": 0, "images": 4, "right_share": pytest.approx(whole)}
    assert kinds["class_index"].to_pylist() == [0, 2]  # class 1 has no image
    assert rows[200]["class_right_share"] == pytest.approx(whole)


def test_doubles_count_as_one_where_shares_are_told(tmp_path: Path) -> None:
    store = ready(tmp_path)
    add_evidence(store, CRAWLS, "duplicates", training_copies=[1, 1, 2, 1, 1, 1])
    artifact = make_fused(store, CRAWLS, NAMES, SETTINGS, workers=1)
    rows = {row["image_id"]: row["right_probability"] for row in read_table(artifact.table("evidence")).to_pylist()}
    share = next(r["right_share"] for r in read_table(artifact.table("queries")).to_pylist() if r["images"] == 3)
    assert share == pytest.approx((rows[100] + rows[101] + rows[103] / 2) / 2.5)


def test_a_wrong_label_gives_way_to_the_class_that_its_neighbours_name(tmp_path: Path) -> None:
    seen = Verified.of(np.array([103]), np.array([False]))
    artifact = make_fused(ready(tmp_path), CRAWLS, NAMES, SETTINGS, seen, workers=1)
    row = read_table(artifact.table("evidence")).to_pylist()[2]
    assert (row["image_id"], row["fused_class"]) == (103, 2)
    assert row["fused_probability"] == pytest.approx(1)  # nine of the nine neighbours without its label


def test_what_a_person_saw_stands(tmp_path: Path) -> None:
    store = ready(tmp_path)
    plain = make_fused(store, CRAWLS, NAMES, SETTINGS, workers=1)
    seen = Verified.of(np.array([200, 7, 103]), np.array([False, True, True]))  # 7 is of another crawl
    artifact = make_fused(store, CRAWLS, NAMES, SETTINGS, seen, workers=1)
    assert artifact.made
    rows = {row["image_id"]: row for row in read_table(artifact.table("evidence")).to_pylist()}
    assert (rows[200]["right_probability"], rows[103]["right_probability"]) == (0, 1)
    assert rows[103]["fused_class"] == 0
    assert rows[200]["fused_class"] is None
    assert artifact.facts["verified"] == 2
    again = Verified.of(np.array([7, 103, 200]), np.array([True, True, False]))
    assert not make_fused(store, CRAWLS, NAMES, SETTINGS, again, workers=1).made  # the same, in another order
    nobody = Verified.of(np.array([], np.int64), np.array([], np.bool_))
    empty = make_fused(store, CRAWLS, NAMES, SETTINGS, nobody, workers=1)
    assert read_table(empty.table("evidence")).equals(read_table(plain.table("evidence")))


def test_neither_stretches_nor_workers_change_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for images, workers in ((1, 3), (100, 1)):
        monkeypatch.setattr(classes, "SHARD_IMAGES", images)
        store = ready(tmp_path / str(images))
        seen = Verified.of(np.array([100]), np.array([True]))
        progress: list[int] = []
        artifact = make_fused(store, CRAWLS, NAMES, SETTINGS, seen, workers=workers, on_progress=progress.append)
        assert sum(progress) == 6
        told.append(read_table(artifact.table("evidence")))
    assert told[0].equals(told[1])


def test_sources_that_are_not_there_are_not_asked(tmp_path: Path) -> None:
    store = ready(tmp_path)
    with pytest.raises(NotMadeError, match="evidence-semantic"):
        make_fused(store, CRAWLS, ["neighbours", "semantic"], SETTINGS, workers=1)
    with pytest.raises(ValueError, match="neighbours, opinion"):
        make_fused(store, CRAWLS, ["kmeans"], SETTINGS, workers=1)
    alone = make_fused(store, CRAWLS, ["rank"], SETTINGS, workers=1)
    rows = read_table(alone.table("evidence")).to_pylist()
    assert all(0 < row["right_probability"] < 1 for row in rows)


@pytest.mark.parametrize(
    "seen", [None, Verified.of(np.array([100, 103]), np.array([True, False]))], ids=["none", "two"]
)
def test_moves_add_up_to_the_probability(tmp_path: Path, seen: Verified | None) -> None:
    artifact = make_fused(ready(tmp_path), CRAWLS, NAMES, SETTINGS, seen, workers=1)
    moves = read_table(artifact.table("moves"))
    assert moves.schema.equals(MOVES)
    rows = read_table(artifact.table("evidence")).to_pylist()
    for row, move in zip(rows, moves.to_pylist(), strict=True):
        assert row["image_id"] == move.pop("image_id")
        if row["image_id"] not in (100, 103):
            assert 1 / (1 + np.exp(-sum(odds or 0 for odds in move.values()))) == pytest.approx(
                row["right_probability"], abs=1e-6
            )
    last = moves.to_pylist()[-1]  # no neighbours, no text, no rank
    assert [last[f"{view}_odds"] for view in ("picture", "text", "rank")] == [None, None, None]
    assert moves["picture_odds"][0].is_valid


def test_verdicts_are_judged_by_what_those_on_other_pictures_teach(tmp_path: Path) -> None:
    store = ready(tmp_path)
    assert read_table(make_fused(store, CRAWLS, NAMES, SETTINGS, workers=1).table("judged")).num_rows == 0
    plain = make_fused(store, CRAWLS, NAMES, SETTINGS, workers=1)
    unaided = read_table(plain.table("evidence"))["right_probability"].to_pylist()
    alone = make_fused(store, CRAWLS, NAMES, SETTINGS, Verified.of(np.array([103]), np.array([True])), workers=1)
    (only,) = read_table(alone.table("judged"), JUDGED.names).to_pylist()
    # nobody else was looked at, so that nothing was learnt: the image's own verdict must not show
    assert (only["image_id"], only["right"]) == (103, True)
    assert only["held_out_probability"] == pytest.approx(unaided[2], abs=1e-6)
    assert only["unaided_probability"] == pytest.approx(unaided[2], abs=1e-6)
    # two doubles of one picture are never asked about each other
    add_evidence(store, CRAWLS, "duplicates", duplicate_group=[100, 101, 103, 103, 104, 201], training_copies=[1] * 6)
    twins = Verified.of(np.array([103, 200]), np.array([True, True]))
    judged = read_table(make_fused(store, CRAWLS, NAMES, SETTINGS, twins, workers=1).table("judged")).to_pylist()
    assert [row["held_out_probability"] for row in judged] == pytest.approx(
        [row["unaided_probability"] for row in judged], abs=1e-6
    )


@pytest.mark.parametrize("absent", ["neighbours", "keyword", "rank"])
@pytest.mark.parametrize("seen", [None, Verified.of(np.array([103]), np.array([False]))], ids=["none", "one"])
def test_a_table_that_is_not_there_is_done_without(tmp_path: Path, absent: str, seen: Verified | None) -> None:
    artifact = make_fused(ready(tmp_path), CRAWLS, [n for n in NAMES if n != absent], SETTINGS, seen, workers=1)
    rows = {row["image_id"]: row for row in read_table(artifact.table("evidence")).to_pylist()}
    assert all(0 < row["right_probability"] < 1 for image, row in rows.items() if not (seen and image == 103))
    moves = {row["image_id"]: row for row in read_table(artifact.table("moves")).to_pylist()}
    view = {"neighbours": "picture", "keyword": "text", "rank": "rank"}[absent]
    assert {move[f"{view}_odds"] for move in moves.values()} == {None}
    # of 201 nobody knows anything: its probability is that of its query, which is all its own
    assert [moves[201][f"{name}_odds"] for name in ("picture", "text", "rank")] == [None] * 3
    assert rows[201]["right_probability"] == pytest.approx(rows[201]["query_right_share"])
    assert rows[201]["right_probability"] == pytest.approx(1 / (1 + np.exp(-moves[201]["query_odds"])), abs=1e-6)


def test_a_crawl_without_a_training_image(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_crawl(store, "a", [Picture(0, (1, 1), "val")])
    for name in ("duplicates", "rank"):
        add_evidence(store, ["a"], name)
    artifact = make_fused(store, ["a"], ["rank"], SETTINGS, workers=1)
    assert read_table(artifact.table("evidence")).num_rows == 0
    assert artifact.facts["right_share"] is None
