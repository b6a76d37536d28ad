"""Every usable picture of the made-up crawl is one grey, 20 times its number: so a sheet tells what is on it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from assets import pictures
from pipeline.storage.artifacts import Artifact, Store
from tests.stages.report_store import CRAWL, SAID, Image, add_crawl, add_evidence, add_weights

BLANK = 127
Sample = Callable[[Store, Sequence[str], Artifact], bytes | None]


def shown(sheet: bytes | None) -> list[list[int]]:
    """The numbers of the pictures in each row, blanks left out."""
    assert sheet is not None
    picture = cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    greys = picture.reshape(len(picture) // 16, 16, -1, 16).mean(axis=(1, 3))
    return [[round(grey / 20) for grey in row if abs(grey - BLANK) > 3] for row in greys.tolist()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    add_crawl(made, "shop", CRAWL)
    add_weights(made, "shop", CRAWL)
    return made


@pytest.mark.parametrize(
    ("sample", "source", "expected"),
    [
        (pictures.cluster_sample, "kmeans", [[0, 1], [2]]),
        (pictures.density_sample, "density", [[0], [1], [2]]),
        (pictures.hdbscan_sample, "hdbscan", [[0, 1], [2], [2, 1, 0]]),
        (pictures.text_sample, "keyword", [[0, 2]]),
        (pictures.text_sample, "semantic", [[0, 2]]),
        (pictures.neighbour_sample, "neighbours", [[2, 0, 1, 3]]),
        (pictures.opinion_sample, "opinion", [[2, 1]]),
        (pictures.confusion_sample, "confusion", [[0, 1, 3], [2]]),
    ],
)
def test_rows_tell_what_the_evidence_found(
    tmp_path: Path, sample: Sample, source: str, expected: list[list[int]]
) -> None:
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", CRAWL)
    add_evidence(store, "shop", CRAWL, [source])
    assert shown(sample(store, ["shop"], store.current(f"evidence-{source}"))) == expected


def test_a_leak_is_a_row_with_the_training_picture_first(store: Store) -> None:
    add_evidence(store, "shop", CRAWL, ["duplicates"])
    assert shown(pictures.duplicate_sample(store, ["shop"], store.current("evidence-duplicates"))) == [[1, 6]]


def test_the_heaviest_come_before_the_lightest(store: Store) -> None:
    assert shown(pictures.weight_sample(store, ["shop"], store.current("manifest", "weighed"))) == [[0, 1, 3, 2]]


def test_a_decoded_crawl_is_shown_from_end_to_end(store: Store) -> None:
    images = store.current("images", "shop")
    assert shown(pictures.decoded_sample(images)) == [list(range(10))]
    assert shown(pictures.decoded_sample(images, 2)) == [[0, 9]]


@pytest.mark.parametrize("source", [name for name in SAID if name not in ("rank", "aum", "fused")])
def test_nothing_to_show_is_none(tmp_path: Path, source: str) -> None:
    named = {"kmeans": "cluster", "keyword": "text", "semantic": "text", "neighbours": "neighbour"}
    named |= {"duplicates": "duplicate"}
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", [Image(0, "val"), *[Image(0, reason="broken")] * 8, Image(0, "test")])
    add_evidence(store, "shop", [Image(0, "val")] * 10, [source])
    sample = getattr(pictures, f"{named.get(source, source)}_sample")
    assert sample(store, ["shop"], store.current(f"evidence-{source}")) is None
