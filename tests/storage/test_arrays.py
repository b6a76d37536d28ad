"""Memory-mapped shards: gathered rows equal plain indexing, damage is noticed."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.arrays import ArrayShards, open_array, scratch_array, write_array


def shards_of(folder: Path, sizes: list[int], first: int = 0) -> list[np.ndarray]:
    arrays = []
    for number, size in enumerate(sizes):
        values = np.arange(first, first + size * 6, dtype=np.float16).reshape(size, 2, 3)
        first += size * 6
        with write_array(folder / f"part-{number:05d}.npy", values.shape, values.dtype) as out:
            out[:] = values
        arrays.append(values)
    return arrays


def test_gather_reads_across_folders_in_the_order_asked(tmp_path: Path) -> None:
    arrays = shards_of(tmp_path / "a", [2, 3]) + shards_of(tmp_path / "b", [4], first=600)
    shards = ArrayShards([tmp_path / "a", tmp_path / "b"])
    assert len(shards) == 9
    assert shards.offsets == [0, 2]
    found = shards.gather(np.array([2, 0, 2, 1]), np.array([3, 1, 0, 2]))
    assert np.array_equal(found, np.stack([arrays[2][3], arrays[0][1], arrays[2][0], arrays[1][2]]))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), max_size=20))
def test_gather_equals_indexing(tmp_path_factory: pytest.TempPathFactory, picks: list[tuple[int, int]]) -> None:
    folder = tmp_path_factory.mktemp("shards")
    arrays = shards_of(folder, [3, 3])
    shard, row = (np.array([pick[i] for pick in picks], np.int32) for i in (0, 1))
    found = ArrayShards([folder]).gather(shard, row)
    assert found.shape == (len(picks), 2, 3)
    assert all(np.array_equal(found[i], arrays[s][r]) for i, (s, r) in enumerate(picks))


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    shards_of(tmp_path, [2, 0, 1])
    shards = ArrayShards([tmp_path])
    assert [len(shard) for shard in shards.shards] == [2, 0, 1]
    assert shards.gather(np.array([2]), np.array([0])).shape == (1, 2, 3)


def test_any_numpy_reads_it_and_a_cut_file_is_refused(tmp_path: Path) -> None:
    (values,) = shards_of(tmp_path, [4])
    path = tmp_path / "part-00000.npy"
    assert np.array_equal(np.load(path), values)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="header promises"):
        open_array(path)


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "part-00000.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="header is broken"):
        open_array(tmp_path / "part-00000.npy")


def test_a_scratch_array_lies_in_a_file_that_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = scratch_array((3, 2), np.int32)
    assert array.tolist() == [[0, 0], [0, 0], [0, 0]]
    array[1] = 7
    assert array.sum() == 14
    assert isinstance(array.base, np.memmap)  # not in memory
    assert list(tmp_path.iterdir()) == []
    assert scratch_array((0, 2), np.int8).shape == (0, 2)
