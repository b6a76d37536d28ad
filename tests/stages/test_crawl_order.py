"""A crawl's columns and order by class are mapped, not read again; of several crawls they are what a sort gives."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records import SPLITS
from pipeline.stages import crawl_order
from pipeline.stages.classes import ClassOrder
from pipeline.stages.crawl_order import read_population
from pipeline.storage import arrays
from pipeline.storage.artifacts import Artifact, Store
from tests.stages.tiny_store import Picture, add_crawl, two_crawls

PICTURES = st.lists(
    st.builds(Picture, st.integers(0, 2), st.sampled_from([None, (0.0, 1.0)]), st.sampled_from(SPLITS)),
    min_size=1,
    max_size=8,
)


def artifacts(store: Store, *crawls: str) -> tuple[list[Artifact], list[Artifact]]:
    return [store.current("listing", crawl) for crawl in crawls], [store.current("images", crawl) for crawl in crawls]


@settings(max_examples=25, deadline=None)
@given(st.lists(PICTURES, min_size=1, max_size=3), st.integers(1, 4))
def test_it_is_what_the_pictures_say(crawls: list[list[Picture]], block: int) -> None:
    """Ids are 100, 101 ... in the first crawl, 200 ... in the second; three images to a shard, of which usable ones."""
    names = ["a", "bb", "ccc"][: len(crawls)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "BLOCK_ROWS", block)
        store = Store(Path(folder))
        for name, pictures in zip(names, crawls, strict=True):
            add_crawl(store, name, pictures)
        order = ClassOrder.read(*artifacts(store, *names))
        told, rows, shards = [], [], 0
        for number, pictures in enumerate(crawls, 1):
            for at, picture in enumerate(pictures):
                usable = picture.features is not None
                row = sum(other.features is not None for other in pictures[at // 3 * 3 : at])
                place = (shards + at // 3, row) if usable else (-1, -1)
                told.append((100 * number + at, picture.class_index, SPLITS.index(picture.split), usable, *place))
                if usable and picture.split == "train":
                    rows.append((picture.class_index, len(told) - 1))
            shards += -(-len(pictures) // 3)
        found = order.population
        columns = (found.image_id, found.class_index, found.split, found.usable, found.shard, found.row)
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == told
        assert ((found.defect < 0) == found.usable).all()
        assert order.members.tolist() == [row for _, row in sorted(rows)]
        assert order.starts.tolist() == [sum(own < label for own, _ in rows) for label in range(4)]
        assert order.image_id.tolist() == [told[row][0] for _, row in sorted(rows)]


def test_no_table_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = two_crawls(tmp_path)
    first = ClassOrder.read(*artifacts(store, "a", "bb"))
    worked = store.work()
    monkeypatch.setattr(crawl_order, "iterate_table", None)
    again = ClassOrder.read(*artifacts(store, "a", "bb"))
    assert again.image_id.tolist() == first.image_id.tolist() == [100, 101, 103, 200, 104, 201]
    assert again.population.shard.tolist() == first.population.shard.tolist()
    assert store.work() == worked


def test_of_one_crawl_the_columns_are_the_files_themselves(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    order = ClassOrder.read(*artifacts(store, "bb"))
    folder = store.current("images", "bb").folder / "order"
    for name, column in {**vars(order.population), "members": order.members, "starts": order.starts}.items():
        mapped = column.base
        assert isinstance(mapped, np.memmap)
        assert Path(mapped.filename or "") == folder / f"{name}.npy"
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0


@pytest.mark.parametrize("names", [("a", "bb"), ("bb", "a")])
def test_a_smaller_catalogue_has_no_image_of_the_further_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    store = Store(tmp_path)
    add_crawl(store, "a", [Picture(1, (1, 0))], classes=2)
    add_crawl(store, "bb", [Picture(3, (1, 0)), Picture(1, (1, 0))], classes=4)
    order = ClassOrder.read(*artifacts(store, *names))
    assert order.starts.tolist() == [0, 0, 2, 2, 3]
    assert order.image_id.tolist() == ([100, 201, 200] if names[0] == "a" else [201, 100, 200])


def test_no_crawl_has_no_image() -> None:
    assert read_population([], []).image_id.tolist() == []
    assert ClassOrder.read([], []).starts.tolist() == [0]


@pytest.mark.parametrize(("listed", "decoded"), [("a", "bb"), ("a", "ccc"), ("ccc", "a")])
def test_images_of_another_listing_are_refused(tmp_path: Path, listed: str, decoded: str) -> None:
    """Crawl `ccc` has the images of `a` under other ids, and one more."""
    store = two_crawls(tmp_path)
    add_crawl(store, "ccc", [Picture(0, (1, 0))] * 6)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"images of {decoded} do not belong"):
            read_population([store.current("listing", listed)], [store.current("images", decoded)])


def test_of_another_listing_of_the_same_images_it_is_made_anew(tmp_path: Path) -> None:
    """The same image is listed in class 0 and then in class 1; made-up images may carry an identity of their own."""
    store = Store(tmp_path)
    add_crawl(store, "a", [Picture(0, (1, 0))])
    assert read_population(*artifacts(store, "a")).class_index.tolist() == [0]
    other = Store(tmp_path / "other")
    add_crawl(other, "a", [Picture(1, (1, 0))])
    moved = Artifact("listing", "a", "l2", other.current("listing", "a").folder, {"classes": 3}, made=False)
    assert read_population([moved], [store.current("images", "a")]).class_index.tolist() == [1]
