"""Classes of 100,000 images, of one and of none, and texts of a million characters: made, in bounded memory."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.crawl.metadata import TEXT_LIMIT
from pipeline.crawl.settings import CrawlSettings
from pipeline.evidence.density import DensitySettings, class_density
from pipeline.evidence.hdbscan import HdbscanSettings, group_class
from pipeline.evidence.kmeans import KMeansSettings, cluster_class
from pipeline.stages.listing import Crawl, make_listing
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import read_table
from tests.crawl.tiny import write

MANY = 100_000
CATALOGUE = "wnid,lemmas,gloss\nmany,many,\none,one,\nnone,none,\n"


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Eight groups of unequal size and some noise, float32 [MANY, 16]."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 16)) * 4
    return (centres[rng.integers(8, size=MANY) ** 2 % 8] + rng.normal(size=(MANY, 16))).astype(np.float32)


@pytest.mark.parametrize(
    "measure",
    [
        lambda images: cluster_class(images, np.arange(1, len(images) + 1), KMeansSettings()).cluster,
        pytest.param(lambda images: class_density(images, DensitySettings()).level, marks=pytest.mark.slow),
        pytest.param(lambda images: group_class(images, HdbscanSettings()).cluster, marks=pytest.mark.slow),
    ],
    ids=["kmeans", "density", "hdbscan"],
)
def test_a_class_of_a_hundred_thousand(features: np.ndarray, measure: Callable[[np.ndarray], np.ndarray]) -> None:
    """All pairs of them would be 40 GB."""
    tracemalloc.start()
    found = measure(features)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.shape == (MANY,)
    assert len(np.unique(found)) >= 3
    assert peak < 1.5e9


@pytest.mark.parametrize("many", [2_000, pytest.param(MANY, marks=pytest.mark.slow)])
def test_classes_of_many_of_one_and_of_none_and_texts_without_end(tmp_path: Path, many: int) -> None:
    long = "word " * 200_000
    rows: list[dict[str, Any]] = [{"path": f"{k}.jpg", "label": "many", "title": f"t {k}"} for k in range(many)]
    rows += [{"path": "alone.jpg", "label": "one", "title": long, "description": long, "tags": long}]
    for k in range(0, 2_000, 100):
        rows[k]["description"] = long
    write(tmp_path, {"crawl/t.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows), "classes.csv": CATALOGUE})
    settings = CrawlSettings(layout="table", catalogue=str(tmp_path / "classes.csv"))
    made = make_listing(Store(tmp_path / "store"), Crawl("c", str(tmp_path / "crawl"), settings))
    assert (made.facts["listed"], made.facts["classes"]) == (many + 1, 3)
    assert made.facts["odd_metadata"] == {"description": 21, "tags": 1, "title": 1}
    table = read_table(made.table("listing"), ["path", "class_index", "description"])
    assert np.bincount(table["class_index"].to_numpy(), minlength=3).tolist() == [many, 1, 0]
    lengths = [len(text) for text in table["description"].to_pylist() if text is not None]
    assert lengths == [TEXT_LIMIT] * 21
