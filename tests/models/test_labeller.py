"""Networks, alone and combined, name pictures as their stored predictions do."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoint import load_model, save_model
from models.encode import encode, load_encoder
from models.gang import Gang
from models.labeller import best_guesses, load_labeller
from models.specification import EncodingJob
from models.trained import ClassLabel, Trained
from pipeline.ensemble.combine import average
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.tables import read_table
from tests.models.conftest import CLASSES, TinyCrawl

LABELS = tuple(ClassLabel(f"n{number}", (f"class {number}",), "") for number in range(CLASSES))


def test_guesses_by_hand() -> None:
    classes, probability = best_guesses(np.log(np.array([[1, 1, 2, 6]], np.float16)))
    assert classes.tolist() == [[3, 2, 0, 1]]  # four classes have four guesses, equal ones in class order
    np.testing.assert_allclose(probability, [[0.6, 0.2, 0.1, 0.1]], rtol=2e-3)
    classes, probability = best_guesses(np.zeros((2, 9), np.float16))
    assert classes.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert best_guesses(np.zeros((0, 3), np.float16))[0].shape == (0, 3)


def test_a_network_says_of_pixels_what_is_stored_of_them(
    trained: Path, crawls: list[TinyCrawl], tmp_path: Path
) -> None:
    folders = crawls[0].folders
    job = EncodingJob(model=trained, outputs=("logits",), crawls=(folders,), out=tmp_path, splits=("val", "test"))
    encode(job, load_encoder(trained, Gang()), lambda *_: None)
    stored = read_table(tmp_path / "predictions").to_pydict()
    where = {row["image_id"]: (row["shard"], row["row"]) for row in read_table(folders.images).to_pylist()}
    shard, row = np.array([where[own] for own in stored["image_id"]]).T
    pixels = ArrayShards([folders.pixels]).gather(shard, row)
    labeller = load_labeller(Trained("x", (trained,), None, LABELS), Gang())
    # Not to the last digit: a batch of another size is added up in another order.
    np.testing.assert_allclose(labeller.logits(pixels).astype(float), np.array(stored["logits"]), atol=0.05)


def test_members_are_combined(trained: Path, crawls: list[TinyCrawl], tmp_path: Path) -> None:
    network, specification = load_model(trained)
    with torch.no_grad():
        network.head.weight.neg_()
    save_model(tmp_path, network, specification)
    pixels = np.asarray(ArrayShards([crawls[0].folders.pixels]).shards[0])
    single = [load_labeller(Trained("x", (path,), None, LABELS), Gang()).logits(pixels) for path in (trained, tmp_path)]
    both = load_labeller(Trained("x", (trained, tmp_path), average, LABELS), Gang()).logits(pixels)
    np.testing.assert_array_equal(both, average(np.stack(single)))
    assert both.shape == (len(pixels), CLASSES)


def test_networks_that_do_not_fit_are_refused(trained: Path) -> None:
    with pytest.raises(ValueError, match="of 2 classes"):
        load_labeller(Trained("x", (trained,), None, LABELS[:2]), Gang())
