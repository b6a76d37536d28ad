"""The demo's crawl as it lies on disk."""

import io
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.crawl import webvision
from pipeline.crawl.decode import DecodeSettings, decode
from pipeline.crawl.files import CrawlFiles, DefectError
from pipeline.demo.catalogue import CLASSES, QUERIES
from pipeline.demo.crawl import TRUTH, read_truth, truth_path, write_demo_crawl
from pipeline.demo.encoding import file_bytes
from pipeline.demo.noise import UNDECODABLE, DemoSettings, Shot, plan

SETTINGS = DemoSettings(seed=11, train_images=520, val_images=20, test_images=30)


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "synthetic"
    write_demo_crawl(folder, SETTINGS)
    return folder


def _lines(crawl: Path, name: str) -> list[list[str]]:
    return [line.split(" ", 1) for line in (crawl / "info" / name).read_text().splitlines()]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_writes_give_the_same_bytes_and_another_seed_does_not(crawl: Path, tmp_path: Path) -> None:
    (tmp_path / "synthetic.partial").mkdir()
    (tmp_path / "synthetic.partial" / "left by a killed writer.jpg").touch()
    write_demo_crawl(tmp_path / "synthetic", SETTINGS)
    assert _files(tmp_path) == _files(crawl.parent)
    shot = plan(SETTINGS)[-1]
    assert file_bytes(SETTINGS.seed, shot) != file_bytes(SETTINGS.seed + 1, shot)


def test_a_picture_does_not_depend_on_what_is_drawn_before_it(crawl: Path) -> None:
    for shot in plan(SETTINGS)[-3:]:
        assert file_bytes(SETTINGS.seed, shot) == (crawl / shot.path).read_bytes()


def test_an_existing_folder_is_not_touched(crawl: Path) -> None:
    before = _files(crawl)
    with pytest.raises(FileExistsError, match="remove it"):
        write_demo_crawl(crawl, SETTINGS)
    assert _files(crawl) == before


