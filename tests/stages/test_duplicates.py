"""The duplicates stage on made-up stores: bytes, looks, splits, crawls; workers, shards and a kill change nothing."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from pipeline.crawl.fingerprint import perceptual_hash
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.same_picture import same_picture
from pipeline.evidence_tables import DUPLICATES, GROUPS
from pipeline.records import CLASSES, IMAGES, LISTING
from pipeline.stages import classes, distinct_pictures, doubles
from pipeline.stages.duplicates import make_duplicates
from pipeline.storage import arrays, buckets
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_paths, read_table, write_table

SHARD_ROWS = 4


@dataclass(frozen=True)
class Shot:
    """One listed image; `content` None means quarantined."""

    image_id: int
    class_index: int
    content: int | None  # equal ones have the same bytes
    pixels: npt.NDArray[np.uint8]
    split: str = "train"


def scene(seed: int) -> npt.NDArray[np.uint8]:
    """A picture of its own for every seed, soft enough to be cropped without change."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (96, 96), interpolation=cv2.INTER_CUBIC), np.uint8)


def cut(picture: npt.NDArray[np.uint8], by: int = 0) -> npt.NDArray[np.uint8]:
    """As stored: 48 x 48, `by` pixels of 96 cut off one side."""
    return np.asarray(cv2.resize(picture[by:], (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


def add(store: Store, crawl: str, shots: Sequence[Shot], version: str = "1") -> None:
    """Publish listing and images of a crawl as the real stages do."""
    shots = sorted(shots, key=lambda shot: ("train", "val", "test").index(shot.split))

    def listing(draft: Draft) -> Facts:
        files = {}
        rows = [
            {"image_id": s.image_id, "crawl": crawl, "path": f"{s.image_id}", "class_index": s.class_index}
            | {"split": s.split}
            for s in shots
        ]
        catalogue = [{"class_index": k, "wnid": f"n{k}", "lemmas": ["a"]} for k in range(3)]
        for name, schema, told in (("listing", LISTING, rows), ("classes", CLASSES, catalogue)):
            path = draft.table(name) / "part-00000.parquet"
            files[path] = write_table(path, schema, [pa.Table.from_pylist(told, schema=schema)])
        draft.finish(0, files)
        return {"listed": len(shots), "classes": 3}

    def images(draft: Draft) -> Facts:
        for shard in range(max(1, -(-len(shots) // SHARD_ROWS))):
            rows: list[dict[str, Any]] = []
            pixels: list[npt.NDArray[np.uint8]] = []
            for shot in shots[shard * SHARD_ROWS : (shard + 1) * SHARD_ROWS]:
                row: dict[str, Any] = {"image_id": shot.image_id, "status": "quarantined", "reason": "broken"}
                if shot.content is not None:
                    digest = hashlib.sha256(str(shot.content).encode()).hexdigest()
                    row |= {"status": "usable", "reason": None, "sha256": digest, "shard": shard, "row": len(pixels)}
                    row |= {"perceptual_hash": perceptual_hash(shot.pixels)}
                    pixels.append(shot.pixels)
                rows.append(row)
            path = draft.table("images") / f"part-{shard:05d}.parquet"
            write_table(path, IMAGES, [pa.Table.from_pylist(rows, schema=IMAGES)])
            with write_array(
                draft.table("pixels") / f"part-{shard:05d}.npy", (len(pixels), 48, 48, 3), np.uint8
            ) as out:
                out[:] = np.array(pixels, np.uint8).reshape(out.shape)
            draft.finish(shard, {path: len(rows)})
        return {"usable": sum(s.content is not None for s in shots)}

    store.make("listing", crawl, f"l{version}", listing)
    store.make("images", crawl, f"i{version}", images)


def made(store: Store, workers: int = 1, **settings: Any) -> Artifact:
    crawls = store.partitions("listing")
    return make_duplicates(store, crawls, DuplicateSettings(**settings), workers=workers)


def rows(artifact: Artifact, table: str = "evidence") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(artifact.table(table)).to_pylist()
    return found


A, B, C, D = (scene(seed) for seed in range(4))
FIRST = (
    Shot(30, 0, 1, cut(A)),
    Shot(31, 2, 1, cut(A)),  # the same file under another class
    Shot(32, 0, 2, cut(A, 1)),  # cropped by a pixel
    Shot(33, 0, 3, cut(B)),
    Shot(34, 1, None, cut(A)),
    Shot(35, 1, 4, cut(C)),
    Shot(36, 1, 5, cut(C, 1), "test"),
    Shot(37, 1, 6, cut(D), "val"),
)
SECOND = (Shot(12, 1, 3, cut(B)), Shot(11, 2, 7, cut(scene(9))), Shot(13, 2, 6, cut(D), "test"))


def two_crawls(folder: Path) -> Store:
    store = Store(folder)
    add(store, "a", FIRST)
    add(store, "bb", SECOND)
    return store


def test_doubles_are_found_over_classes_crawls_and_splits(tmp_path: Path) -> None:
    found = made(two_crawls(tmp_path))
    table = read_table(found.table("evidence"))
    assert table.schema.equals(DUPLICATES)
    told = [tuple(row.values()) for row in table.to_pylist()]
    assert told == [  # by class, then crawl: image_id, group, exact, near, training, leak
        (30, 30, 1, 1, 3, False),
        (32, 30, 0, 2, 3, False),
        (33, 12, 1, 0, 2, False),
        (35, 35, 0, 1, 1, True),
        (12, 12, 1, 0, 2, False),
        (31, 30, 1, 1, 3, False),
        (11, 11, 0, 0, 1, False),
    ]
    groups = read_table(found.table("groups"))
    assert groups.schema.equals(GROUPS)
    assert [tuple(row.values()) for row in groups.to_pylist()] == [
        (12, 12, 1, "train", True, False),
        (12, 33, 0, "train", True, False),
        (13, 13, 2, "test", True, False),
        (13, 37, 1, "val", True, False),
        (30, 30, 0, "train", True, False),
        (30, 31, 2, "train", True, False),
        (30, 32, 0, "train", False, False),
        (35, 35, 1, "train", False, True),
        (35, 36, 1, "test", False, True),
    ]
    assert found.facts == {"images": 7, "groups": 4, "exact": 6, "near": 5, "leaks": 1}


def test_without_tolerance_only_bytes_count(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    assert made(store, tolerance=1e-3).facts == {"images": 7, "groups": 3, "exact": 6, "near": 0, "leaks": 0}
    assert made(store).facts["near"] == 5


def test_the_same_file_in_training_and_test_is_a_leak(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, "a", [Shot(1, 0, 5, cut(A)), Shot(2, 0, 5, cut(A), "test"), Shot(3, 0, 6, cut(B))])
    assert [(row["leak"], row["training_copies"]) for row in rows(made(store))] == [(True, 1), (False, 1)]


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_and_sizes_of_pieces_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    whole = rows(made(two_crawls(tmp_path / "whole")))
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    monkeypatch.setattr(doubles, "CHUNK_PAIRS", 2)
    monkeypatch.setattr(doubles, "_TASK_PAIRS", 1)
    monkeypatch.setattr(distinct_pictures, "_PIXEL_BYTES", 1)
    monkeypatch.setattr(arrays, "BLOCK_ROWS", 3)
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 2)
    one, many = (made(two_crawls(tmp_path / str(n)), workers=n) for n in (1, workers))
    assert rows(one) == whole
    for name in ("evidence", "groups"):
        paths = [part_paths(artifact.table(name)) for artifact in (one, many)]
        assert [path.read_bytes() for path in paths[0]] == [path.read_bytes() for path in paths[1]]
    assert len(part_paths(one.table("evidence"))) > 1


def test_a_killed_run_compares_only_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows(made(two_crawls(tmp_path / "whole")))
    monkeypatch.setattr(doubles, "CHUNK_PAIRS", 1)
    compared: list[int] = []

    def counted(first: Any, second: Any, tolerance: float) -> Any:
        if len(compared) == 1 and not (tmp_path / "again").exists():
            raise KeyboardInterrupt
        compared.append(len(first))
        return same_picture(first, second, tolerance)

    monkeypatch.setattr(doubles, "same_picture", counted)
    store = two_crawls(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        made(store)
    (tmp_path / "again").touch()
    assert rows(made(store)) == expected
    assert compared == [1] * 2  # A with its crop, C with its crop


def test_a_crowd_of_blank_pictures_is_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.evidence.hashes.WINDOW", 2)
    blank = np.full((48, 48, 3), 255, np.uint8)
    store = Store(tmp_path)
    add(store, "a", [Shot(100 + i, i % 3, i, blank) for i in range(20)] + [Shot(7, 0, 99, cut(A))])
    found = rows(made(store))
    assert {row["duplicate_group"] for row in found} == {7, 100}
    assert {row["near_copies"] for row in found} == {0, 19}


@pytest.mark.parametrize("shots", [[], [Shot(1, 0, None, cut(A))], [Shot(5, 1, 1, cut(A))]])
def test_no_image_and_one(tmp_path: Path, shots: list[Shot]) -> None:
    store = Store(tmp_path)
    add(store, "a", shots)
    found = made(store)
    usable = [shot for shot in shots if shot.content is not None]
    assert [row["duplicate_group"] for row in rows(found)] == [shot.image_id for shot in usable]
    assert read_table(found.table("groups")).num_rows == 0


def test_every_digit_of_the_hash_counts() -> None:
    told = ["0" * 64, "0" * 63 + "1", "1" + "0" * 63, "f" * 64, "A" * 64, "a" * 64]
    words = [tuple(row) for row in distinct_pictures._digits(pa.array(["x" * 64, *told]).slice(1)).tolist()]
    assert len(set(words[:3])) == 3
    assert words[4] == words[5]
    assert distinct_pictures._digits(pa.array([], pa.string())).shape == (0, 2)


def test_a_new_crawl_compares_its_own_pictures_and_equals_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `old` 10 and 11 are one picture, 12 another; `new` has a crop of 12, and 5, of the same bytes as 11."""
    one, two = scene(1), scene(2)
    old = [
        Shot(10, 0, 1, cut(one)),
        Shot(11, 0, 2, cut(one, 2)),
        Shot(12, 1, 3, cut(two)),
        Shot(13, 1, 4, cut(scene(3))),
    ]
    new = [Shot(20, 1, 5, cut(two, 2)), Shot(5, 2, 2, cut(one, 2))]
    looked: list[int] = []

    def counting(pixels: Any, tolerance: float, asked: Any, compare: Any = doubles._confirmed) -> Any:
        looked.append(len(asked.pairs))
        return compare(pixels, tolerance, asked)

    monkeypatch.setattr(doubles, "_confirmed", counting)
    grown, rebuilt = Store(tmp_path / "grown"), Store(tmp_path / "rebuilt")
    add(grown, "a", old)
    make_duplicates(grown, ["a"], DuplicateSettings(), workers=1)
    assert looked == [1]
    for store in (grown, rebuilt):
        add(store, "b", new)
    add(rebuilt, "a", old)
    looked.clear()
    made = make_duplicates(grown, ["a", "b"], DuplicateSettings(), workers=1)
    assert looked == [2]  # 12 with 20, and 10 with 11, whose bytes are named 5 now
    whole = make_duplicates(rebuilt, ["a", "b"], DuplicateSettings(), workers=1)
    assert made.identity == whole.identity
    assert whole.facts["near"] == 5
    assert parts_of(made) == parts_of(whole)
    add(grown, "c", [Shot(30, 0, 9, cut(scene(4)))])
    looked.clear()
    make_duplicates(grown, ["a", "b", "c"], DuplicateSettings(), workers=1)
    assert looked == []  # nothing is like it
    make_duplicates(grown, ["a", "b", "c"], DuplicateSettings(tolerance=0.5), workers=1)
    assert looked == [2]  # other rules: all is looked at again


def test_parts_that_nothing_changed_in_are_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three classes, a part each: the second gains an image, the third a double in it, the first nothing."""
    monkeypatch.setattr(classes, "SHARD_IMAGES", 2)
    old = [Shot(10 * k + i, k, 10 * k + i, cut(scene(10 * k + i))) for k in range(3) for i in range(2)]
    store, rebuilt = Store(tmp_path / "grown"), Store(tmp_path / "rebuilt")
    for one in (store, rebuilt):
        add(one, "a", old)
        add(one, "b", [Shot(40, 1, 20, cut(scene(20)))])
    before = make_duplicates(store, ["a"], DuplicateSettings(), workers=1)
    made = make_duplicates(store, ["a", "b"], DuplicateSettings(), workers=1)
    files = [[path.stat().st_ino for path in part_paths(one.table("evidence"))] for one in (before, made)]
    assert [then == now for then, now in zip(*files, strict=True)] == [True, False, False]
    assert parts_of(made) == parts_of(make_duplicates(rebuilt, ["a", "b"], DuplicateSettings(), workers=1))


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_crawl_that_changed_gives_what_a_rebuild_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: bool
) -> None:
    """Of `b` goes an image that named the bytes of one of `a`, and one that lay between others in a crowd."""
    monkeypatch.setattr("pipeline.evidence.hashes.WINDOW", 2)
    crowd = [Shot(100 + i, i % 3, 50 + i, cut(A)) for i in range(0, 12, 2)]
    before = [Shot(5, 0, 1, cut(B)), *(Shot(101 + i, 1, 51 + i, cut(A)) for i in range(0, 12, 2))]
    after = [Shot(20, 1, 2, cut(B, 1)), *(Shot(101 + i, 1, 51 + i, cut(A)) for i in range(0, 12, 4))]
    grown, rebuilt = Store(tmp_path / "grown"), Store(tmp_path / "rebuilt")
    for store in (grown, rebuilt):
        add(store, "a", [Shot(10, 0, 1, cut(B)), Shot(11, 0, 3, cut(B, 2)), *crowd])
    add(grown, "b", before)
    made(grown)
    for store in (grown, rebuilt):
        add(store, "b", after, version="2")
    if forgotten:
        shutil.rmtree(grown.folder("images", "b", "i1"))
    whole = made(rebuilt)
    assert parts_of(made(grown)) == parts_of(whole)
    assert {row["duplicate_group"] for row in rows(whole)} == {10, 100}


def test_a_killed_run_goes_on_though_it_learned_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = parts_of(made(two_crawls(tmp_path / "whole")))
    monkeypatch.setattr(doubles, "CHUNK_PAIRS", 1)
    looked: list[int] = []

    def interrupted(*asked: Any, compare: Any = doubles._confirmed) -> Any:
        if looked:
            raise KeyboardInterrupt
        looked.append(1)
        return compare(*asked)

    store = two_crawls(tmp_path / "killed")
    with monkeypatch.context() as killed:
        killed.setattr(doubles, "_confirmed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made(store)
    assert looked == [1]
    make_duplicates(store, ["a"], DuplicateSettings(), workers=1)
    assert parts_of(made(store)) == whole


def parts_of(artifact: Artifact) -> dict[str, bytes]:
    files = [path for path in artifact.folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(artifact.folder)): path.read_bytes() for path in files}
