"""One image of a whole run explained from the command line, and how honest the run's probabilities are."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from assets.demo import honesty
from pipeline.storage.artifacts import Store
from tests.assets.conftest import SmallRun


def explained(run: SmallRun, image: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "assets.cli", "explain", image, "--store", str(run.store)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_kind_of_image_of_a_run_is_explained(small_run: SmallRun) -> None:
    store = Store(small_run.store)
    images = pd.read_parquet(store.current("images", "crawl").table("images"))
    listing = pd.read_parquet(store.current("listing", "crawl").table("listing")).merge(images, on="image_id")
    usable = listing[listing.status == "usable"]
    chosen = {
        "train": usable[usable.split == "train"].image_id.min(),  # below 0: no option of the command line
        "val": usable[usable.split != "train"].image_id.max(),
        "broken": listing[listing.status == "quarantined"].image_id.iloc[0],
    }
    assert chosen["train"] < 0
    said = {kind: explained(small_run, str(image)) for kind, image in chosen.items()}
    assert [done.returncode for done in said.values()] == [0, 0, 0], said
    assert "likely." in said["train"].stdout
    assert "baseline" in said["train"].stdout
    assert "It cannot be used." in said["broken"].stdout
    for image in chosen.values():
        assert (small_run.store / "explain" / f"{image}.html").stat().st_size > 10_000


def test_a_path_that_no_image_has_ends_as_one_line(small_run: SmallRun) -> None:
    done = explained(small_run, "no/such/picture.jpg")
    assert done.returncode == 1
    assert done.stderr.startswith("winnow: no image is called 'no/such/picture.jpg'; nearest by name: crawl/")
    assert done.stderr.count("\n") == 1


def test_the_demo_says_how_honest_probabilities_are(small_run: SmallRun) -> None:
    found = honesty(Store(small_run.store), small_run.folder / "crawl")
    fused = pd.read_parquet(Store(small_run.store).current("evidence-fused").table("evidence"))
    assert found.images.sum() == len(fused)
    assert 0 < found.error < 0.5
    assert np.nanmean(fused.right_probability) == pytest.approx(
        np.nansum(found.said * found.images) / len(fused), abs=1e-6
    )
