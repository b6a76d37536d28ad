"""File lists and weights: line by line, and as torchvision, timm and torch take them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from timm.data.readers.class_map import load_class_map
from torch.utils.data import WeightedRandomSampler
from torchvision.datasets import DatasetFolder
from torchvision.datasets.folder import default_loader

from pipeline.export import source as source_module
from pipeline.export.formats import make_export
from pipeline.export.lists import PARTING
from pipeline.storage.tables import read_part
from tests.export.export_store import Made


class Listed(DatasetFolder):  # type: ignore[misc]
    """torchvision's own dataset over a list instead of a folder."""

    def __init__(self, root: Path, export: Path) -> None:
        self.export = export
        super().__init__(str(root), default_loader, extensions=(".jpg", ".png", ".gif"))

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        assert directory
        names = (self.export / "classes.txt").read_text().splitlines()
        return names, {name: index for index, name in enumerate(names)}

    def make_dataset(self, directory: str | Path, *_: Any, **__: Any) -> list[tuple[str, int]]:
        lines = [line.split() for line in (self.export / "list.txt").read_text().splitlines()]
        return [(str(Path(directory) / path), int(index)) for path, index in lines]


def test_a_line_for_each_time_an_epoch_sees_an_image(two: Made, tmp_path: Path) -> None:
    export = make_export(two.store, two.source(), "list", tmp_path / "out")
    assert (tmp_path / "out" / "list.txt").read_text().splitlines() == [
        "crawl/train/n1/a.jpg 0",
        "crawl/train/n1/a.jpg 0",
        "crawl/train/n2/=d.png 0",  # trained on as a daisy
        "more/n2/g.jpg 1",
        "more/n2/f.gif 1",
    ]
    assert (tmp_path / "out" / "classes.txt").read_text() == "n1\nn2\n"
    assert (export.facts["images"], export.facts["lines"], export.facts["left_out"]) == (4, 5, 1)
    header, *lines = (tmp_path / "out" / "left_out.csv").read_text(encoding="utf-8-sig").splitlines()
    assert header == '"image_id","crawl","path","why"'
    assert [line.split(",", 1)[1] for line in lines] == [
        '"crawl","train/n1/b c.png","its path holds a blank or a line end, which a list cannot"'
    ]


def test_torchvision_and_timm_read_the_list(one: Made, tmp_path: Path) -> None:
    make_export(one.store, one.source(), "list", tmp_path / "out")
    dataset = Listed(one.root / "crawl", tmp_path / "out")  # paths are relative to the crawl
    assert [(image.height, label) for image, label in dataset] == [(21, 0), (21, 0), (23, 0)]
    assert dataset.classes == ["n1", "n2"]
    named = load_class_map(str(tmp_path / "out" / "classes.txt"))  # type: ignore[no-untyped-call]
    assert named == {"n1": 0, "n2": 1}


def test_a_list_says_that_it_does_not_hold_weights(one: Made, tmp_path: Path) -> None:
    (note,) = make_export(one.store, one.source(), "list", tmp_path / "weighed").facts["notes"]
    assert note.endswith("export weights too")
    for path in list(one.decisions):
        one.decide(path, 1.0)
    assert make_export(one.store, one.source(), "list", tmp_path / "equal").facts["notes"] == []


def test_a_list_of_nothing_is_refused(one: Made, tmp_path: Path) -> None:
    one.decisions = {"train/n1/b c.png": one.decisions["train/n1/b c.png"]}
    with pytest.raises(ValueError, match="every path holds a blank"):
        make_export(one.store, one.source(), "list", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_mark_that_a_reader_might_part_a_line_at_is_refused() -> None:
    marks = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    refused = pc.match_substring_regex(pa.array(marks), PARTING).to_pylist()
    passed = "a".join(mark for mark, out in zip(marks, refused, strict=True) if not out)
    assert len(passed.split()) == len(passed.splitlines()) == 1
    assert sum(refused) < 100  # and hardly another


def test_the_sampler_draws_as_the_manifest_weighs(two: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "BATCH_ROWS", 2)
    two.decide("n2/g.jpg", 0.5, 3)
    make_export(two.store, two.source(), "weights", tmp_path / "out")
    weights = np.load(tmp_path / "out" / "weights.npy")
    table = read_part(tmp_path / "out" / "images.parquet")
    assert table["path"].to_pylist() == [
        "crawl/train/n1/a.jpg",
        "crawl/train/n1/b c.png",  # any name can stand in a table
        "crawl/train/n2/=d.png",
        "more/n2/g.jpg",
        "more/n2/f.gif",
    ]
    assert table["class_index"].to_pylist() == [0, 0, 0, 1, 1]
    assert table["stage"].to_pylist() == [0, 0, 1, 0, 0]
    assert (weights.dtype, weights.tolist()) == (np.float64, [1, 2, 1, 1.5, 1])
    sampler = WeightedRandomSampler(weights.tolist(), 40_000, generator=torch.Generator().manual_seed(0))
    drawn = np.bincount(np.array(list(sampler)), minlength=5) / 40_000
    assert drawn == pytest.approx(weights / weights.sum(), abs=0.01)


@pytest.mark.parametrize("name", ["list", "weights"])
def test_pictures_that_are_no_files_cannot_be_listed(one: Made, tmp_path: Path, name: str) -> None:
    source = one.source()
    source.listings[0].facts["containers"] = "crawl"
    with pytest.raises(ValueError, match="the pictures of crawl lie packed in larger files"):
        make_export(one.store, source, name, tmp_path / "out")