def test_a_killed_writer_leaves_no_crawl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_at_five(_seed: int, shot: Shot) -> bytes:
        if shot.number == 5:
            raise KeyboardInterrupt
        return b"half a crawl"

    monkeypatch.setattr("pipeline.demo.crawl.file_bytes", stop_at_five)
    with pytest.raises(KeyboardInterrupt):
        write_demo_crawl(tmp_path / "synthetic", SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["synthetic.partial"]


def test_info_lists_classes_and_queries_with_indices_in_range(crawl: Path) -> None:
    synsets = _lines(crawl, "synsets.txt")
    assert [wnid for wnid, _ in synsets] == [known.wnid for known in CLASSES]
    assert synsets[0][1] == "bicycle, bike, wheel, cycle"
    glosses = [line.split("\t") for line in (crawl / "info" / "glosses.tsv").read_text().splitlines()]
    assert [wnid for wnid, _ in glosses] == [wnid for wnid, _ in synsets]
    queries, mapped = _lines(crawl, "queries.txt"), _lines(crawl, "queries_synsets_map.txt")
    assert queries == [[str(number), term] for number, (_, term) in enumerate(QUERIES, start=1)]
    assert mapped == [[str(number), str(label + 1)] for number, (label, _) in enumerate(QUERIES, start=1)]


@pytest.mark.parametrize("source", ["google", "flickr", "all"])
def test_train_lists_agree_with_each_other_and_with_the_texts(crawl: Path, source: str) -> None:
    listed = _lines(crawl, f"train_filelist_{source}.txt")
    described = _lines(crawl, f"train_meta_list_{source}.txt")
    assert len(listed) == len(described) > 100
    for (path, label), (text, index) in zip(listed, described, strict=True):
        assert Path(path).parent == Path(text).with_suffix("")
        assert path.startswith(("google/", "flickr/") if source == "all" else f"{source}/")
        assert QUERIES[int(Path(text).stem[1:]) - 1][0] == int(label)
        entries = json.loads((crawl / text).read_text())
        assert 1 <= int(index) <= len(entries)
        assert set(entries[int(index) - 1]) <= {"title", "description", "tags"}
    assert len({tuple(line) for line in described}) == len(described)


def test_the_union_list_holds_both_sources(crawl: Path) -> None:
    google, flickr, union = (_lines(crawl, f"train_filelist_{source}.txt") for source in ("google", "flickr", "all"))
    assert sorted(google + flickr) == sorted(union)
    assert len(union) == SETTINGS.train_images


def test_listed_and_present_files_are_the_same_but_for_the_missing_ones(crawl: Path) -> None:
    listed = {path for path, _ in _lines(crawl, "train_filelist_all.txt")}
    listed |= {
        f"{split}_images/{name}" for split in ("val", "test") for name, _ in _lines(crawl, f"{split}_filelist.txt")
    }
    present = {name for name in _files(crawl) if not name.startswith("info/") and not name.endswith(".json")}
    assert present < listed
    assert listed - present == {shot.path for shot in plan(SETTINGS) if shot.damage == "missing"}


def test_val_and_test_are_balanced_and_decode(crawl: Path) -> None:
    for split, each in (("val", 2), ("test", 3)):
        listed = _lines(crawl, f"{split}_filelist.txt")
        assert Counter(int(label) for _, label in listed) == dict.fromkeys(range(10), each)
        for name, _ in listed:
            Image.open(crawl / f"{split}_images" / name).load()


def test_truth_tells_which_files_decode(crawl: Path) -> None:
    truth = read_truth(truth_path(crawl))
    assert truth.schema == TRUTH
    assert truth["path"].to_pylist() == [path for path, _ in _lines(crawl, "train_filelist_all.txt")]
    assert truth["web_label"].to_pylist() == [int(label) for _, label in _lines(crawl, "train_filelist_all.txt")]
    for row in truth.to_pylist():
        assert _decodes(crawl, row["path"]) == (row["true_label"] != UNDECODABLE), row
        assert (row["kind"] == "undecodable") == (row["true_label"] == UNDECODABLE)


def _decodes(crawl: Path, path: str) -> bool:
    settings = DecodeSettings()
    try:
        decode(CrawlFiles(str(crawl)).read(path, settings.max_bytes), settings)
    except DefectError:
        return False
    return True


def test_the_reader_of_crawls_finds_all_of_it(crawl: Path) -> None:
    held = webvision.read(CrawlFiles(str(crawl)))
    texts = list(held.texts)
    rows = list(held.rows)
    assert Counter(row.split for row in rows) == {"train": 520, "val": 20, "test": 30}
    assert len(texts) == 520
    assert [synset.lemmas for synset in held.synsets or ()] == [list(known.lemmas) for known in CLASSES]
    expected = {
        shot.path: (CLASSES[shot.label].wnid, shot.source, shot.rank, shot.query)
        for shot in plan(SETTINGS)
        if shot.split == "train"
    }
    assert {
        row.path: (row.label, row.source, row.rank, row.query_id) for row in rows if row.split == "train"
    } == expected
    assert (held.odd.total(), held.notes) == (0, [])


def test_all_four_formats_occur_under_their_names(crawl: Path) -> None:
    shots = [shot for shot in plan(SETTINGS) if shot.damage is None]
    formats = {(shot.extension, Image.open(crawl / shot.path).format) for shot in shots}
    assert formats == {("jpg", "JPEG"), ("png", "PNG"), ("gif", "GIF"), ("webp", "WEBP")}


def test_copies_look_like_their_originals_and_have_other_bytes(crawl: Path) -> None:
    truth = read_truth(truth_path(crawl)).to_pylist()
    copies = [(row["path"], row["copy_of"]) for row in truth if row["copy_of"]]
    assert len(copies) >= 5
    for path, original in copies:
        assert (crawl / path).read_bytes() != (crawl / original).read_bytes()
        assert np.abs(_thumbnail(crawl / path) - _thumbnail(crawl / original)).mean() < 8
    strangers = [
        np.abs(_thumbnail(crawl / a) - _thumbnail(crawl / b)).mean() for (a, _), (b, _) in itertools.pairwise(copies)
    ]
    assert np.median(strangers) > 25


def _thumbnail(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    picture = Image.open(io.BytesIO(path.read_bytes())).convert("RGB").resize((12, 12), Image.Resampling.BOX)
    return np.asarray(picture, np.float64)
