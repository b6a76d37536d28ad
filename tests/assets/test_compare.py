"""`winnow diff` as a user calls it: recipes, earlier versions, other stores."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from assets.compare import diff
from assets.recipes import recipe_named
from pipeline.stages.manifest import make_manifest
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.tables import part_paths, read_part
from tests.stages.tiny_store import A, Picture, add_crawl, add_evidence, two_crawls

CRAWLS = ["a", "bb"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return two_manifests(tmp_path / "store")


def two_manifests(root: Path) -> Store:
    """A store with the manifests of baseline and class-reweight over two crawls."""
    made = two_crawls(root)
    paint(made, 8)
    add_evidence(made, CRAWLS, "duplicates")
    make(made, "baseline", "class-reweight")
    return made


def paint(store: Store, side: int) -> None:
    """The pixels that the tiny store leaves out."""
    for crawl in store.partitions("images"):
        images = store.current("images", crawl)
        for number, part in enumerate(part_paths(images.table("images"))):
            usable = len(read_part(part, ("shard",))["shard"].drop_null())
            path = images.table("pixels") / f"part-{number:05d}.npy"
            with write_array(path, (usable, side, side, 3), np.uint8) as pixels:
                pixels[:] = 60


def make(store: Store, *recipes: str, crawls: list[str] = CRAWLS) -> None:
    for recipe in recipes:
        make_manifest(store, recipe, recipe_named(recipe).policy, crawls)


def said(store: Store, a: str, b: str, to: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    diff(store, a, b, to, 3, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_two_recipes_of_a_store(store: Store, tmp_path: Path) -> None:
    told = said(store, "baseline", "class-reweight", tmp_path / "out")
    # class 0 has 4 images of .75, class 2 has 2 of 1.5
    assert "16.7% of the training falls to other images" in told
    assert "its class adds up to … images" in told
    rows = {row["image_id"]: row for row in read_part(tmp_path / "out" / "diff.parquet").to_pylist()}
    assert {i: row["change"] for i, row in rows.items()} == {
        **dict.fromkeys((100, 101, 103, 200), "lighter"),
        **dict.fromkeys((104, 201), "heavier"),
    }
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/jpeg") == 2  # of those that lose and of those that gain
    assert "<b>a/0.jpg</b><span>1.00 → 0.75</span><span>A: counts as it is</span>" in page


def test_the_manifest_before_this_one(store: Store, tmp_path: Path) -> None:
    add_evidence(store, CRAWLS, "duplicates", leak=[True, False, False, False, False, False])
    make(store, "baseline")
    told = said(store, "baseline~1", "baseline", tmp_path / "out")
    assert "repeats a val or test image, not trained on" in told
    (row,) = (row for row in read_part(tmp_path / "out" / "diff.parquet").to_pylist() if row["change"] == "dropped")
    assert row["image_id"] == 100
    with pytest.raises(NotMadeError, match="holds 1 earlier manifests of baseline, not 'baseline~2'"):
        said(store, "baseline~2", "baseline", tmp_path / "out")


def test_stores_with_other_images(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    add_crawl(other, "a", A)
    paint(other, 16)
    add_evidence(other, ["a"], "duplicates")
    make(other, "baseline", "official-baseline", crawls=["a"])
    told = said(store, str(store.root), str(other.root), tmp_path / "out")
    assert "baseline" in told
    assert "official" not in told  # the first store has none
    assert "2 / 0" in told
    rows = read_part(tmp_path / "out" / "baseline" / "diff.parquet").to_pylist()
    assert [(row["image_id"], row["change"]) for row in rows] == [(200, "only in A"), (201, "only in A")]
    assert (tmp_path / "out" / "baseline" / "index.html").read_text().count("data:image/jpeg") == 1
    assert "official-baseline" in said(store, "baseline", f"{other.root}:official-baseline", tmp_path / "one")


def test_what_cannot_be_compared_says_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one is a store, the other a recipe"):
        said(store, str(store.root), "baseline", tmp_path / "out")
    with pytest.raises(NotMadeError, match="holds no manifest of fused yet"):
        said(store, "baseline", "fused", tmp_path / "out")
    other = Store(tmp_path / "other")
    add_crawl(other, "a", [Picture(0, (1, 1))], classes=2)
    add_evidence(other, ["a"], "duplicates")
    make(other, "baseline", crawls=["a"])
    with pytest.raises(ValueError, match="number their classes differently"):
        said(store, "baseline", f"{other.root}:baseline", tmp_path / "out")
    with pytest.raises(ValueError, match="images must be at least 1"):
        diff(store, "baseline", "baseline", tmp_path / "out", 0, Console(file=io.StringIO()))
    assert not (tmp_path / "out").exists()
