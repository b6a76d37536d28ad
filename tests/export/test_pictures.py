"""Shards of pictures, each loaded by the library it is for; resumed, left out, and the same bytes again."""

import dataclasses
import json
import tarfile
from pathlib import Path
from typing import Any

import datasets
import pytest
import webdataset
from timm.data.dataset_factory import create_dataset

from pipeline.crawl.settings import CrawlSettings
from pipeline.export import huggingface, pictures
from pipeline.export.formats import make_export, steps
from pipeline.storage.draft import Draft
from tests.crawl.tiny import tar
from tests.export.export_store import Made, picture

#: height -> class, weight, repeats
KEPT = {21: (0, 0.5, 2), 22: (0, 2.0, 1), 23: (0, 1.0, 1), 27: (1, 1.0, 1), 28: (1, 1.0, 1)}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def samples(folder: Path) -> list[Any]:
    shards = sorted(map(str, folder.glob("*.tar")))
    return list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))


def members(folder: Path) -> list[list[tarfile.TarInfo]]:
    """Of each shard."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as shard:
            found.append(shard.getmembers())
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_webdataset_reads_the_shards(two: Made, tmp_path: Path) -> None:
    export = make_export(two.store, two.source(), "webdataset", tmp_path / "out")
    assert export.facts == {"images": 5, "shards": 1, "left_out": 0, "notes": []}
    found = {}
    for sample in samples(tmp_path / "out"):
        shown = next(sample[kind] for kind in ("jpg", "png", "gif") if kind in sample)
        found[shown.height] = (sample["cls"], sample["json"]["weight"], sample["json"]["repeats"])
        assert sample["__key__"] == f"{sample['json']['image_id'] % 2**64:016x}"
    assert found == KEPT
    told = next(sample["json"] for sample in samples(tmp_path / "out") if "=d" in sample["json"]["path"])
    assert (told["class"], told["class_index"], told["stage"], told["crawl"]) == ("daisy", 0, 1, "crawl")
    assert told["reason"] == "=1+1; moved"


def test_timm_reads_the_shards(one: Made, tmp_path: Path) -> None:
    one.decisions.clear()
    one.decide("train/n1/a.jpg", 1.0)
    one.decide("train/n2/e.jpg", 1.0)
    make_export(one.store, one.source(), "webdataset", tmp_path / "out")
    dataset = create_dataset("wds/", str(tmp_path / "out"), split="train-{00000..00000}.tar|2")
    assert sorted((image.height, label) for image, label in dataset) == [(21, 0), (24, 1)]


def test_shards_close_at_their_limits_and_mix_the_classes(
    two: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "SHARD_IMAGES", 2)
    make_export(two.store, two.source(), "webdataset", tmp_path / "two")
    assert [len(shard) / 3 for shard in members(tmp_path / "two")] == [2, 2, 1]
    ids = [json["image_id"] for json in (sample["json"] for sample in samples(tmp_path / "two"))]
    assert ids == sorted(ids)  # hashes
    monkeypatch.setattr(pictures, "SHARD_BYTES", 1)  # every picture is larger: a shard alone
    make_export(two.store, two.source(), "webdataset", tmp_path / "one")
    assert [len(shard) for shard in members(tmp_path / "one")] == [3] * 5
    assert {(one.mtime, one.uid, one.uname, one.mode) for shard in members(tmp_path / "two") for one in shard} == {
        (0, 0, "", 0o644)
    }


def test_bytes_are_the_crawl_s_own(two: Made, tmp_path: Path) -> None:
    make_export(two.store, two.source(), "webdataset", tmp_path / "out")
    shards = [str(path) for path in (tmp_path / "out").glob("*.tar")]
    raw = list(webdataset.WebDataset(shards, shardshuffle=False))
    delivered = {path.read_bytes() for path in two.root.rglob("*") if path.suffix in {".jpg", ".png", ".gif"}}
    assert {sample[kind] for sample in raw for kind in ("jpg", "png", "gif") if kind in sample} < delivered


def test_datasets_loads_the_folder(two: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SHARD_IMAGES", 3)
    monkeypatch.setattr(huggingface, "GROUP_ROWS", 2)
    make_export(two.store, two.source(), "huggingface", tmp_path / "out")
    told = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    loaded = datasets.load_dataset(str(tmp_path / "out"), **told)
    assert loaded.features["image"] == datasets.Image()
    assert loaded.features["label"] == datasets.ClassLabel(names=["n1", "n2"])
    assert loaded.features["weight"] == datasets.Value("float32")
    rows = list(loaded)
    assert {row["image"].height: (row["label"], row["weight"], row["repeats"]) for row in rows} == KEPT
    (moved,) = (row for row in rows if "=d" in row["path"])
    assert (moved["class_name"], moved["reason"], moved["stage"], moved["crawl"]) == (
        *("daisy", "=1+1; moved", 1, "crawl"),
    )
    streamed = datasets.load_dataset(str(tmp_path / "out"), streaming=True, **told)
    assert [row["image_id"] for row in streamed] == [row["image_id"] for row in rows]
    assert "5 images of 2 classes" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("name", ["webdataset", "huggingface"])
def test_an_export_that_was_killed_ends_in_the_same_bytes(
    two: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(pictures, "SHARD_IMAGES", 2)
    (two.root / "more" / "n2" / "g.jpg").write_bytes(b"another picture")
    whole = make_export(two.store, two.source(), name, tmp_path / "whole")
    finish = Draft.finish
    finished: list[int] = []

    def dies(draft: Draft, shard: int, *arguments: Any) -> None:
        if finished:
            raise KeyboardInterrupt
        finished.append(shard)
        finish(draft, shard, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Draft, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            make_export(two.store, two.source(), name, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    first = next(path for path in (tmp_path / "again.partial").rglob("train-00000*"))
    written = first.stat().st_ino
    told: list[int] = []
    again = make_export(two.store, two.source(), name, tmp_path / "again", told.append)
    assert again.facts == whole.facts
    assert (whole.facts["images"], whole.facts["left_out"]) == (4, 1)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert next(path for path in (tmp_path / "again").rglob("train-00000*")).stat().st_ino == written  # not again
    assert not (tmp_path / "again.partial").exists()
    assert sum(told) == steps(two.source(), name) == 5


def test_a_picture_that_is_gone_or_changed_is_left_out_and_named(one: Made, tmp_path: Path) -> None:
    (one.root / "crawl/train/n1/a.jpg").unlink()
    (one.root / "crawl/train/n2/=d.png").write_bytes(picture(9, "PNG"))
    export = make_export(one.store, one.source(), "webdataset", tmp_path / "out")
    assert (export.facts["images"], export.facts["left_out"]) == (1, 2)
    lines = (tmp_path / "out" / "left_out.csv").read_text(encoding="utf-8-sig").splitlines()
    assert sorted(line.split(",", 1)[1] for line in lines[1:]) == [
        '"crawl","train/n1/a.jpg","missing"',
        '"crawl","train/n2/=d.png","changed since it was decoded"',
    ]
    assert "left_out.csv" in json.loads((tmp_path / "out" / "export.json").read_text())["files"]


@pytest.mark.parametrize("hopeless", [2, 1000])
def test_a_crawl_that_is_gone_is_told_at_once(
    one: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hopeless: int
) -> None:
    monkeypatch.setattr(pictures, "HOPELESS", hopeless)
    files = one.source().files()
    source = dataclasses.replace(one.source(), files=lambda: files)
    (one.root / "crawl").rename(one.root / "elsewhere")
    with pytest.raises(ValueError, match=rf"none of the first {min(hopeless, 3)} pictures can be read \(missing\)"):
        make_export(one.store, source, "webdataset", tmp_path / "out")


def test_pictures_that_lie_packed_are_cut_out(tmp_path: Path) -> None:
    made = Made(tmp_path)
    packed = [(f"{k}.png", picture(k, "PNG")) for k in (1, 2, 3)]
    labels = [("1.cls", b"n1"), ("2.cls", b"n1"), ("3.cls", b"n2")]
    pairs = [member for pair in zip(packed, labels, strict=True) for member in pair]
    made.add("crawl", {"shard-0.tar": tar(pairs)}, CrawlSettings())
    made.decide("shard-0.tar/1.png", 1.0)
    made.decide("shard-0.tar/3.png", 1.0)
    make_export(made.store, made.source(), "webdataset", tmp_path / "out")
    assert sorted((sample["png"].height, sample["cls"]) for sample in samples(tmp_path / "out")) == [(21, 0), (23, 1)]
